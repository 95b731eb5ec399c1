"""The report of "Towards lighter adversarially robust model", of cells made by hand; its runs."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from study_cells import cell, measures, row, sweep, write_report, write_tables

from experiments import measure, report
from experiments.evaluations.follow_up import measurement
from experiments.reports import published
from experiments.runs import options as flags
from experiments.runs.training_run import TrainingRun
from experiments.studies.lighter_robust_model import findings as held
from experiments.studies.lighter_robust_model.numbers import Pruned, Ticket
from experiments.studies.lighter_robust_model.protocol import SCALES, parameters, units
from experiments.sweeps.grid import cells as grid_cells
from experiments.sweeps.sweep import _REPEATED
from robust_sparse_tf import models

STUDY = "lighter_robust_model"
TEXT = "--measures=usefulness --at_rounds=0"
FLAGFILES = Path(report.__file__).parent / "studies" / STUDY
STEPS = {"attack.steps": 10, "attack.step_size": 0.05}
ROUNDS = [1.0, 0.7, 0.49]
SGD = {"optimizer": "sgd"}
TICKETS = {"prune_hidden": 0.3, "prune_output": 0.3, "prune_until": 0.002}


def capacity(folder, width, attack, clean, fgsm, pgd, **given):
    found = [[{"none": clean, "fgsm": fgsm, "pgd": pgd}]]
    given = dict(model="capacity_cnn", width=width, attack=attack, rounds=1) | SGD | given
    return cell(folder, found, [1.0], dataset="mnist", **given)


def binary(folder, attack, prune_measure, *, measured=True, **given):
    """Two features of three are useful, one of them under attack, too; one of them goes a round."""
    whole = given.get("prune_features") == 0
    losses = (0, -0.001, -0.002) if whole else (0, 0.005, 0.2)
    found = [[{"none": 0.99 - lost, "pgd": 0.6 - lost}] for lost in losses]
    extra = given
    given = dict(dataset="mnist", model="binary_cnn", classes=["3", "7"], strategy="continued")
    given |= SGD | dict(attack=attack, prune="features", prune_measure=prune_measure)
    given |= extra
    made = cell(folder, found, ROUNDS, **given)
    for entry, left in zip(
        made["rounds"], [0.03] * 3 if whole else (0.03, 0.02, 0.01), strict=True
    ):
        entry["layers"] = {"output": left}
    (folder / made["name"] / "results.json").write_text(json.dumps(made))
    if measured:
        names = ("raw", "weighted", "normalised")
        use = {name: [0.5, 0.25, -0.25] for name in names}
        use |= {f"{name}_robust": [0.25, -0.5, -0.5] for name in names}
        (path,) = measurement(TEXT).files(str(folder / made["name"]))
        measures(path, usefulness=use)
    return made


def ticket(folder, attack, strategy, *, gain=0.0, **given):
    found = [[{"none": 0.9 + gain, "fgsm": 0.5 + 2 * gain}]] + [
        [{"none": 0.8 + gain, "fgsm": 0.4 + 2 * gain}]
    ] * 2
    given = dict(model="mlp_300_100_100", attack=attack, strategy=strategy) | TICKETS | given
    return cell(folder, found, ROUNDS, dataset="mnist", eval_attacks=["fgsm"], **given)


def written(folder, cells, write=write_tables) -> str:
    return write(str(sweep(folder, STUDY, cells, measurements=[TEXT])))


@pytest.fixture
def whole(tmp_path):
    cells = [
        capacity(tmp_path, 1, "fgsm", 0.9, 0.1, 0.0),
        capacity(tmp_path, 8, "fgsm", 0.98, 0.97, 0.02),
        capacity(tmp_path, 8, "pgd", 0.98, 0.9, 0.84),
        capacity(tmp_path, 8, "pgd", 0.96, 0.9, 0.82, seed=1),
        capacity(tmp_path, 8, "pgd", 0.5, 0.4, 0.3, rounds=2),  # is pruned, and does not count
        binary(tmp_path, "none", "usefulness"),
        binary(tmp_path, "pgd", "robust_usefulness"),
        ticket(tmp_path, "none", "original", gain=0.05),
        ticket(tmp_path, "none", "random"),
        ticket(tmp_path, "fgsm", "original", gain=-0.05),
        ticket(tmp_path, "fgsm", "random"),
    ]
    return tmp_path, cells


def test_ours_stand_beside_the_published(whole):
    folder, cells = whole
    text = written(folder, cells)
    known = published.load(STUDY)
    assert row(text, "0", "## Table I")[1:4] == ["2, 4", "100", "7,766 (5590)"]
    assert row(text, "5", "## Table I")[1:3] == ["64, 128", "3,200"]
    clean, pgd = (known["table_2_pgd_trained"][name][3] for name in ("clean", "pgd"))
    shown = row(text, "3", "## Table II: trained with PGD")
    assert shown[1:] == [f"97.00 ± 1.41 ({clean})", "90.00 ± 0.00", f"83.00 ± 1.41 ({pgd})"]
    clean, fgsm = (known["table_3_fgsm_trained"][name][3] for name in ("clean", "fgsm"))
    shown = row(text, "3", "## Table III: trained with FGSM")
    assert shown[1:] == [f"98.00 ({clean})", f"97.00 ({fgsm})", "2.00"]
    assert row(text, "1", "## Table III")[1].startswith("- (")
    assert "Scales not run: 1, 2, 4, 5." in text
    assert "Scales without published numbers: 4, 5." in text
    assert "11 of 11 cells" in text


def test_says_how_the_networks_were_trained(tmp_path):
    cells = [
        capacity(tmp_path, width, "pgd", 0.9, 0.5, 0.4, iterations=count, **STEPS)
        for width, count in ((1, 1000), (2, 1000), (16, 300))
    ]
    cells.append(ticket(tmp_path, "fgsm", "random", iterations=300, **STEPS))
    text = written(tmp_path, cells)
    assert (
        "capacity_cnn of scale 0, capacity_cnn of scale 1: 1,000 at sgd's learning rate 0.0012; "
        "capacity_cnn of scale 4: 300 at sgd's learning rate 0.0012; mlp_300_100_100: 300 a round"
    ) in text
    assert "PGD, in training and in tests, takes 10 steps of 0.05. The paper" in text
    assert "Measured on the first test images" in text


def test_features_and_their_pruning(whole):
    folder, cells = whole
    text = written(folder, cells)
    shown = row(text, "with PGD", "## Features of 3 against 7")
    assert shown == ["with PGD", "99.00", "-", "60.00", "3", "2", "1", "0.1667", "-0.2500"]
    shown = row(text, "naturally", "## Pruning the least useful features")
    assert shown == ["naturally", "usefulness", "3", "99.00", "-", "60.00"]
    assert "Trained with PGD, 1 of 2 useful features are robustly useful." in text
    assert (
        "Trained with PGD and pruned by robust usefulness, accuracy is within 1 point of that of "
        "all 3 features down to 2 (clean) and 2 (under PGD)." in text
    )
    stored = json.loads((folder / "report.json").read_text())["study"]
    assert [entry["features"] for entry in stored["pruning"]] == [3, 2, 1, 3, 2, 1]


def test_pruning_is_beside_a_control_of_equal_length(tmp_path):
    """Part of the same tables: its training is the paper's."""
    cells = [binary(tmp_path, "pgd", "usefulness")]
    assert (
        "- The cost of pruning features, compared with networks trained equally long: not tested."
        in written(tmp_path, cells)
    )
    cells.append(binary(tmp_path, "pgd", "robust_usefulness", prune_features=0))
    text = written(tmp_path, cells)
    assert "Part 2" not in text and "Not the paper's settings" not in text
    assert "| with PGD | nothing (control) | 3 | 99.20 | - | 60.20 |" in text
    assert (
        "- Trained with PGD and pruned by usefulness, accuracy with 1 features left is 40.00 % "
        "(under PGD), and with all 3, trained equally long, 60.20 %: pruning costs at most 1 "
        "point: not "
        "held." in text
    )
    assert "nothing (control), accuracy" not in text


