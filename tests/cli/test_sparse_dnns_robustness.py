"""The report of "Sparse DNNs with Improved Adversarial Robustness", of cells made by hand."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from study_cells import cell, measures, row, sweep, write_report, write_tables

from experiments import studies
from experiments.evaluations.follow_up import measurement
from experiments.reports import published
from experiments.reports.published import Comparison
from experiments.studies.sparse_dnns_robustness import table_figure
from experiments.studies.sparse_dnns_robustness.numbers import PenalisedRow
from experiments.sweeps.sweep import Sweep

STUDY = "sparse_dnns_robustness"
FLAGFILES = Path(__file__).resolve().parents[2] / "experiments" / "studies" / STUDY
LEAST = {
    "short": 2,
    "three_references": 3,
    "short_cifar": 2,
    "lenet_300_100": 3,
}  # references of each network
TEXTS = ["--measures=r_inf", "--measures=deepfool,activation_sparsity"]
TRAINING = dict(
    dataset="mnist",
    attack="none",
    eval_attacks=[],
    batch_size=64,
    optimizer="sgd",
    learning_rate=0.01,
    learning_rate_schedule="InverseDecay",
    learning_rate_arguments={"gamma": 1e-4, "power": 0.75},
    strategy="continued",
    prune_hidden=1 / 3,
    prune_output=1 / 3,
    prune_rounding="down",
)
L2 = {"binary_linear": 0.0025}
FIGURES = ("figure_1", "figure_2", "figure_3")
DENSITIES = [1.0, 0.667, 0.0173, 0.0077]


def network(folder, model="mlp", seed=0, *, shift=0.0, rounds=4, **given):
    """A reference: r_inf is 0.3, 0.4, 0.35 and 0.2 by round, and r_2 ten times that, plus shift.

    The accuracy of the images that were measured is another one than the run's, of all.
    """
    accuracies = [[{"none": 0.98 + shift}]] * rounds
    if model == "binary_linear":
        given["classes"] = ["1", "7"]
    given = TRAINING | dict(model=model, seed=seed, l2=L2.get(model, 0.0005)) | given
    made = cell(folder, accuracies, DENSITIES[:rounds], **given)
    for number, value in enumerate([0.3, 0.4, 0.35, 0.2][:rounds]):
        value += shift
        found = (
            {"accuracy": 0.5, "r_inf_fgsm": value, "r_inf_rfgsm": value + 0.1},
            {"r_2_deepfool": 10 * value, "activation_sparsity": 0.5, "bound_r_2": 10 * value + 1},
        )
        for text, own in zip(TEXTS, found, strict=True):
            path = measurement(text).files(str(folder / made["name"]))[number]
            told = ["few were found"] if number == 3 and text == TEXTS[1] else []
            measures(path, numbers=own, warnings=told)
    return made


def written(folder, cells, write=write_tables) -> str:
    return write(str(sweep(folder, STUDY, cells, measurements=TEXTS)))


@pytest.fixture
def whole(tmp_path):
    """Two references of each network, and the penalised ones."""
    cells = [
        network(tmp_path, model, seed, shift=0.01 * seed)
        for model in ("binary_linear", "linear", "mlp", "lenet5")
        for seed in (0, 1)
    ]
    for weight, shift in ((0.01, -0.1), (0.002, 0.1)):
        cells.append(network(tmp_path, "mlp", activity_l1=weight, shift=shift, rounds=1))
    return tmp_path, cells


def test_ours_stand_beside_the_published(whole):
    folder, cells = whole
    text = written(folder, cells)
    study = published.load(STUDY)
    theirs = study["linear"]["binary_r2_deepfool"]["after_one_round"]
    sigma = (4.05 - theirs["mean"]) / theirs["std"]
    shown = row(text, "linear, 1 against 7, round 1", "## Linear models and references")
    beside = f"4.0500 ± 0.0707 ({theirs['mean']:.4f} ± {theirs['std']:.4f}; {sigma:+.1f} σ)"
    assert shown[1] == "33.30" and beside in shown
    mean, std = study["table_1_l1"]["lenet_300_100"][1][0]
    shown = row(text, "LeNet-300-100, l1 0.002", "## Table 1")
    assert shown[2] == f"0.4000 ({mean:.4f} ± {std:.4f}; {(0.4 - mean) / std:+.1f} σ)"
    assert shown[5].startswith("50.00 (75.92 ± 0.54;")
    assert row(text, "LeNet-5, l1 0.003", "## Table 1")[2].startswith("- (0.7729")
    assert row(text, "3", "## Rounds: LeNet-5")[1:4] == [
        "99.23",
        "98.50 ± 0.71",
        "0.2050 ± 0.0071",
    ]
    assert "bound on r_2" in text
    assert "Iterations per round: linear, 1 against 7: 1,000; LeNet-5: 1,000; linear, 10" in text
    assert "Measured on the first test images: all (r_inf, deepfool, activation_sparsity)." in text
    assert "**Note:** few were found (the first of 8 such)" in text
    assert "10 of 10 cells" in text


def test_published_rows_are_of_their_weights(tmp_path):
    """Also while those before them are not finished, or where others were tried."""
    cells = [network(tmp_path, activity_l1=weight, rounds=1) for weight in (0.01, 0.005)]
    text = written(tmp_path, cells)
    mean, _ = published.load(STUDY)["table_1_l1"]["lenet_300_100"][2][0]
    assert row(text, "LeNet-300-100, l1 0.01", "## Table 1")[2].startswith(f"0.3000 ({mean:.4f}")
    assert row(text, "LeNet-300-100, l1 0.005", "## Table 1")[2] == "0.3000"
    assert "than without" not in text


def test_says_what_held(whole):
    folder, cells = whole
    text = written(folder, cells)
    assert (
        "- LeNet-5, r_inf FGS: pruned networks were more robust than the dense one (0.3050): at "
        "best 0.4050 with 33.30 % pruned (2 of 2 references gain), and 0.2050 with 99.23 %." in text
    )
    assert "LeNet-300-100, l1 0.002: more robust than without (r_inf 0.4000 against 0.3050)" in text
    assert "LeNet-300-100, l1 0.01: less robust than without (r_inf 0.2000 against 0.3050)" in text
    stored = json.loads((folder / "report.json").read_text())["study"]
    assert all(f"- {line}" in text for line in stored["held"])
    rounds = stored["rounds"]["mlp"]
    assert rounds[1]["measures"]["r_inf_fgsm"]["mean"] == pytest.approx(0.405)
    assert rounds[1]["measures"]["r_inf_fgsm"]["references"] == 2


def test_a_gain_within_the_spread_is_called_so(tmp_path):
    """Of references .01 and more apart, which gain .005 by pruning."""
    cells = [network(tmp_path, seed=seed, rounds=2) for seed in (0, 1)]
    for made, dense in zip(cells, (0.39, 0.41), strict=True):
        first, second = measurement(TEXTS[0]).files(str(tmp_path / made["name"]))
        for path, value in ((first, dense), (second, dense + 0.005)):
            measures(path, numbers={"r_inf_fgsm": value})
    assert (
        "pruned networks were more robust, by less than the references differ, than the dense one "
        "(0.4000): at best 0.4050"
    ) in written(tmp_path, cells)


def test_table_1_by_the_norm_of_the_weights(tmp_path):
    """Beside nothing, as the paper does not tell its weights; no row of the activations' norm."""
    cells = [
        network(tmp_path, weight_l1=weight, shift=shift, rounds=1)
        for weight, shift in ((0.0, 0.0), (1e-4, 0.1))
    ]
    text = written(tmp_path, cells)
    title = "## Table 1: the l1 norm of weights penalised"
    assert row(text, "LeNet-300-100, l1 0.0001", title)[2] == "0.4000"
    assert row(text, "LeNet-300-100, l1 0 ", title)[2] == "0.3000"
    activations = "## Table 1: the l1 norm of activations penalised"
    assert row(text, "LeNet-300-100, l1 0 ", activations)[2].startswith("0.3000 (0.2862")
    content = json.loads((tmp_path / "report.json").read_text())["study"]["table_1_by_weights"]
    assert [entry["l1"] for entry in content] == [0.0, 1e-4]


