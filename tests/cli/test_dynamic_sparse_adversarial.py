"""The report of "Dynamic Sparse Adversarial Training", of cells made by hand."""

import json

import numpy as np
import pytest
import tf_keras as keras
from study_cells import cell, measures, row, sweep, write_report, write_tables

from experiments.evaluations import weights
from experiments.evaluations.follow_up import measurement
from experiments.reports import published
from experiments.studies.dynamic_sparse_adversarial import attention, explanations
from experiments.studies.dynamic_sparse_adversarial import report as study
from robust_sparse_tf import models
from robust_sparse_tf.errors import InputError

STUDY = "dynamic_sparse_adversarial"
TEXT = "--measures=weights --at_rounds=0,1"
PAPER = {
    "dataset": "cifar10",
    "augment": "crop_flip",
    "validation_size": 5000,
    "batch_size": 128,
    "learning_rate": 0.001,
    "eval_attacks": ["fgsm", "pgd"],
    "eval.epsilon": 0.3,
    "eval.step_size": 0.075,
    "eval.steps": 7,
    "eval.random_start": True,
    "clean_epochs": 50,
    "robust_epochs": 50,
}
ADVERSARIAL = {
    "objective": "adversarial",
    "attack.epsilon": 0.3,
    "attack.step_size": 0.075,
    "attack.steps": 7,
    "attack.random_start": True,
}
DYNAMIC = {
    "distribution": "erk",
    "density": 0.505,
    "drop_fraction": 0.3,
    "update_interval": 100,
    "drop_decay": "constant",
}


def network(folder, attack, method, clean, robust, **given):
    """A clean phase of 90 % and no robustness, and one with these accuracies under both attacks."""
    found = [
        [{"none": 0.9, "fgsm": 0.2, "pgd": 0.0}],
        [{"none": clean, "fgsm": robust, "pgd": robust}],
    ]
    own = PAPER | {"model": "resnet34", "attack": attack, "method": method}
    own |= {} if attack == "none" else ADVERSARIAL
    own |= {} if method == "dense" else DYNAMIC
    return cell(folder, found, [1.0, 1.0], every=17_600, **(own | given))


def written(folder, cells, write=write_tables, measurements=()) -> str:
    return write(str(sweep(folder, STUDY, cells, measurements=list(measurements))))


@pytest.fixture
def few(tmp_path):
    cells = [
        network(tmp_path, "none", "dense", 0.91, 0.1),
        network(tmp_path, "fgsm", "dense", 0.85, 0.80),
        network(tmp_path, "fgsm", "set", 0.92, 0.97),
        network(tmp_path, "pgd", "rigl", 0.74, 0.44),
    ]
    return tmp_path, cells


def line(text: str, training: str, attack: str, method: str) -> list[str]:
    """The row of table I."""
    return row(text, f"{training} | {attack} | {method} |", "## Table I")


def test_every_published_row_appears(few):
    text = written(*few)
    known = published.load(STUDY)["table_1_resnet34"]
    assert len(known) == 21
    names = {"none": "none", "fgsm": "FGSM", "pgd": "PGD", "fc": "FC", "set": "SET", "rigl": "RigL"}
    for key, own in known.items():
        shown = line(text, *(names[word] for word in key.split("/")))
        for place, dataset in ((3, "cifar10"), (4, "cifar100")):
            assert f"({own[f'{dataset}_accuracy']:.2f})" in shown[place]
            assert f"({own[f'{dataset}_connections'] / 1e6:.2f})" in shown[place + 2]
    assert line(text, "none", "FGSM", "FC")[3] == "20.00 (2.54)"
    assert line(text, "FGSM", "FGSM", "SET")[3] == "97.00 (97.59)"
    assert line(text, "PGD", "none", "RigL")[3] == "74.00 (74.09)"
    assert "Not run: CIFAR-10: robust training none, SET; " in text
    assert "CIFAR-100: robust training PGD, RigL" in text
    assert row(text, "CIFAR-10, FC", "Clean epochs instead")[1:] == ["91.00", "10.00", "10.00"]


