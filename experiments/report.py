"""The report of a sweep: a table and a figure of whatever cells are finished."""

import json
import os
import statistics
import sys
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import PercentFormatter

from experiments.quiet import quiet_stderr

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet_stderr():
    from experiments import command, directory, robustness, studies
    from experiments.directory import write_json, write_text
    from experiments.results import deviation
    from robust_sparse_tf import files
    from robust_sparse_tf.errors import InputError

Row = dict[str, Any]
USAGE = "python -m experiments.report SWEEP_DIRECTORY"


def main(argv: list[str]) -> int:
    """The command; returns its exit code, see `command.exit_code`."""
    if "--help" in argv:
        print(USAGE)
        return 0
    return command.exit_code(lambda: _report(argv))


def _report(argv: list[str]) -> int:
    if len(argv) != 2:
        raise InputError(f"usage: {USAGE}")
    print(write(argv[1]))
    return 0


def write(folder: str) -> str:
    """Writes report.json and report.md of a sweep with its figures, and returns the latter.

    Raises:
        InputError: for a folder that holds no sweep, or one without a finished cell.
    """
    try:
        with open(os.path.join(folder, "sweep.json")) as file:
            sweep = json.load(file)
        names, made_by = list(sweep["cells"]), str(sweep["command"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: holds no sweep (no readable sweep.json)") from error
    finished = [found for name in names if (found := directory.finished(folder, name))]
    if not finished:
        raise InputError(f"{folder}: holds no finished cell yet")
    attacked = robustness.summarise(folder, sweep.get("evaluations", []), finished)
    content: dict[str, Any] = {"robustness": attacked}
    if sweep.get("study"):
        text, content["study"] = studies.BY_NAME[sweep["study"]](folder, finished, attacked)
    else:
        rows = content["rows"] = summarise(finished)
        text = markdown(rows) + robustness.markdown(attacked)
        path = os.path.join(folder, "report.png")
        with files.naming(path):
            _draw(path, rows)
    text += robustness.of_training(finished)
    text += f"\n{len(finished)} of {len(names)} cells. Made by:\n\n    {made_by}\n"
    write_json(os.path.join(folder, "report.json"), _made(folder, finished, made_by) | content)
    write_text(os.path.join(folder, "report.md"), text)
    return text


def summarise(results: list[dict[str, Any]]) -> list[Row]:
    """One row for each method and density: means and standard deviations over seeds.

    Args:
        results: the `results.json` of each finished cell, with its flags.

    Returns:
        Rows by method and falling density: `method`, `density` (mean over the seeds), `seeds`, and
        by measure ("clean" and each attack) `mean` and `std`, fractions; `std` (of the sample, n -
        1) is None for one seed.
    """
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for result in results:
        varied = {k: v for k, v in result["flags"].items() if k != "seed"}
        groups.setdefault((json.dumps(varied, sort_keys=True)), []).append(result)
    rows = []
    for group in groups.values():
        last = [result["rounds"][-1] for result in group]
        measures = {"clean": [entry["test"]["clean_accuracy"] for entry in last]}
        for attack in last[0]["test"]["robust_accuracy"]:
            measures[attack] = [entry["test"]["robust_accuracy"][attack] for entry in last]
        rows.append(
            {
                "method": group[0]["flags"].get("method", "lottery"),
                "density": statistics.fmean(entry["density"] for entry in last),
                "seeds": len(group),
                "measures": {name: _spread(values) for name, values in measures.items()},
            }
        )
    order = list(dict.fromkeys(row["method"] for row in rows))
    return sorted(rows, key=lambda row: (order.index(row["method"]), -row["density"]))


def markdown(rows: list[Row]) -> str:
    """Test accuracies in percent, mean ± standard deviation."""
    names = _measures(rows)
    lines = [
        "# Test accuracy (%) by method and density",
        "",
        "| method | density | " + " | ".join(names) + " | seeds |",
        "| --- |" + " ---: |" * (len(names) + 2),
    ]
    for row in rows:
        shown = [_percent(row["measures"].get(name)) for name in names]
        cells = [row["method"], f"{100 * row['density']:.1f}", *shown, str(row["seeds"])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _made(folder: str, finished: list[dict[str, Any]], command: str) -> dict[str, Any]:
    """What made the cells: the command, this project's revisions, packages, seeds and times.

    The seconds of a cell that was resumed are those of its last process.
    """
    configs = []
    for result in finished:
        with open(os.path.join(folder, result["name"], "config.json")) as file:
            configs.append(json.load(file))
    packages = {
        f"{name} {version}"
        for config in configs
        for name, version in config.get("packages", {}).items()
    }
    return {
        "command": command,
        "revisions": sorted({config["git_revision"] for config in configs}),
        "packages": sorted(packages),
        "cells": [
            {key: result.get(key) for key in ("name", "flags", "seconds", "resumed")}
            for result in finished
        ],
        "seconds": sum(result["seconds"] for result in finished),
    }


def _spread(values: list[float]) -> dict[str, float | None]:
    return {"mean": statistics.fmean(values), "std": deviation(values)}


def _measures(rows: list[Row]) -> list[str]:
    """The measures of any row; cells may differ in the attacks that they evaluate."""
    return list(dict.fromkeys(name for row in rows for name in row["measures"]))


def _percent(measure: dict[str, float | None] | None) -> str:
    if measure is None:
        return ""
    text = f"{100 * measure['mean']:.2f}"
    return text if measure["std"] is None else f"{text} ± {100 * measure['std']:.2f}"


def _draw(path: str, rows: list[Row]) -> None:
    names = _measures(rows)
    figure, axes = plt.subplots(1, len(names), figsize=(5 * len(names), 4), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        measured = [row for row in rows if name in row["measures"]]
        for method in dict.fromkeys(row["method"] for row in measured):
            own = [row for row in measured if row["method"] == method]
            means = [row["measures"][name]["mean"] for row in own]
            stds = [row["measures"][name]["std"] or 0 for row in own]
            densities = [row["density"] for row in own]
            if method == "dense":
                axis.axhline(means[0], color="black", linestyle="--", label=method)
            else:
                axis.errorbar(densities, means, stds, marker="o", capsize=3, label=method)
        axis.set_xscale("log")
        axis.invert_xaxis()
        ticks = sorted({float(f"{r['density']:.2g}") for r in rows if r["method"] != "dense"})
        axis.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
        axis.minorticks_off()
        axis.yaxis.set_major_formatter(PercentFormatter(1))
        axis.set_xlabel("density")
        axis.set_ylabel("test accuracy" if name == "clean" else f"test accuracy under {name}")
    axes[0][0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    command.leave(main(sys.argv))
