"""The report of a sweep, from results made by hand."""

import itertools
import json
import re
import statistics
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from bad_input import assert_one_error
from matplotlib import image
from matplotlib.figure import Figure
from study_cells import write_report

from experiments import report
from experiments.reports import method_table
from robust_sparse_tf.method_table import Spread

ROOT = Path(__file__).resolve().parents[2]
ATTACKS = ("fgsm", "pgd")


def result(
    method: str | None,
    density: float,
    seed: int = 0,
    accuracies: tuple[float, ...] = (0.9, 0.5, 0.25),
    **flags: object,
) -> dict:
    """What a run's results.json holds, as far as a report looks at it; None is the lottery."""
    given = {"method": method, "density": density, "seed": seed} | flags
    if method is None:
        del given["method"], given["density"]
    if seed == 0:  # the default, which results.json leaves out
        del given["seed"]
    clean, *robust = accuracies
    figures = {
        "clean_accuracy": clean,
        "robust_accuracy": dict(zip(ATTACKS[-len(robust) :], robust, strict=True))
        if robust
        else {},
    }
    first = {"density": 1.0, "test": {"clean_accuracy": 0.0, "robust_accuracy": {"pgd": 0.0}}}
    rounds = [first, {"density": density, "test": figures}]
    return {"flags": given, "rounds": rounds, "seconds": 1.5}


def sweep_of(folder: Path, results: list[dict | None]) -> Path:
    """A sweep's directory; cells of None are not finished, and each has another revision."""
    names = [f"cell-{number}" for number in range(len(results))]
    sweep = {"command": "python -m experiments.sweep --grid=seed=0,1", "cells": names}
    (folder / "sweep.json").write_text(json.dumps(sweep))
    for name, content in zip(names, results, strict=True):
        (folder / name).mkdir()
        if content is not None:
            finish(folder / name, content)
    return folder


def finish(cell: Path, content: dict) -> None:
    config = {"git_revision": f"revision of {cell.name}"}
    (cell / "config.json").write_text(json.dumps(config))
    (cell / "results.json").write_text(json.dumps(content | {"name": cell.name}))


