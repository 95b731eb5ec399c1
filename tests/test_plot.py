"""Figures of reports, trainings, comparisons and sweeps: what they hold, and how they are shown."""

import os
import re
import subprocess
import sys
from pathlib import Path

import handmade_reports as reports
import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from robust_sparse_tf import plot
from robust_sparse_tf.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / "experiments" / "results"
CURVE = [("fgsm", 0.1, 8), ("pgd", 0.1, 6), ("pgd", 0.2, 1), ("fgsm", 0.2, 4)]
LOGS = {
    "loss": [2.0, 1.0],
    "accuracy": [0.25, 0.5],
    "robust_accuracy": [0.1, 0.2],
    "val_accuracy": [0.3, 0.4],
    "density": [1.0, 0.5],
}


def lines_of(axis):
    return {line.get_label(): line.get_xydata().tolist() for line in axis.lines}


def words_of(figure):
    (axis, *_) = figure.axes
    return axis.get_xlabel(), axis.get_ylabel()


def assert_legend_is_outside(figure):
    """Right of the data of its panel."""
    figure.draw_without_rendering()
    for axis in figure.axes:
        legend = axis.get_legend()
        if legend is not None:
            assert legend.get_window_extent().x0 >= axis.get_window_extent().x1


def test_report_is_a_curve_for_each_attack():
    figure = plot.report(reports.report(9, CURVE))
    (axis,) = figure.axes
    lines = lines_of(axis)
    assert lines["pgd"] == [[0, 0.9], [0.1, 0.6], [0.2, 0.1]]
    assert lines["fgsm"] == [[0, 0.9], [0.1, 0.8], [0.2, 0.4]]
    assert lines["worst"] == lines["pgd"]
    assert words_of(figure) == ("epsilon (linf)", "accuracy, 95 % intervals")
    assert figure.dpi == 150
    assert_legend_is_outside(figure)


def test_report_at_one_epsilon_has_bars():
    """With their intervals; at 0 nothing is attacked."""
    attacked = [("fgsm", 0.1, 8), ("pgd", 0.1, 6), ("pgd", 0.0, 9)]
    found = reports.report(9, attacked)
    (axis,) = plot.report(found).axes
    assert [bar.get_height() for bar in axis.patches] == [0.9, 0.8, 0.6, 0.6]
    labels = [label.get_text() for label in axis.get_xticklabels()]
    assert labels == ["clean", "fgsm", "pgd", "worst"]
    assert axis.get_xlabel() == "epsilon 0.1 (linf)"
    (ends,) = (each.get_segments() for each in axis.collections)
    low, high = np.array(ends[2])[:, 1]
    row = found.row("pgd", 0.1)
    assert (low, high) == (pytest.approx(row["low"]), pytest.approx(row["high"]))


def test_report_without_attacks_and_in_two_norms():
    (axis,) = plot.report(reports.report(9, [])).axes
    assert [bar.get_height() for bar in axis.patches] == [0.9]
    both = [*CURVE, ("pgd", 0.5, 5, "l2"), ("near", None, 0, "l2")]
    (axis,) = plot.report(reports.report(9, both)).axes
    lines = lines_of(axis)
    assert lines["pgd (l2)"] == [[0, 0.9], [0.5, 0.5]]
    assert lines["worst (linf)"] == [[0, 0.9], [0.1, 0.6], [0.2, 0.1]]
    assert axis.get_xlabel() == "epsilon (linf, l2)"


@pytest.mark.parametrize("wrapped", [True, False])
def test_history(wrapped):
    """Accuracies in one panel, densities in another; what is in training alone is solid."""
    history = type("History", (), {"history": LOGS})() if wrapped else LOGS
    figure = plot.history(history)
    accuracies, densities = figure.axes
    lines = lines_of(accuracies)
    assert lines["accuracy, training"] == [[1, 0.25], [2, 0.5]]
    assert lines["accuracy, validation"] == [[1, 0.3], [2, 0.4]]
    assert lines["robust accuracy"] == [[1, 0.1], [2, 0.2]]
    assert [line.get_linestyle() for line in accuracies.lines] == ["--", "-", "-"]
    assert lines_of(densities) == {"density": [[1, 1.0], [2, 0.5]]}
    assert (densities.get_xlabel(), densities.get_ylabel()) == ("epoch", "density")
    assert_legend_is_outside(figure)