def test_the_published_breakpoints_stand_beside_ours(tmp_path):
    """Which are 1.5 and 11.9 % of the weights, trained naturally; and none of 100 features."""
    cells = [ticket(tmp_path, "none", name, gain=0.05) for name in ("original", "random")]
    cells.append(binary(tmp_path, "none", "usefulness"))
    text = written(tmp_path, cells)
    for name, theirs in (("original", 1.5), ("random", 11.9)):
        assert (
            f"- Trained naturally, {name} initialisations keep clean accuracy within 1 point of "
            "the dense network's down to 100.00 % of the weights (published: down to about "
            f"{theirs} %): not held, it falls earlier." in text
        )
    assert (
        "1 of 2 useful features are robustly useful (published: 0 of 100 features): not held"
        in text
    )
    assert "## Table II" not in text and "Test accuracy in percent, one seed; `random`" in text


@pytest.mark.parametrize(
    "strategy, accuracies, verdict",
    [
        ("original", {24: 98, 12: 98, 8: 90}, "down to 12.00 % .* %\\): held"),
        ("random", {24: 98, 12: 98, 8: 90}, "held"),
        ("random", {24: 98, 17: 98, 12: 90}, "held"),  # a round earlier
        ("random", {24: 98, 12: 90, 8: 90}, "not held, it falls earlier"),
        ("random", {24: 98, 12: 98, 8: 97.5, 6: 90}, "not held, it falls later, if at all"),
        ("original", {24: 98, 12: 98, 8: 97.5, 6: 90}, "held"),
        ("random", {24: 98}, "not tested, as there are no sparser networks"),
    ],
)
def test_breakpoints(strategy, accuracies, verdict):
    rounds = [
        Ticket(
            trained="none",
            strategy=strategy,
            round=number,
            weights=weights,
            accuracies={"none": accuracy},
        )
        for number, (weights, accuracy) in enumerate(({100: 98.5} | accuracies).items())
    ]
    (line,) = held.breakpoints(rounds, {("none", strategy): 11.9})
    assert re.search(f"{verdict}\\.$", line)
    assert not held.breakpoints(rounds, {})