def test_contradictions_of_the_text_are_told(few):
    text = written(*few)
    assert all(each in text for each in study.READ)
    for words in ("caption of figure 3", "21,328,292", "out of reach", "18 trainings each"):
        assert words in text
    assert "is of a network of 100 outputs" in text or "is a network of 100 outputs" in text


def test_claims_one_by_one(few):
    text = written(*few)
    shown = row(text, "CIFAR-10: the largest gain", "## Claims")
    assert shown[1:] == ["+17.00 points (published +17.00)", "held"]
    assert row(text, "CIFAR-100: the largest gain", "## Claims")[1:] == ["-", "not tested"]
    assert row(text, "Clean training gives none to PGD", "## Claims")[2] == "held"
    assert "Here 1 of 2 networks do: CIFAR-10, SET (97.00 under FGSM, 92.00 clean)." in text
    content = json.loads((few[0] / "report.json").read_text())["study"]
    assert len(content["claims"]) == 13 and not content["short"]


def test_connections_are_those_measured(few):
    folder, cells = few
    (path, later) = measurement(TEXT).files(str(folder / cells[1]["name"]))
    measures(later, numbers={"connections": 21_282_122})
    text = written(folder, cells, measurements=[TEXT])
    assert line(text, "FGSM", "none", "FC")[5] == "21.28 (21.33)"
    assert line(text, "none", "none", "FC")[5] == "- (21.33)"


@pytest.mark.parametrize(("classes", "count"), [(100, 21_328_292), (10, 21_282_122)])
def test_connections_of_dense_resnet_34(classes, count):
    network = models.resnet34((32, 32, 3), classes)
    network.set_weights([np.ones_like(weight) for weight in network.get_weights()])
    assert weights.connections(network) == count


def test_which_epsilon(tmp_path):
    cells = [
        network(tmp_path, "pgd", "rigl", 0.3, 0.1),
        network(
            tmp_path, "pgd", "rigl", 0.74, 0.43, **{"attack.epsilon": 0.1, "attack.step_size": 0.01}
        ),
    ]
    text = written(tmp_path, cells)
    assert row(text, "0.3, steps of 0.075")[1:] == ["1.75", "30.00", "10.00", "78.17"]
    assert row(text, "0.1, steps of 0.01")[1:] == ["0.70", "74.00", "43.00", "1.17"]
    assert "Nearest: 0.1, steps of 0.01." in text
    assert line(text, "PGD", "none", "RigL")[3] == "30.00 (74.09)"


def part_1(folder, attack, method, clean, robust):
    found = [
        [{"none": 0.5, attack: 0.1}, {"none": 0.9, attack: 0.2}],
        [{"none": 0.7, attack: 0.4}, {"none": clean, attack: robust}],
    ]
    own = PAPER | ADVERSARIAL | {"model": "resnet50", "attack": attack, "method": method}
    own |= {} if method == "dense" else DYNAMIC
    own |= {"clean_epochs": 100, "robust_epochs": 250, "eval_attacks": [attack]}
    return cell(folder, found, [1.0, 1.0], every=17_600, **own)


def test_figure_3(tmp_path):
    cells = [part_1(tmp_path, "pgd", "set", 0.4, 0.6), part_1(tmp_path, "fgsm", "dense", 0.8, 0.7)]
    text = written(tmp_path, cells, write_report)
    assert (tmp_path / "figures" / "figure_3.png").exists()
    shown = row(text, "PGD | 0.3, 0.3 | SET", "## Part I")
    assert shown[3:] == ["20.00", "40.00", "60.00"]
    assert "Not run: FGSM 0.3, 0.3 SET; " in text
    assert row(text, "PGD 0.3: accuracy under attack", "## Claims")[2] == "held"
    (own, _) = json.loads((tmp_path / "report.json").read_text())["study"]["part_1"]
    assert own["epochs"] == [50.0, 100.0, 150.0, 200.0] and own["change"] == 100.0