def test_gamma_of_proposition_3_1(tmp_path):
    """In a section of its own, where it is measured; beside r_2."""
    made = network(tmp_path, rounds=2)
    assert "gamma" not in written(tmp_path, [made])
    for number, path in enumerate(measurement(TEXTS[1]).files(str(tmp_path / made["name"]))):
        found = {
            "r_2_deepfool": 3,
            "gamma_l2": 0.2 + 0.1 * number,
            "gamma_linf": 0.002 - number / 1e3,
        }
        measures(path, numbers=found)
    text = written(tmp_path, [made])
    shown = row(text, "1", "## Proposition 3.1")
    assert shown == ["1", "33.30", "0.3000", "3.0000", "0.001000"]
    assert (
        "- LeNet-300-100, gamma of proposition 3.1 in l2: pruned networks were more robust than "
        "the dense one (0.2000): at best 0.3000 with 33.30 % pruned (1 of 1 references gain)"
    ) in text
    assert (
        "linf: pruned networks were no more robust, on average, than the dense one (0.002000)"
        in text
    )


def test_references_gain_over_themselves(tmp_path):
    """Also where a round is not measured yet of those before them."""
    first, second = (network(tmp_path, seed=seed, rounds=2) for seed in (0, 1))
    files = [measurement(TEXTS[0]).files(str(tmp_path / made["name"])) for made in (first, second)]
    os.remove(files[0][1])
    measures(files[1][0], numbers={"r_inf_fgsm": 0.45})
    text = written(tmp_path, [first, second])
    assert "(0.3750): at best 0.4000 with 33.30 % pruned (0 of 1 references gain)" in text


