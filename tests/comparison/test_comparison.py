"""The tables of a comparison, from numbers that are worked out by hand."""

import csv
import io
import re

import handmade_reports as reports
import pytest
from scipy import stats

from robust_sparse_tf.comparison import Comparison


@pytest.fixture
def made():
    return reports.comparison()


def rows_of(comparison, method):
    return {row["title"]: row for row in comparison.rows() if row["method"] == method}


def test_mean_deviation_and_interval(made):
    rows = rows_of(made, "dense")
    assert list(rows) == ["density", "clean", "fgsm at 0.1", "pgd at 0.1", "worst at 0.1"]
    row = rows["clean"]
    assert (row["seeds"], row["values"]) == ([0, 1, 2], [1.0, 0.9, 0.8])
    assert (row["mean"], row["std"]) == (pytest.approx(0.9), pytest.approx(0.1))
    reach = 4.302653 * 0.1 / 3**0.5  # of Student's table, 2 degrees of freedom
    assert row["low"] == pytest.approx(0.9 - reach, abs=1e-6)
    assert row["high"] == 1  # cut, as there is nothing above
    row = rows["pgd at 0.1"]
    low, high = stats.t.interval(0.95, 2, 0.4, stats.sem([0.5, 0.3, 0.4]))
    assert (row["low"], row["high"]) == (pytest.approx(low), pytest.approx(high))
    assert (row["attack"], row["norm"], row["epsilon"]) == ("pgd", "linf", 0.1)


def test_worst_case_is_that_of_each_seed(made):
    """Not the smallest of the means."""
    assert rows_of(made, "dense")["worst at 0.1"]["values"] == [0.5, 0.3, 0.4]


def test_one_seed_has_no_deviation(made):
    row = rows_of(made, "a_b & c")["clean"]
    assert (row["mean"], row["std"], row["low"], row["high"]) == (0.7, None, None, None)
    single = Comparison(trials=[made.trials[-1]])
    assert "one seed, 10 images" in repr(single)
    assert "±" not in repr(single) and "Student" not in single.to_markdown()


def test_shown_is_the_worst_case(made):
    lines = made._repr_markdown_().splitlines()
    assert str(made) == made._repr_markdown_()
    assert lines[0] == "| method | density | clean | worst at 0.1 | seeds |"
    assert lines[2] == "| dense | 100.0 | 90.00 ± 10.00 | 40.00 ± 10.00 | 3 |"
    assert lines[3] == "| a_b & c | 25.0 | 70.00 | 20.00 | 1 |"
    assert lines[5].endswith("mean ± standard deviation over 1 or 3 seeds, 10 images.")


@pytest.mark.parametrize(
    "attacked, expected",
    [
        ([("pgd", 0.1, 3)], ["clean", "pgd at 0.1"]),
        ([("pgd", 0.1, 3), ("pgd", 0.2, 2)], ["clean", "pgd at 0.1", "pgd at 0.2"]),
        ([("near", None, 0)], ["clean"]),
        (
            [("pgd", 0.1, 3), ("fgsm", 0.1, 2), ("pgd", 0.5, 2, "l2")],
            ["clean", "pgd at 0.5 (l2)", "worst at 0.1 (linf)"],
        ),
    ],
)
def test_main_rows(attacked, expected):
    """A single attack in a ball is shown by its name."""
    found = Comparison(trials=[reports.trial("dense", 0, 9, attacked)]).main_rows()
    assert [row["title"] for row in found] == expected


def test_markdown_has_every_row(made):
    text = made.to_markdown()
    assert "| dense | pgd at 0.1 | 40.00 ± 10.00 | 15.16 to 64.84 | 3 |" in text
    assert "| a_b & c | fgsm at 0.1 | 30.00 |  | 1 |" in text
    assert len(re.findall(r"^\| (?:dense|a_b)", text, re.M)) == len(made.rows()) == 10


def test_csv_has_the_values_of_seeds(made):
    rows = list(csv.DictReader(io.StringIO(made.to_csv())))
    assert len(rows) == 10
    (row,) = (r for r in rows if (r["method"], r["measure"]) == ("dense", "pgd at 0.1"))
    assert [float(row[f"seed {seed}"]) for seed in range(3)] == [0.5, 0.3, 0.4]
    assert float(row["mean"]) == pytest.approx(0.4) and row["norm"] == "linf"
    assert [rows[-1][f"seed {seed}"] for seed in range(3)] == ["", "0.2", ""]
    assert rows[-1]["std"] == ""


def test_latex_is_escaped_and_rectangular(made):
    text = made.to_latex()
    lines = text.splitlines()
    assert lines[1] == r"\begin{tabular}{lrrrrrr}" and lines[-1] == r"\end{tabular}"
    table = [line for line in lines if line.endswith(r"\\")]
    assert [len(re.findall(r"(?<!\\)&", line)) for line in table] == [6, 6, 6]
    assert r"a\_b \& c & 25.0 & 70.00 & 30.00 & 20.00 & 20.00 & 1 \\" in lines
    assert r"90.00 $\pm$ 10.00" in text


def test_warnings_are_shown():
    trials = [reports.trial("rigl", 3, 9, [("pgd", 0.1, 4)], warnings=["masked"])]
    found = Comparison(trials=trials, diverged=["set, seed 0: diverged"])
    assert found.warnings == ["set, seed 0: diverged", "rigl, seed 3: masked"]
    assert "**Warnings:** 2" in repr(found)
    assert "**Warning:** rigl, seed 3: masked" in found.to_markdown()