def test_bootstrap_of_known_cases():
    """Of many normal values it is the interval of their theory; of equal ones it has no width."""
    values = np.random.default_rng(0).normal(0.2, 1.0, 2000)
    found = attention.bootstrap(values)
    half = 1.96 * np.std(values) / np.sqrt(2000)
    assert found.mean == pytest.approx(np.mean(values))
    assert (found.low, found.high) == pytest.approx(
        (found.mean - half, found.mean + half), abs=0.006
    )
    assert attention.bootstrap([0.5, 0.5, np.nan]) == attention.Interval(0.5, 0.5, 0.5)
    assert np.isnan(attention.bootstrap([np.nan]).mean)


def tiny(seed=0, side=8):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((side, side, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10),
        ]
    )


def test_explanations_and_their_report(few):
    """The same network as FC and as SET: no difference, and no width."""
    folder, cells = few
    x = np.random.default_rng(0).random((40, 8, 8, 3)).astype("float32")
    networks = dict.fromkeys(("dense/none", "set/none"), tiny())
    y = np.argmax(networks["dense/none"](x), axis=1)
    y[:4] = (y[:4] + 1) % 10  # wrong, and so left out
    found = explanations.explained(networks, x, y, 30, seed=0) | {"missing": ["rigl/pgd"]}
    assert found["images"] == 30 and np.shape(found["image"]) == (8, 8, 3)
    same = attention.paired(found["numbers"], "guided", "overlap", "set", "none")
    assert (same.low, same.high) == (0.0, 0.0)
    assert all(
        -1 <= v <= 1 for v in found["numbers"]["set/none"]["grad_cam"]["rank"] if v is not None
    )
    (folder / "tickets.json").write_text(json.dumps({"explanations": found}))
    text = written(folder, cells, write_report)
    assert {"guided.png", "grad_cam.png"} <= {p.name for p in (folder / "figures").iterdir()}
    assert "On 30 test images that all compared networks classify rightly" in text
    assert row(text, "SET, robust training none", "Paired over images")[1].startswith("+0.000 [")
    assert "Not trained yet: RigL, robust training PGD." in text
    shown = row(text, "Attacks shift the attention of sparse networks less", "## Claims")
    assert shown[1:] == [
        "0 of 2 intervals of the paired difference are above 0, 0 below",
        "not held",
    ]


def test_explanations_refuse_what_cannot_be_compared():
    x = np.random.default_rng(0).random((4, 8, 8, 3)).astype("float32")
    network = tiny()
    wrong = (np.argmax(network(x), axis=1) + 1) % 10
    with pytest.raises(InputError, match="no test image is classified rightly by all of them"):
        explanations.explained({"dense/none": network}, x, wrong, 4, 0)
    both = {"dense/none": network, "set/none": tiny(side=9)}
    with pytest.raises(InputError, match="must have the same inputs"):
        explanations.explained(both, x, wrong, 4, 0)


def test_redrawn_kernels_have_the_same_values():
    network = tiny()
    other = explanations.redrawn(network, 0)
    for own, new in zip(network.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(np.sort(own.ravel()), np.sort(new.ravel()))
    assert not np.array_equal(network.get_weights()[0], other.get_weights()[0])


def test_explanations_need_a_network_of_part_2(tmp_path, capsys):
    written(tmp_path, [part_1(tmp_path, "pgd", "dense", 0.4, 0.6)])
    assert explanations.main(["explanations", f"--sweep={tmp_path}"]) != 0
    assert "has no finished ResNet-34 on CIFAR-10" in capsys.readouterr().err


@pytest.mark.parametrize("given", [{"objective": "mixed"}, {"learning_rate": 0.01}])
def test_other_settings_have_no_published_numbers(given, tmp_path):
    text = written(tmp_path, [network(tmp_path, "fgsm", "dense", 0.85, 0.8, **given)])
    assert "**Not the paper's settings:**" in text and "(79.97)" not in text


def test_a_lost_row_of_the_published_numbers_is_named(few, monkeypatch):
    content = published.load(STUDY)
    del content["table_1_resnet34"]["pgd/pgd/set"]
    monkeypatch.setattr(published, "load", lambda study: content)
    with pytest.raises(InputError, match="has no table_1_resnet34/pgd/pgd/set; a row is lost"):
        written(*few)