def test_draws_the_figures(whole):
    folder, cells = whole
    text = written(folder, cells, write_report)
    names = sorted(path.name for path in (folder / "figures").glob("*.png"))
    assert names == [f"{name}.png" for name in (*FIGURES, "lemma_3_1", "table_1", "table_3")]
    for name in names:
        assert f"(figures/{name})" in text
        assert image.imread(folder / "figures" / name).shape[0] > 400


def test_table_1_at_a_glance(whole):
    """Published, ours and what `standard` left, each at the place of its network."""
    folder, cells = whole
    written(folder, cells)
    stored = json.loads((folder / "report.json").read_text())["study"]["table_1"]
    rows = [
        PenalisedRow(**row | {"measures": {k: Comparison(**v) for k, v in row["measures"].items()}})
        for row in stored
    ]
    figure = table_figure.draw(rows, {("mlp", 0.002): 0.05})
    accuracy, r_inf, *_ = figure.axes
    theirs, ours = (found.lines[0].get_ydata().astype(float) for found in r_inf.containers)
    known = published.load(STUDY)["table_1_l1"]["lenet_300_100"]
    np.testing.assert_allclose(theirs[:3], [values[0][0] for values in known])
    np.testing.assert_allclose(ours[:3], [0.305, 0.4, 0.2])
    assert [line.get_xydata().tolist() for line in r_inf.lines if line.get_marker() == "^"] == [
        [[1.0, 0.05]]
    ]
    assert "trials: 1 or 2" in accuracy.containers[1].get_label()
    assert table_figure.draw([], {}) is None


def test_reports_on_what_is_finished(tmp_path):
    """One network, of which one round is measured and another by half; the rest is missing."""
    made = network(tmp_path, "lenet5")
    for number in (2, 3):
        shutil.rmtree(tmp_path / made["name"] / "rounds" / str(number))
    lost, _ = (measurement(text).files(str(tmp_path / made["name"]))[1] for text in TEXTS)
    os.remove(lost)
    text = written(tmp_path, [made, None])
    assert "1 of 2 cells" in text
    assert row(text, "linear, 1 against 7", "## Linear models")[1] == "-"
    assert row(text, "LeNet-300-100, l1 0 ", "## Table 1")[2].startswith("- (0.2862")
    assert row(text, "1", "## Rounds: LeNet-5")[2:4] == ["98.00", "-"]
    assert {"figure_2.png", "figure_3.png"} <= {*os.listdir(tmp_path / "figures")}
    assert "figure_1.png" not in os.listdir(tmp_path / "figures")


def test_nothing_is_measured_yet(tmp_path):
    made = cell(tmp_path, [[{"none": 0.9}]], [1.0], **TRAINING, model="mlp", l2=0.0005)
    text = written(tmp_path, [made])
    assert "Of 0 numbers 0 are within" in text and "1 of 1 cells" in text
    assert "## Rounds" not in text