def table_of(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


SEEDS = [
    result("rigl", 0.1, 0, (0.9, 0.5, 0.25)),
    result("rigl", 0.1, 1, (0.8, 0.6, 0.5)),
    result("rigl", 0.1, 2, (0.7, 0.4, 0.25)),
]


def test_mean_and_sample_deviation():
    (row,) = method_table.rows_of(SEEDS)
    assert (row.method, row.density, row.seeds) == ("rigl", pytest.approx(0.1), 3)
    assert list(row.measures) == ["clean", "fgsm", "pgd"]
    columns = {"clean": (0.9, 0.8, 0.7), "fgsm": (0.5, 0.6, 0.4), "pgd": (0.25, 0.5, 0.25)}
    for name, values in columns.items():
        assert row.measures[name].mean == pytest.approx(sum(values) / 3)
        assert row.measures[name].std == pytest.approx(np.std(values, ddof=1))
    assert row.measures["clean"].std == pytest.approx(0.1)  # by hand


def test_one_seed_has_no_deviation():
    (row,) = method_table.rows_of(SEEDS[:1])
    assert row.measures["pgd"] == Spread(0.25, None)
    assert row.seeds == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_seeds_may_come_in_any_order(order):
    (row,) = method_table.rows_of([SEEDS[k] for k in order])
    (expected,) = method_table.rows_of(SEEDS)
    for name, measure in expected.measures.items():
        assert vars(row.measures[name]) == pytest.approx(vars(measure))


def test_density_is_the_mean_over_seeds():
    """Where it follows the training, each seed has its own."""
    results = [result("flying_bird_plus", d, s) for s, d in enumerate((0.1, 0.14))]
    for entry in results:
        entry["flags"]["density"] = 0.1
    (row,) = method_table.rows_of(results)
    assert (row.density, row.seeds) == (pytest.approx(0.12), 2)


def test_order_and_groups():
    """Methods as they came, densities falling, whatever the order of the cells."""
    results = [
        result("set", 0.1),
        result("dense", 1.0),
        result("set", 0.5, 1),
        result(None, 0.2, prune_hidden=0.3),
        result("set", 0.5),
        result(None, 0.4, prune_hidden=0.1),
        result("set", 0.1, 1),
        result("set", 0.2),
    ]
    rows = method_table.rows_of(results)
    places = [(row.method, row.density, row.seeds) for row in rows]
    assert places == [
        ("set", 0.5, 2),
        ("set", 0.2, 1),
        ("set", 0.1, 2),
        ("dense", 1.0, 1),
        ("lottery", 0.4, 1),
        ("lottery", 0.2, 1),
    ]


def test_other_flags_are_other_rows():
    rows = method_table.rows_of([result("set", 0.1), result("set", 0.1, 1, learning_rate=0.5)])
    assert [row.seeds for row in rows] == [1, 1]


def test_last_round_counts():
    """Of a lottery ticket's rounds; the first one of these is 0 % everywhere."""
    (row,) = method_table.rows_of([result(None, 0.3)])
    assert row.density == 0.3
    assert row.measures["clean"].mean == 0.9


def test_markdown():
    results = [*SEEDS, result("dense", 1.0, 0, (0.95, 0.125, 0.0))]
    header, rule, *rows = table_of(method_table.markdown(method_table.rows_of(results)))
    assert header == ["method", "density", "clean", "fgsm", "pgd", "seeds"]
    assert rule == ["---", *["---:"] * 5]
    std = 100 * statistics.stdev([0.25, 0.5, 0.25])
    assert rows == [
        ["rigl", "10.0", "80.00 ± 10.00", "50.00 ± 10.00", f"33.33 ± {std:.2f}", "3"],
        ["dense", "100.0", "95.00", "12.50", "0.00", "1"],
    ]


def test_cells_may_differ_in_their_attacks():
    results = [result("set", 0.1, 0, (0.9, 0.5)), result("dense", 1.0, 0, (0.9, 0.25, 0.125))]
    results.append(result("static", 0.1, 0, (0.75,)))
    header, _, *rows = table_of(method_table.markdown(method_table.rows_of(results)))
    found = {row[0]: dict(zip(header[2:-1], row[2:-1], strict=True)) for row in rows}
    assert found == {
        "set": {"clean": "90.00", "pgd": "50.00", "fgsm": ""},
        "dense": {"clean": "90.00", "fgsm": "25.00", "pgd": "12.50"},
        "static": {"clean": "75.00", "fgsm": "", "pgd": ""},
    }


DRAWN = {
    "several": [*SEEDS, result("rigl", 0.5), result("set", 0.1), result("dense", 1.0)],
    "one cell": [result("set", 0.1)],
    "very sparse": [result("set", d) for d in (0.1, 0.0004, 0.00001)],
    "dense alone": [result("dense", 1.0)],
    "clean alone": [result("set", 0.1, 0, (0.5,)), result("set", 0.5, 0, (0.75,))],
    "attacks differ": [result("set", 0.1, 0, (0.9, 0.5)), result("set", 0.5)],
}


@pytest.mark.parametrize("name", DRAWN)
def test_write(tmp_path, name):
    """Table, figure and numbers of whatever is finished."""
    folder = sweep_of(tmp_path, [None, *DRAWN[name], None])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = write_report(str(folder))
    assert (folder / "report.md").read_text() == text
    assert f"{len(DRAWN[name])} of {len(DRAWN[name]) + 2} cells" in text
    stored = json.loads((folder / "report.json").read_text())
    assert stored["rows"] == [row.as_json() for row in method_table.rows_of(DRAWN[name])]
    assert stored["command"] == "python -m experiments.sweep --grid=seed=0,1"
    count = len(DRAWN[name])
    assert stored["revisions"] == [f"revision of cell-{k}" for k in range(1, count + 1)]
    assert stored["seconds"] == 1.5 * count
    pixels = image.imread(folder / "report.png")
    height, width, _ = pixels.shape
    measures = {m for row in stored["rows"] for m in row["measures"]}
    assert (height, width) == (600, 750 * len(measures))
    colors = np.unique((255 * pixels).astype(np.uint8).reshape(height * width, -1), axis=0)
    assert len(colors) > 20
    assert not list(folder.glob("*.partial"))


def test_densities_are_ticks(tmp_path, monkeypatch):
    """However small, so that every point lies inside the axes; close ones share a tick."""
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    densities = (0.1, 0.1002, 0.0004, 0.00001)
    cells = [result("set", d, learning_rate=0.1 + d) for d in densities]
    write_report(str(sweep_of(tmp_path, [*cells, result("dense", 1.0)])))
    monkeypatch.undo()
    figure, again = figures  # as PNG and as PDF
    assert again is figure
    for axis in figure.axes:
        assert list(axis.get_xticks()) == [0.00001, 0.0004, 0.1]
        assert [tick.get_text() for tick in axis.get_xticklabels()] == ["0.001 %", "0.04 %", "10 %"]
        left, right = axis.get_xlim()
        assert left >= 0.1002 and 0 < right <= 0.00001


def test_write_again_knows_more(tmp_path):
    folder = sweep_of(tmp_path, [result("set", 0.1), None])
    write_report(str(folder))
    first = (folder / "report.png").read_bytes()
    finish(folder / "cell-1", result("dense", 1.0))
    assert "2 of 2 cells" in write_report(str(folder))
    assert (folder / "report.png").read_bytes() != first


def test_warnings_of_training_are_told_of_once(tmp_path):
    """Each network's first, whatever the number of seeds and of rounds that had them."""
    warned = [
        {**result("dense", 1.0, seed, attack=attack), "warnings": [f"by {attack}"]}
        for attack, seed in (("fgsm", 0), ("fgsm", 1), ("rfgsm", 0))
    ]
    for cell in warned:
        del cell["rounds"][0]
    pruned = {**result(None, 0.1, attack="fgsm"), "warnings": ["round 0: late", "round 1: early"]}
    cells = [*warned, result("dense", 1.0, attack="pgd"), pruned]
    text = write_report(str(sweep_of(tmp_path, cells)))
    told = [line for line in text.splitlines() if line.startswith("**Warning**")]
    assert told == [
        "**Warning**, dense 100 %, attack=fgsm: by fgsm (first of 2 such)",
        "**Warning**, dense 100 %, attack=rfgsm: by rfgsm",
        "**Warning**, lottery, attack=fgsm: round 0: late (first of 2 such)",
    ]


# The command


def assert_refused(capsys, argv: list[str], *words: str, code: int = 2) -> None:
    outcome = (report.main(["report", *argv]), *capsys.readouterr())
    assert_one_error(outcome, *words, code=code)
    assert outcome[1] == ""


FOREIGN = {
    "nothing": None,
    "no JSON": "{",
    "a list": "[]",
    "no cells": '{"command": "x"}',
    "no command": '{"cells": []}',
    "cells of no use": '{"cells": 3, "command": "x"}',
}


@pytest.mark.parametrize("name", FOREIGN)
def test_folder_without_a_sweep(tmp_path, capsys, name):
    if FOREIGN[name] is not None:
        (tmp_path / "sweep.json").write_text(FOREIGN[name])
    assert_refused(capsys, [str(tmp_path)], str(tmp_path), "holds no sweep")


@pytest.mark.parametrize("results", [[], [None, None]])
def test_nothing_finished(tmp_path, capsys, results):
    sweep_of(tmp_path, results)
    assert_refused(capsys, [str(tmp_path)], str(tmp_path), "no finished cell")
    assert not list(tmp_path.glob("report.*"))


@pytest.mark.parametrize("argv", [[], ["one", "two"], ["--sweep=one"]])
def test_usage(capsys, argv):
    assert_refused(capsys, argv, "usage: python -m experiments.report DIRECTORY")


def test_help(capsys):
    assert report.main(["report", "--help"]) == 0
    assert capsys.readouterr() == (report.USAGE + "\n", "")


def test_cannot_write(tmp_path, capsys):
    folder = sweep_of(tmp_path, [result("set", 0.1)])
    (folder / "report.md").mkdir()
    assert_refused(capsys, [str(folder)], "cannot write", "report.md", code=1)


def test_command(tmp_path):
    """In a process of its own: the table and nothing else."""
    folder = sweep_of(tmp_path, SEEDS)
    done = subprocess.run(
        [sys.executable, "-m", "experiments.report", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (folder / "report.md").read_text() + "\n"
    assert re.search(r"\| rigl \| 10.0 \| 80.00 ± 10.00 ", done.stdout)
