"""The report of "The Search for Sparse, Robust Neural Networks" (2019).

Lottery tickets of LeNet-300-100 on digits and fashion, trained naturally, with FGSM and with PGD.
"""

from typing import Any, NamedTuple

from experiments.reports import published
from experiments.studies import stronger_attacks
from experiments.studies.cells import (
    Cell,
    accuracy,
    flag,
    nearest_round,
    records,
    select,
    tested,
    values_of,
)
from experiments.studies.search_sparse_robust import figures, findings, strategies
from experiments.studies.search_sparse_robust.protocol import unlike_published
from robust_sparse_tf.texts import markdown_table

STUDY = "search_sparse_robust"
DENSITIES = figures.DENSITIES
TABLES = {"mnist": "table_1_digits", "fashion_mnist": "table_2_fashion"}
ATTACKS = ("fgsm", "pgd")
# Both are candidates for what the study calls iteration 30,000: its evaluations are half an epoch
# of 834 steps apart and counted as 500.
ITERATIONS = (25_020, 30_000)
_TRAINED = {"normally": "none", "adversarially": ""}
_KINDS = {"natural": "natural", "robust": "attack"}  # and as the published numbers name them


def report(folder: str, cells: list[Cell], attacked: list[dict]) -> tuple[str, dict[str, Any]]:
    """Tables 1 and 2, figures 1 to 15, and what stronger attacks leave.

    Args:
        folder: the sweep's, in which the figures are drawn.
        cells: see `experiments.studies`.
        attacked: see `robustness.summarise`.

    Returns:
        Markdown, and the numbers of its tables.
    """
    study = published.load(STUDY)
    histories = {cell["name"]: records(folder, cell) for cell in cells}
    lines, found = [f"# {study.get('study', STUDY)}", "", *tested(cells)], []
    for dataset in values_of(cells, "dataset"):
        own = select(cells, dataset=dataset, strategy="original")
        rows = study.get(TABLES.get(dataset, ""), [])
        for kind, tickets in _alike(own).items():
            for iteration in _iterations(tickets, histories):
                table = _compare(tickets, histories, iteration, rows)
                entry = {"dataset": dataset} | kind._asdict() | {"iteration": iteration}
                found.append(entry | {"rows": table})
                lines += _tables(entry, table)
    compared = strategies.compare(cells)
    lines += strategies.markdown(compared)
    lines += figures.draw(folder, cells, histories)
    text, strong = stronger_attacks.table(attacked)
    return "\n".join(lines) + "\n" + text, {
        "tables": found,
        "strategies": compared,
        "beyond": strong,
    }


class _Kind(NamedTuple):
    """What the cells of one table have in common."""

    rewind_to: str
    unlike_published: tuple[str, ...]


def _alike(cells: list[Cell]) -> dict[_Kind, list[Cell]]:
    found: dict[_Kind, list[Cell]] = {}
    for cell in cells:
        kind = _Kind(flag(cell, "rewind_to"), unlike_published(cell))
        found.setdefault(kind, []).append(cell)
    return found


def _iterations(cells: list[Cell], histories: dict[str, list]) -> list[int]:
    """The study's iterations that were evaluated, or else the last one of all."""
    seen = {record["iteration"] for cell in cells for record in histories[cell["name"]]}
    return [iteration for iteration in ITERATIONS if iteration in seen] or [max(seen)]


def _compare(
    cells: list[Cell], histories: dict[str, list], iteration: int, rows: list[dict]
) -> list[dict[str, Any]]:
    """One entry a density, attack and way of training: natural and attacked accuracy (percent)."""
    known = {row["P_m_percent"]: row for row in rows}
    found = []
    for percent in DENSITIES:
        for attack in ATTACKS:
            for trained, training in _TRAINED.items():
                nets = select(cells, attack=training or attack)
                at = _at(nets, histories, iteration, percent)
                entry = dict(density=percent, attack=attack, trained=trained)
                for (kind, key), name in zip(_KINDS.items(), ("none", attack), strict=True):
                    ours = [value for r in at if (value := accuracy(r["test"], name)) is not None]
                    theirs = known.get(percent, {}).get(f"{attack}_{key}", {})
                    entry[kind] = published.compare(ours, theirs.get(f"{trained}_trained"))
                found.append(entry)
    return found