def test_what_could_not_be_measured_is_told(tmp_path):
    made = network(tmp_path, rounds=3)
    for number, why in enumerate(("no ReLU", "no ReLU", "one class")):
        path = measurement(TEXTS[0]).files(str(tmp_path / made["name"]))[number]
        measures(path, missing={"bounds": why})
    text = written(tmp_path, [made])
    assert "**Note:** bounds not measured: no ReLU (the first of 2 such)" in text
    assert "**Note:** bounds not measured: one class\n" in text


def test_published_numbers_may_be_missing(whole, monkeypatch):
    folder, cells = whole
    study = published.load(STUDY)
    del study["table_1_l1"]["lenet_300_100"][1], study["linear"]
    monkeypatch.setattr(published, "load", lambda name: study)
    text = written(folder, cells)
    assert "No published number of linear, 1 against 7: accuracy (%)" in text
    assert row(text, "LeNet-300-100, l1 0.002", "## Table 1")[2] == "0.4000"
    assert row(text, "LeNet-300-100, l1 0.01", "## Table 1")[2] == "0.2000"
    assert "; LeNet-300-100, l1 0.002: r_inf FGS" in text


@pytest.mark.parametrize("path", sorted(FLAGFILES.glob("*.flags")), ids=lambda path: path.stem)
def test_flagfiles_are_sound(path):
    """All their flags, and those of each cell."""
    found = cells_of(path)
    assert all(values["iterations"] == values["evaluate_every"] for values in found)
    assert all(len(values["classes"]) in (0, 2) for values in found)
    assert {(values["strategy"], values["prune_rounding"]) for values in found} == {
        ("continued", "down")
    }
    models = [values["model"] for values in found]
    assert min(models.count(name) for name in set(models)) >= LEAST.get(path.stem, 10)


def test_short_has_every_network():
    """The models and the penalties of the sweeps in full, all measures and both ensembles."""
    short = cells_of(FLAGFILES / "short.flags")
    paths = {path for path in FLAGFILES.glob("*.flags") if "cifar" not in path.stem}
    full = [values for path in paths if path.stem != "short" for values in cells_of(path)]
    names = ("model", "classes", "activity_l1", "weight_l1", "l2")
    kinds: list[dict] = [{}, {}]  # the most rounds of each
    for rounds, found in zip(kinds, (short, full), strict=True):
        for values in found:
            kind = tuple(str(values[name]) for name in names)
            rounds[kind] = max(values["rounds"], rounds.get(kind, 0))
    assert kinds[0] == kinds[1]
    asked = [
        {name for path in own for name in words(path, "measures") | words(path, "attacks")}
        for own in ([FLAGFILES / "short.flags"], paths)
    ]
    assert asked[0] == asked[1] and {"clever", "lipschitz", "bounds", "standard"} < asked[0]


def words(path, flag):
    """The values of a flag of the sweep's measures or attacks."""
    found = re.findall(rf"--{flag}=(\S*)", path.read_text())
    return {word for words in found for word in words.split(",")}


def cells_of(path):
    return Sweep(["sweep", f"--flagfile={path}"], studies.BY_NAME, write_report).cells


@pytest.mark.slow  # processes of their own
def test_a_sweep_in_full(tmp_path):
    """Training, pruning, measuring and reporting, on digits."""
    argv = ["--dataset=digits", "--validation_size=50", "--attack=none", "--eval_attacks="]
    argv += ["--optimizer=sgd", "--learning_rate=0.05", "--learning_rate_schedule=InverseDecay"]
    argv += ["--strategy=continued", "--rounds=3", "--iterations=200", "--evaluate_every=200"]
    argv += ["--batch_size=32", "--prune_rounding=down", f"--study={STUDY}"]
    argv += ["--grid=model=binary_linear,classes=1+7", "--grid=model=mlp,activity_l1=0,0.01"]
    argv += ["--measure=--measures=r_inf,deepfool,bounds,activation_sparsity"]
    argv += ["--evaluate=--attacks=quick --epsilons=0.1 --at_rounds=0,2 --examples=20"]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.sweep", *argv, f"--output_dir={tmp_path}"],
        cwd=FLAGFILES.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = Path(done.stdout.splitlines()[-1], "report.md").read_text()
    assert "## Beyond" in text and "3 of 3 cells" in text
    r_2 = [float(row(text, str(n), "## Rounds: linear, 1 against 7")[5]) for n in range(3)]
    assert all(value > 0.5 for value in r_2)
    assert len(row(text, "2", "## Rounds: LeNet-300-100")) == 7
