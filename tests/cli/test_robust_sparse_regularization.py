"""The report of "Robust Sparse Regularization", of cells made by hand."""

import json

import numpy as np
import pytest
import tf_keras as keras
from study_attacks import attacked
from study_cells import cell, measures, row, sweep, write_report, write_tables

from experiments.evaluations import stored, weights
from experiments.evaluations.follow_up import measurement
from experiments.reports import published
from experiments.studies import after_sweep
from experiments.studies.robust_sparse_regularization import black_box
from experiments.studies.robust_sparse_regularization import report as rsr
from experiments.studies.robust_sparse_regularization.protocol import EPSILON, NETWORKS, STEP
from robust_sparse_tf import data
from robust_sparse_tf.errors import InputError

STUDY = "robust_sparse_regularization"
NUMBERS = [
    "--attacks=pgd,fgsm --epsilons=8/255 --steps=7 --step_size=2/255 --random_start=true "
    f"--check_masking=false --seed={seed} --at_rounds=1,2"
    for seed in (0, 1)
]
OFF = "noise=channel --attacks=pgd,fgsm --epsilons=8/255 --noise=off --at_rounds=2"
TEXT = "--measures=weights --at_rounds=1"
PAPER = {
    "dataset": "cifar10",
    "augment": "crop_flip",
    "normalize": "dataset",
    "validation_size": 1000,
    "method": "dense",
    "batch_size": 128,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "nesterov": True,
    "l2": 3e-4,
    "eval_attacks": ["pgd", "fgsm"],
    "eval.epsilon": EPSILON,
    "eval.step_size": STEP,
    "eval.random_start": True,
}
ADVERSARIAL = {
    "attack": "pgd",
    "attack.epsilon": EPSILON,
    "attack.step_size": STEP,
    "attack.random_start": True,
    "attack.attack_labels": "predicted",
    "clean_epochs": 5,
    "robust_epochs": 155,
    "prune_after": "threshold",
}
LASSO = {"objective": "rsr", "weight_l1": 1e-5}
RSR = LASSO | {"noise": "channel"}


def network(folder, model, sparsity, pgd, *, lost=0.0, **given):
    """A clean round, an adversarial one, and one pruned to a sparsity that loses some accuracy."""
    found = [
        [{"none": 0.9, "pgd": 0.0, "fgsm": 0.1}],
        [{"none": 0.8, "pgd": pgd, "fgsm": pgd + 0.1}],
        [{"none": 0.8 - lost, "pgd": pgd - lost, "fgsm": pgd + 0.1 - lost}],
    ]
    given = PAPER | ADVERSARIAL | {"model": model, "prune_to": [str(sparsity)]} | given
    return cell(folder, found, [1.0, 1.0, 1 - sparsity], every=30_000, **given)


def written(folder, cells, write=write_tables, evaluations=(), measurements=()) -> str:
    content = {"evaluations": list(evaluations), "measurements": list(measurements)}
    return write(str(sweep(folder, STUDY, cells, **content)))


@pytest.fixture
def few(tmp_path):
    cells = [
        network(tmp_path, "resnet18", 0.8543, 0.44, lost=0.13),
        network(tmp_path, "resnet18", 0.8536, 0.53, **RSR),
        network(tmp_path, "resnet18", 0.3833, 0.45, width=0.25, **RSR),
    ]
    return tmp_path, cells


def test_every_published_row_appears(few):
    text = written(*few)
    for name in NETWORKS.values():
        for phase in ("before pruning", "after pruning"):
            for title in ("PGD", "CNI", "Lasso", "RSR"):
                assert len(row(text, f"{name}, {phase}, {title}", "## Table 1")) == 5
    assert row(text, "ResNet-18, before pruning, RSR")[1:3] == ["80.00 (86.95)", "53.00 (52.94)"]
    shown = row(text, "ResNet-18, after pruning, PGD")
    assert shown[1:] == ["67.00 (70.31)", "31.00 (31.00)", "41.00 (35.80)", "85.43 (85.43)"]
    assert row(text, "VGG-16, after pruning, Lasso")[1] == "- (83.24)"
    assert "Not run: ResNet-20, before pruning, PGD; " in text
    for number in (2, 3, 4, 5):
        assert f"\n## Table {number}" in text
    assert row(text, "x 0.25, RSR, pruned")[3:] == ["38.33 (38.33)", "3.87 (7.70)"]
    assert row(text, "Robust Self Ensemble")[1:] == ["(87.5)", "(40.0)", "(0)"]
    assert "Figure 1: not run." in text and "Figure 2 (c): not run." in text