def test_comparison():
    """The mean and the deviation of each method, and a dot for each seed."""
    figure = plot.comparison(reports.comparison())
    (axis,) = figure.axes
    labels = [label.get_text() for label in axis.get_xticklabels()]
    assert labels == ["dense\n100 %", "a_b & c\n25 %"]
    clean, worst = axis.containers
    assert (clean.get_label(), worst.get_label()) == ("clean", "worst at 0.1")
    assert clean.lines[0].get_ydata().tolist() == pytest.approx([0.9, 0.7])
    assert worst.lines[0].get_ydata().tolist() == pytest.approx([0.4, 0.2])
    (bars,) = clean.lines[2]
    of_three, of_one = bars.get_segments()
    assert of_three[:, 1].tolist() == pytest.approx([0.8, 1.0])
    assert not of_one.size
    dots = [line.get_ydata().tolist() for line in axis.lines if line.get_marker() == "."]
    assert dots == [[1.0, 0.9, 0.8], [0.5, 0.3, 0.4]]  # none of the one seed
    assert words_of(figure) == ("method, density", "test accuracy")
    assert axis.get_title() == "mean ± standard deviation over 1 or 3 seeds"
    assert_legend_is_outside(figure)


def test_sweep():
    figure = plot.sweep(str(STORED / "sweep_mnist"))
    clean, robust = figure.axes
    assert robust.get_ylabel() == "test accuracy under pgd"
    assert lines_of(clean)["dense"][0][1] == 0.9836
    names = {text.get_text() for text in robust.get_legend().get_texts()}
    assert {"dense", "rigl", "set", "gradual"} < names
    assert_legend_is_outside(figure)


@pytest.mark.parametrize("name", ["figure", "figure.png", "figure.pdf"])
def test_save_writes_both_files(tmp_path, name):
    figure = plot.report(reports.report(9, CURVE))
    plot.save(figure, str(tmp_path / name))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figure.pdf", "figure.png"]
    height, width, _ = image.imread(tmp_path / "figure.png").shape
    assert (width, height) == tuple(np.round(figure.get_size_inches() * 150))
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_notebooks_show_a_figure():
    """By `_repr_png_`, as no pyplot knows of it."""
    figure = plot.history(LOGS)
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "call, told",
    [
        (lambda: plot.report("report"), "report='report': must be a Report"),
        (lambda: plot.comparison(None), "comparison=None: must be a Comparison"),
        (lambda: plot.history([0.1]), "history=[0.1]: must be what fit returns"),
        (lambda: plot.history({"loss": [1.0]}), "has no accuracy and no density to draw"),
        (lambda: plot.sweep(3), "folder=3: must be a string"),
        (lambda: plot.sweep("nowhere"), "folder=nowhere: holds no report of a sweep"),
        (
            lambda: plot.sweep(str(STORED / "search_sparse_robust" / "short")),
            "holds a study, whose figures are in its figures/",
        ),
        (
            lambda: plot.sweep(str(STORED / "sparse_dnns_robustness" / "theorem_3_3")),
            "holds no report of a sweep",
        ),
        (lambda: plot.save("figure", "a.png"), "figure='figure': must be a matplotlib Figure"),
        (lambda: plot.save(plot.history(LOGS), ""), "path='': must be a path"),
    ],
)
def test_what_is_no_such_thing(call, told):
    with pytest.raises(InputError, match=re.escape(told)):
        call()


def test_without_matplotlib():
    """One line says what to install; all else works without it."""
    code = f"""
import sys
sys.modules["matplotlib"] = None
import robust_sparse_tf as rst
from robust_sparse_tf import evaluation, plot
try:
    plot.history({LOGS})
except rst.InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert "pip install 'robust_sparse_tf[plot]'" in line


def test_importing_the_library_leaves_matplotlib():
    code = """
import sys
import robust_sparse_tf as rst
rst.plot.save
assert "matplotlib" not in sys.modules
"""
    environment = os.environ | {"RST_LIGHT_IMPORT": "1"}  # else tfmot loads Keras 3, and that it
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
