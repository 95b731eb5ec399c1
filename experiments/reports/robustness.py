"""The part of a sweep's report that tells of attacks on its finished cells."""

import json
import os
import statistics
from typing import Any

from experiments.cli.tables import deviation
from experiments.evaluations.follow_up import evaluation
from experiments.runs import options as flags
from robust_sparse_tf.texts import markdown_table, percent

# The flags whose values name a network in a report, where they differ in it.
_NAMING = ("dataset", "model", "width", "attack", "epsilon_std", "strategy", "rewind_to")
_NAMING += ("activity_l1", "attack_labels", "label_smoothing", "random_start")


def summarise(folder: str, evaluations: list[str], cells: list[dict[str, Any]]) -> list[dict]:
    """What stood which attacks, for each evaluation and network: means over seeds.

    Args:
        folder: of the sweep.
        evaluations: see `follow_up.evaluation`.
        cells: the `results.json` of the finished cells, with their names.

    Returns:
        A dict for each evaluation and network: `evaluation`, `network`, `round`, `seeds`, `rows` (a
        list of `attack`, `norm`, `epsilon`, and the means `accuracy`, `distance` and `seconds`,
        with `std` of the accuracy, None for one seed) and `warnings`, those of any seed.
    """
    found = []
    for text in evaluations:
        groups: dict[tuple[str, int], list[dict]] = {}
        asked = evaluation(text)
        rounds = [int(word) for word in asked.options.rounds] or [-1]
        for cell in cells:
            paths = asked.files(os.path.join(folder, cell["name"]))
            for number, path in zip(rounds, paths, strict=True):
                if os.path.exists(path):
                    with open(path) as file:
                        name = network(cell, cells, number)
                        groups.setdefault((name, number), []).append(json.load(file))
        for (name, number), reports in groups.items():
            found.append(
                {
                    "evaluation": text,
                    "network": name,
                    "round": number,
                    "seeds": len(reports),
                    "rows": [
                        _mean(rows) for rows in zip(*(r["rows"] for r in reports), strict=True)
                    ],
                    "warnings": list(dict.fromkeys(w for r in reports for w in r["warnings"])),
                }
            )
    return found


def of_training(cells: list[dict[str, Any]]) -> str:
    """What training warned of, a line for each network with the first of its warnings; "" for none.

    Args:
        cells: the `results.json` of the finished cells.
    """
    told: dict[str, list[str]] = {}
    for cell in cells:
        name = ", ".join([_method(cell), *_differences(cell, cells)])
        if len(cell["rounds"]) == 1:
            name = network(cell, cells)
        told.setdefault(name, []).extend(cell.get("warnings", []))
    lines = [
        f"\n**Warning**, {name}: {own[0]}" + (f" (first of {len(own)} such)" if own[1:] else "")
        for name, own in told.items()
        if own
    ]
    return "\n".join([*lines, ""]) if lines else ""


def network(cell: dict[str, Any], cells: list[dict[str, Any]], number: int = -1) -> str:
    """What a round's network is called: method, density and whatever differs between cells."""
    density = cell["rounds"][number]["density"]
    return ", ".join([f"{_method(cell)} {100 * density:.3g} %", *_differences(cell, cells)])


def _method(cell: dict[str, Any]) -> str:
    return flags.value_of(cell["flags"], "method")


def _differences(cell: dict[str, Any], cells: list[dict[str, Any]]) -> list[str]:
    words = []
    names = _NAMING + (("prune_measure",) if cell["flags"].get("prune") == "features" else ())
    for name in names:
        own, *others = [flags.value_of(each["flags"], name) for each in (cell, *cells)]
        if set(others) != {own}:
            words.append(f"{name}={own:g}" if isinstance(own, float) else f"{name}={own}")
    return words


def markdown(found: list[dict]) -> str:
    """A table for each evaluation, attacks by networks, and the warnings; "" for none."""
    lines: list[str] = []
    for text in dict.fromkeys(entry["evaluation"] for entry in found):
        entries = [entry for entry in found if entry["evaluation"] == text]
        lines += ["", f"## Under attack: `{text}`", ""]
        table = [["attack", "epsilon", *(entry["network"] for entry in entries)]]
        for number, row in enumerate(entries[0]["rows"]):
            epsilon = "" if row["epsilon"] is None else f"{row['epsilon']:g} ({row['norm']})"
            cells = [_cell(entry["rows"][number]) for entry in entries]
            table.append([row["attack"], epsilon, *cells])
        lines += markdown_table(table, left=1)
        lines += ["", "Accuracy in percent, and seconds; distances of attacks without an epsilon."]
        for entry in entries:
            lines += [f"\n**Warning**, {entry['network']}: {line}" for line in entry["warnings"]]
    return "\n".join([*lines, ""]) if lines else ""


def _mean(rows: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    found = {key: rows[0][key] for key in ("attack", "norm", "epsilon")}
    for key in ("accuracy", "distance", "seconds"):
        values = [row[key] for row in rows if row[key] is not None]
        found[key] = statistics.fmean(values) if values else None
    found["std"] = deviation([row["accuracy"] for row in rows])
    return found


def _cell(row: dict[str, Any]) -> str:
    text = percent(row["accuracy"], row["std"], digits=1)
    if row["norm"] and row["epsilon"] is None and row["distance"] is not None:
        text = f"{row['norm']} {row['distance']:.3g}"
    return text if row["seconds"] is None else f"{text} ({row['seconds']:.0f} s)"