def test_contradictions_of_the_text_are_told(few):
    text = written(*few)
    assert "## How it was read" in text
    for words in ("14.37", "138,357,544", "86.82 and 47.85", "5 evaluations", "largest gain"):
        assert words in text
    assert all(line in text for line in rsr.READ)


def test_claims_one_by_one(few):
    text = written(*few)
    shown = row(text, "RSR resists PGD better than training with PGD, both unpruned", "## Claims")
    assert shown[1:] == ["ResNet-18: 53.00 against 44.00", "held"]
    shown = row(text, "ResNet-18: RSR, pruned, gains on PGD", "## Claims")
    assert shown[1:] == ["+9.00 points (published +8.72)", "held"]
    assert row(text, "VGG-16: RSR gains under PGD", "## Claims")[1:] == ["-", "not tested"]
    stored_claims = json.loads((few[0] / "report.json").read_text())["study"]["claims"]
    assert len(stored_claims) == 21


def test_a_few_steps_have_no_verdict(tmp_path):
    found = [[{"none": 0.1, "pgd": 0.1, "fgsm": 0.1}]] * 3
    given = PAPER | ADVERSARIAL | {"model": "resnet18", "prune_to": ["0.8536"], "width": 0.25}
    cells = [cell(tmp_path, found, [1, 1, 0.1464], **given, **own) for own in ({}, RSR)]
    text = written(tmp_path, cells)
    assert "**Of a few steps:**" in text
    assert "resnet18 x 0.25. Training: 30 steps of batch 128" in text
    shown = row(text, "RSR resists PGD better than training with PGD, both", "## Claims")
    assert shown[2] == "not tested: too short"


def test_both_deviations(tmp_path):
    """Two seeds, each evaluated twice."""
    cells = [network(tmp_path, "vgg16", 0.5093, 0.5, seed=seed, **RSR) for seed in (0, 1)]
    for number, made in enumerate(cells):
        for place, text in enumerate(NUMBERS):
            pgd = 0.4 + 0.1 * number + 0.02 * place
            own = {"clean": 0.8, "pgd": pgd, "fgsm": 0.6}
            attacked(text, tmp_path / made["name"], [own, own])
    text = written(tmp_path, cells, evaluations=NUMBERS)
    shown = row(text, "VGG-16, before pruning, RSR")
    assert shown[2] == "46.00 ± 7.07 [1.41] (47.05)"


def test_noise_off_differs_by_the_switch_alone(tmp_path):
    """The same round of the same network; networks without noise are not evaluated so."""
    cells = [
        network(tmp_path, "vgg16", 0.5093, 0.47, **RSR),
        network(tmp_path, "vgg16", 0.5062, 0.37),
    ]
    attacked(OFF, tmp_path / cells[0]["name"], [{"clean": 0.83, "pgd": 0.41, "fgsm": 0.5}])
    text = written(tmp_path, cells, evaluations=[OFF])
    assert row(text, "RSR, noise at inference")[1:] == ["80.00 (83.02)", "47.00 (47.70)"]
    assert row(text, "RSR, the same network without it")[1:] == ["83.00 (83.47)", "41.00 (41.61)"]
    assert row(text, "PGD", "## Table 5")[1:] == ["80.00 (82.88)", "37.00 (37.57)"]
    assert row(text, "VGG-16, pruned: noise at inference", "## Claims")[1] == "47.00 against 41.00"


def test_shares_below_gamma_are_those_of_numpy():
    kernels = [np.random.default_rng(n).normal(0, 0.01, (3, 3, 4, 5 + n)) for n in range(2)]
    every = np.abs(np.concatenate([kernel.ravel() for kernel in kernels]))
    for gamma, share in weights.below(kernels).items():
        assert share == pytest.approx(np.mean(every < float(gamma)))


def test_figures_of_weights(tmp_path):
    cells = [network(tmp_path, "resnet18", 0.8536, 0.53, **RSR)]
    (path,) = measurement(TEXT).files(str(tmp_path / cells[0]["name"]))
    own = stored.Weights(
        below={"1e-07": 0.1, "1e-05": 0.85, "0.1": 1.0},
        counts=[1, 2, 1],
        edges=[-1.0, -0.5, 0.5, 1.0],
        noise={"conv": 0.25, "dense": 0.05},
    )
    measures(path, weights=own)
    text = written(tmp_path, cells, write_report, measurements=[TEXT])
    assert (tmp_path / "figures" / "figure_1.png").exists()
    assert (tmp_path / "figures" / "figure_2.png").exists()
    assert row(text, "rsr", "Weights of ResNet-18's")[1:] == ["10.00", "85.00", "100.00"]
    assert row(text, "ResNet-18 x 1 rsr", "## Beyond the paper: size")[2:] == [
        "0.1500",
        "0.0500",
        "0.2500",
    ]
    assert row(text, "ResNet-18: 85 %", "## Claims")[1:] == ["85.00 against 85.00", "held"]