def test_tickets_beside_those_drawn_anew(whole):
    folder, cells = whole
    text = written(folder, cells)
    shown = row(text, "1", "## Lottery tickets trained naturally")
    assert shown == ["1", "70.00", "85.00", "80.00", "50.00", "40.00", "-", "-"]
    assert (
        "Trained naturally, the original initialisation is better than another one (clean) in 2 of "
        "2 pruned rounds, by +5.00 points on average." in text
    )
    assert "(under FGSM) in 0 of 2 pruned rounds, by -10.00 points" in text


def test_only_the_drawn_rounds_are_compared(whole, monkeypatch):
    folder, cells = whole
    study = published.load(STUDY)
    study["lottery"]["rounds_drawn"] = 2
    monkeypatch.setattr(published, "load", lambda name: study)
    assert "in 1 of 1 pruned rounds, by +5.00 points" in written(folder, cells)


def test_says_from_which_scale_networks_are_robust(whole):
    folder, cells = whole
    text = written(folder, cells)
    assert (
        "Trained with FGSM, the minimum scale from which networks are robust to FGSM on most "
        "images is 3 (published: 3), of scales 0, 3." in text
    )
    assert (
        "Trained with FGSM, FGSM leaves at least 30 points more than PGD at scale 3 (97.00 and "
        "2.00 %): robustness to FGSM is illusory there." in text
    )
    stored = json.loads((folder / "report.json").read_text())["study"]
    assert all(f"- {line}" in text for line in stored["held"])


def test_draws_the_figures(whole):
    folder, cells = whole
    text = written(folder, cells, write_report)
    names = sorted(path.name for path in (folder / "figures").glob("*.png"))
    assert names == ["capacity.png", "pruning.png", "tickets.png", "usefulness.png"]
    for name in names:
        assert f"(figures/{name})" in text
        assert image.imread(folder / "figures" / name).shape[0] > 250


@pytest.mark.parametrize(
    "make, figures",
    [
        (lambda folder: capacity(folder, 2, "pgd", 0.9, 0.5, 0.4), ["capacity.png"]),
        (lambda folder: binary(folder, "pgd", "usefulness", measured=False), ["pruning.png"]),
        (lambda folder: ticket(folder, "none", "random"), ["tickets.png"]),
        (lambda folder: capacity(folder, 3, "pgd", 0.9, 0.5, 0.4), []),  # no scale of the paper
    ],
)
def test_reports_on_what_is_finished(tmp_path, make, figures):
    text = written(tmp_path, [make(tmp_path), None])
    assert "1 of 2 cells" in text
    assert ("Table II: trained with PGD: not run." in text) == (figures != ["capacity.png"])
    assert ("Features and their pruning: not run." in text) == (figures != ["pruning.png"])
    assert ("Lottery tickets: not run." in text) == (figures != ["tickets.png"])
    assert sorted(os.listdir(tmp_path / "figures")) == figures


