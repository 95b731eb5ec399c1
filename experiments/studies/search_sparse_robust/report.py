"""The report of "The Search for Sparse, Robust Neural Networks" (2019).

Lottery tickets of LeNet-300-100 on digits and fashion, trained naturally, with FGSM and with PGD.
"""

import os
from collections.abc import Mapping, Sequence

from experiments.reports import published
from experiments.reports.robustness import AttackedNetwork
from experiments.studies import stronger_attacks
from experiments.studies.cells import tested
from experiments.studies.search_sparse_robust import (
    figures,
    findings,
    strategies,
    table_figure,
)
from experiments.studies.search_sparse_robust.protocol import (
    ATTACKS,
    DENSITIES,
    ITERATION,
    PROTOCOL,
)
from experiments.studies.search_sparse_robust.published import read
from experiments.studies.search_sparse_robust.table_figure import Left
from experiments.studies.search_sparse_robust.tables import Row, Table, tables
from experiments.sweeps.directory import Cell
from robust_sparse_tf import files
from robust_sparse_tf.texts import markdown_table


def report(
    folder: str, cells: Sequence[Cell], attacked: Sequence[AttackedNetwork]
) -> tuple[str, Mapping[str, object]]:
    """Tables 1 and 2, figures 1 to 15, and stronger attacks.

    Args:
        folder: folder of the sweep, for the figures.
        cells: see `experiments.studies`.
        attacked: see `robustness.attacked`.

    Returns:
        Markdown, and the numbers of its tables.
    """
    known = read()
    unlike = PROTOCOL.names(cells)
    found = tables(cells, known, unlike)
    lines = [f"# {known.title}", "", *PROTOCOL.head(cells), *tested(cells)]
    os.makedirs(os.path.join(folder, "figures"), exist_ok=True)
    # With several tables it is not known which networks belong to which.
    left = table_figure.strongest(attacked) if len(found) == 1 else {}
    for number, table in enumerate(found, 1):
        lines += [*_table(table), *_at_a_glance(folder, table, number, left)]
    compared = strategies.compare(cells, unlike)
    lines += strategies.markdown(compared)
    lines += figures.draw(folder, cells, unlike)
    text, strong = stronger_attacks.table(attacked)
    return "\n".join(lines) + "\n" + text, {
        "settings": PROTOCOL.differences(cells),
        "tables": [each.as_json() for each in found],
        "strategies": [each.as_json() for each in compared],
        "beyond": [each.as_json() for each in strong],
    }


def _at_a_glance(folder: str, table: Table, number: int, left: Left) -> list[str]:
    """Draws a table that has published numbers; returns Markdown that shows it, or none."""
    figure = table_figure.draw(table, left)
    if not figure:
        return []
    path = os.path.join("figures", f"table_{number}.png")
    files.write_figure(figure, os.path.join(folder, path))
    return [f"![The table at a glance, {table.dataset}]({path})", ""]


def _table(table: Table) -> list[str]:
    rewound = {
        "trained_dense": "the weights at the end of the first, dense training",
        "initial": "the initialisation",
    }[table.rewind_to]
    number = (
        {"mnist": "Table 1: ", "fashion_mnist": "Table 2: "}[table.dataset] if table.beside else ""
    )
    title = f"{number}{table.dataset}, rewound to {rewound}, iteration {table.iteration:,}"
    if table.beside and table.iteration == ITERATION:
        title += " (for the published iteration 30,000)"
    lines = [f"## {', '.join((title, *table.unlike_published))}", ""]
    beside = (
        "(published mean ± deviation; our difference in published standard deviations σ; ours is "
        "the sample's, of n - 1, theirs of n)"
    )
    how = f"our mean ± deviation over trials{f' {beside}' if table.beside else ''}"
    lines += [f"Test accuracy in percent, {how}. {_counted(table.rows)}", ""]
    for attack in ATTACKS:
        own = [row for row in table.rows if row.attack == attack]
        if not any(found.trials for row in own for found in row.kinds.values()):
            continue
        name = attack.upper()
        head = ["weights (%)", "natural: normally trained", f"{name}-trained"]
        lines += markdown_table(
            [
                [*head, f"under {name}: normally trained", f"{name}-trained"],
                *[_words(own, percent) for percent in dict.fromkeys(row.density for row in own)],
            ]
        )
        lines.append("")
    lines += _unknown(table) if table.beside else []
    held = findings.sentences(table.rows)
    told = ["What held:", "", *(f"- {line}" for line in held), ""] if held else []
    near = [_near(table.rows), ""] if table.beside else []
    return [*lines, *near, *told]


def _unknown(table: Table) -> list[str]:
    """A line per density with missing published numbers."""
    lines = []
    for percent in dict.fromkeys(row.density for row in table.rows):
        own = [
            (row, kind, found)
            for row in table.rows
            if row.density == percent
            for kind, found in row.kinds.items()
        ]
        missing = dict.fromkeys(
            f"{'under' if kind == 'robust' else 'natural beside'} {row.attack.upper()}"
            for row, kind, found in own
            if not found.published
        )
        if missing:
            every = {(row.attack, kind) for row, kind, _ in own}
            of = f": {', '.join(missing)}" if len(missing) < len(every) else ""
            lines += [f"No published numbers for {table.dataset} at {percent:g} %{of}.", ""]
    return lines


def _counted(rows: Sequence[Row]) -> str:
    """The number of trials per training."""
    counts = {
        ("natural" if row.trained == "normally" else row.attack.upper()): row.natural.trials
        for row in rows
        if row.density == DENSITIES[0]
    }
    words = [
        f"{name} {trials}{' (one seed)' if trials == 1 else ''}"
        for name, trials in counts.items()
        if trials
    ]
    return f"Trials: {', '.join(words)}." if words else ""


def _words(rows: Sequence[Row], percent: float) -> list[str]:
    """A row of a table: natural accuracies per training, then robust ones."""
    own = [row for row in rows if row.density == percent]
    found = [*(row.natural for row in own), *(row.robust for row in own)]
    return [f"{percent:g}", *map(published.beside, found)]


def _near(rows: Sequence[Row]) -> str:
    """How many numbers are near the published ones, by deviations and points; which are not."""
    every = [
        (row, kind, found)
        for row in rows
        for kind, found in row.kinds.items()
        if found.difference is not None
    ]
    found = published.near((each for _, _, each in every), lambda _: 1.0)
    near = [any(pair) for pair in found]
    far = [
        f"{row.trained} trained at {row.density:g} %, "
        f"{'under ' if kind == 'robust' else 'natural beside '}{row.attack.upper()} "
        f"({each.difference:+.2f})"
        for (row, kind, each), is_near in zip(every, near, strict=True)
        if not is_near
    ]
    by_deviations, by_points = (sum(bool(own[place]) for own in found) for place in (0, 1))
    text = (
        f"Of {len(every)} figures {by_deviations} are within 2 published standard deviations "
        f"of the published ones, {by_points} within 1 point, and {sum(near)} within either."
    )
    return text + (f" Not within either (points): {'; '.join(far)}." if far else "")