def test_rivals_are_apart(tmp_path):
    cells = [
        network(tmp_path, "resnet18", 0.8543, 0.44),
        network(tmp_path, "resnet18", 0.9, 0.4, method="rigl", density=0.2),
    ]
    text = written(tmp_path, cells)
    assert row(text, "ResNet-18 x 1 rigl mixed", "## Beyond the paper: rivals")[2] == "40.00"
    assert row(text, "ResNet-18, before pruning, PGD")[2].startswith("44.00 (")
    assert "Not the paper's settings" not in text


@pytest.mark.parametrize("given", [{"l2": 0.0}, {"attack.step_size": 0.01}, {"augment": "none"}])
def test_other_settings_have_no_published_numbers(given, tmp_path):
    text = written(tmp_path, [network(tmp_path, "resnet18", 0.8543, 0.44, **given)])
    assert "**Not the paper's settings:**" in text
    assert row(text, "ResNet-18, before pruning, PGD")[1:3] == ["80.00", "44.00"]
    assert "(86.11)" not in text and "(published, not run)" not in text


def test_a_lost_row_of_the_published_numbers_is_named(few, monkeypatch):
    content = published.load(STUDY)
    del content["table_1"]["vgg16"]["after_pruning"]["lasso"]
    monkeypatch.setattr(published, "load", lambda study: content)
    with pytest.raises(InputError, match="has no table_1/vgg16/after_pruning/lasso; a row is lost"):
        written(*few)


def near_the_boundary():
    """Two classes, and images that are right by very little."""
    network = keras.Sequential(
        [keras.Input((3, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    network.layers[-1].set_weights([np.tile([[1.0, -1.0]], (9, 1)), np.array([-4.45, 4.45])])
    return network, np.full((6, 3, 3, 1), 0.5, "float32"), np.zeros(6, "int64")


def test_zoo_breaks_a_network_that_is_right_by_little():
    """Of seven images, one was wrong before."""
    network, images, labels = near_the_boundary()
    images = np.concatenate([images, np.zeros((1, 3, 3, 1), "float32")])
    labels = np.concatenate([labels, [0]])
    options = black_box.Options(sweep="some", queries=1033)
    found = black_box._zoo(network, images, labels, options)
    assert found["zoo_success"] == found["zoo_success_of_right"] == 100.0


def test_images_are_drawn_once_and_scaled():
    """Whatever their type; too many are refused."""
    images = np.full((5, 8, 8, 1), 255, "uint8")
    test = data.Split(images, np.arange(5), num_classes=5, batch_size=5, shuffle=False, seed=0)
    x, y = after_sweep.drawn_images(test, 4, seed=0)
    assert x.shape == (4, 8, 8, 1) and x.max() == 1.0 and len(set(y)) == 4
    with pytest.raises(InputError, match="examples=6: must be at most 5"):
        after_sweep.drawn_images(test, 6, seed=0)


def test_table_3_is_of_what_was_measured_after_the_sweep(few):
    folder, cells = few
    found = {"zoo_success": 60.0, "zoo_success_of_right": 55.0, "queries": 2000, "images": 20}
    own = found | {"transfer": {"vgg16": 66.0}, "missing": ["the source resnet18 by pgd"]}
    content = {"table_3": {"pgd": own, "rsr": own | {"zoo_success": 50.0}}}
    (folder / "tickets.json").write_text(json.dumps(content))
    text = written(folder, cells)
    shown = row(text, "PGD", "## Table 3")
    assert shown[1:6] == ["60.00 (68.50)", "55.00", "2000", "20", "66.00 (66.13)"]
    assert "Not trained yet: the source resnet18 by pgd." in text
    shown = row(text, "Success of ZOO", "## Claims")
    assert shown[1:] == ["-10.00 points (published -12.00)", "held"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "sweep: must be given"),
        (["--sweep=nowhere"], "nowhere: holds no sweep"),
        (["--sweep=nowhere", "--queries=3"], "queries=3: must be at least 1033"),
    ],
)
def test_black_box_refuses(words, error, capsys):
    assert black_box.main(["black_box", *words]) != 0
    assert error in capsys.readouterr().err


def test_black_box_of_another_study(tmp_path, capsys):
    sweep(tmp_path, "lighter_robust_model", [None])
    assert black_box.main(["black_box", f"--sweep={tmp_path}"]) != 0
    assert "is of study=lighter_robust_model; must be of robust_sparse" in capsys.readouterr().err