def _at(cells: list[Cell], histories: dict, iteration: int, percent: float) -> list[dict]:
    """The record of each cell at a density and an iteration, where there is one."""
    return [
        record
        for cell in cells
        for number in [nearest_round(cell, percent)]
        for record in histories[cell["name"]]
        if (record["round"], record["iteration"]) == (number, iteration)
    ]


def _tables(entry: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    rewound = {
        "trained_dense": "the weights at the end of the first, dense training",
        "initial": "the initialisation",
    }[entry["rewind_to"]]
    number = {"mnist": "Table 1: ", "fashion_mnist": "Table 2: "}.get(entry["dataset"], "")
    title = f"{number}{entry['dataset']}, rewound to {rewound}, iteration {entry['iteration']:,}"
    if entry["iteration"] in ITERATIONS:
        title += " (for the published iteration 30,000)"
    lines = [f"## {', '.join((title, *entry['unlike_published']))}", ""]
    lines += [
        "Test accuracy in percent, our mean ± deviation over trials (published mean ± deviation; "
        f"our difference in published standard deviations σ). {_counted(rows)}",
        "",
    ]
    for attack in ATTACKS:
        own = [row for row in rows if row["attack"] == attack]
        if not any(row[kind]["trials"] for row in own for kind in _KINDS):
            continue
        name = attack.upper()
        head = ["weights (%)", "natural: normally trained", f"{name}-trained"]
        lines += markdown_table(
            [
                [*head, f"under {name}: normally trained", f"{name}-trained"],
                *[_row(own, percent) for percent in dict.fromkeys(r["density"] for r in own)],
            ]
        )
        lines.append("")
    lines += _unknown(entry["dataset"], rows)
    held = findings.sentences(rows)
    told = ["What held:", "", *(f"- {line}" for line in held), ""] if held else []
    return [*lines, _near(rows), "", *told]


def _unknown(dataset: str, rows: list[dict[str, Any]]) -> list[str]:
    """A line for each density of which published numbers are missing, and of what."""
    lines = []
    for percent in dict.fromkeys(row["density"] for row in rows):
        own = [row for row in rows if row["density"] == percent]
        missing = dict.fromkeys(
            f"{'under' if kind == 'robust' else 'natural beside'} {row['attack'].upper()}"
            for row in own
            for kind in _KINDS
            if not row[kind]["published"]
        )
        if missing:
            of = f": {', '.join(missing)}" if len(missing) < len(ATTACKS) * len(_KINDS) else ""
            lines += [f"No published numbers for {dataset} at {percent:g} %{of}.", ""]
    return lines


def _counted(rows: list[dict[str, Any]]) -> str:
    """How many trials of each way of training there are."""
    counts = {
        ("natural" if row["trained"] == "normally" else row["attack"].upper()): row["natural"]
        for row in rows
        if row["density"] == DENSITIES[0]
    }
    words = [f"{name} {found['trials']}" for name, found in counts.items() if found["trials"]]
    return f"Trials: {', '.join(words)}." if words else ""


def _row(rows: list[dict[str, Any]], percent: float) -> list[str]:
    own = {row["trained"]: row for row in rows if row["density"] == percent}
    return [
        f"{percent:g}",
        *[published.beside(own[trained][kind]) for kind in _KINDS for trained in _TRAINED],
    ]


def _near(rows: list[dict[str, Any]]) -> str:
    """How many figures are within two published deviations or a point, and which are not."""
    compared = [
        (row, kind, row[kind])
        for row in rows
        for kind in _KINDS
        if row[kind]["difference"] is not None
    ]
    far = [
        f"{row['trained']} trained at {row['density']:g} %, "
        f"{'under ' if kind == 'robust' else 'natural beside '}{row['attack'].upper()} "
        f"({found['difference']:+.2f})"
        for row, kind, found in compared
        if abs(found["difference"]) > max(1, 2 * (found["published"].get("std") or 0))
    ]
    text = (
        f"Of {len(compared)} figures {len(compared) - len(far)} are within 2 published standard "
        "deviations or 1 point of the published ones."
    )
    return text + (f" Not within (points): {'; '.join(far)}." if far else "")