def test_published_numbers_may_be_missing(whole, monkeypatch):
    folder, cells = whole
    study = published.load(STUDY)
    for name in ("capacity_scales", "lottery", "table_2_pgd_trained", "robust_features"):
        del study[name]
    del study["table_3_fgsm_trained"]["fgsm"][1]  # of which scale is not to be known
    monkeypatch.setattr(published, "load", lambda name: study)
    text = written(folder, cells)
    assert row(text, "0", "## Table I")[3] == "7,766 (-)"
    assert row(text, "3", "## Table II: trained with PGD")[1] == "97.00 ± 1.41"
    assert row(text, "3", "## Table III")[2] == "97.00"
    assert text.count("Scales without published numbers: 0, 1, 2, 3, 4, 5.") == 2
    assert "3, of scales 3." in text and "(published: " not in text[text.index("## What held") :]


@pytest.mark.parametrize("scale", SCALES)
def test_sizes_are_those_of_the_networks(scale):
    network = models.capacity_cnn(width=2**scale)
    kernels = [weight.shape[-1] for weight in network.weights if "kernel" in weight.name]
    assert (*units(scale), 10) == tuple(kernels)
    assert parameters(scale) == network.count_params()


def test_accuracy_is_kept_down_to_the_first_round_that_loses_it():
    entries = [
        Pruned(
            trained="none",
            measure="usefulness",
            share=0.3,
            round=number,
            features=left,
            accuracies={"none": accuracy},
        )
        for number, (left, accuracy) in enumerate(((100, 98.0), (70, 97.5), (49, 90.0), (34, 98.0)))
    ]
    (line,) = held.pruning(entries)
    assert line.endswith("of all 100 features down to 70 (clean).")


@pytest.mark.parametrize("path", sorted(FLAGFILES.glob("*.flags")), ids=lambda path: path.stem)
def test_flagfiles_are_of_cells_that_can_be_run(path):
    values = flags.parse(["sweep", f"--flagfile={path}"], repeated=_REPEATED)
    grids = values.pop("grid")
    asked = {name: values.pop(name) for name in _REPEATED if name != "grid"}
    assert asked["study"] == [STUDY] and asked["evaluate"]
    found = grid_cells(flags.given(values), grids)
    for each in found:
        TrainingRun(each)
    assert len(found) == len({json.dumps(each, sort_keys=True) for each in found})
    assert all(each["rounds"] == 1 for each in found if each["model"] == "capacity_cnn")
    if path.stem == "short":
        nets = [(each["model"], each["attack"], each["width"]) for each in found]
        for width in (1, 2, 4, 8):
            assert ("capacity_cnn", "pgd", width) in nets
        for width in (1, 2, 4, 8, 16):
            assert ("capacity_cnn", "fgsm", width) in nets
        ways = {(each["prune_measure"], each["attack"]) for each in found if each["classes"]}
        assert len(ways) == 4
        drawn = {(e["attack"], e["strategy"]) for e in found if e["model"] == "mlp_300_100_100"}
        assert len(drawn) == 4


def test_features_are_pruned_by_a_run(cli, tmp_path):
    """Of digits: half of ten features go each round, and the rest continues."""
    argv = "--dataset=digits --classes=3,7 --model=mlp_300_100_100 --width=0.1 --attack=none "
    argv += "--prune=features --prune_features=0.5 --prune_images=40 --strategy=continued "
    argv += "--rounds=3 --iterations=20 --evaluate_every=20 --branches=1 --learning_rate=0.01"
    outcome = cli.call([*argv.split(), f"--output_dir={tmp_path}"], light=True)
    assert outcome.code == 0, outcome.err
    path, rounds = outcome.path, outcome.results["rounds"]
    assert [entry["layers"]["logits"] for entry in rounds] == [1.0, 0.5, 0.3]
    found = [np.load(path / "rounds" / str(number) / "masks.npz") for number in range(3)]
    features = [masks["logits"].any(axis=1) for masks in found]
    assert [rows.sum() for rows in features] == [10, 5, 3]
    assert (features[1] | ~features[2]).all()  # what is gone stays away
    assert (found[2]["hidden_3"].any(axis=0) == features[2]).all()
    assert measure.main(["measure", f"--model={path}", *TEXT.split()]) == 0
    (stored,) = path.glob("rounds/0/measures-*.json")
    assert len(json.loads(stored.read_text())["measures"]["usefulness"]["weighted_robust"]) == 10
