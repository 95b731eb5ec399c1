"""Figure 2 (e) to (h) of "Sparse DNNs with Improved Adversarial Robustness"; cells made by hand."""

import numpy as np
import pytest
import tf_keras as keras
from study_cells import cell, measures, row, sweep, write_report, write_tables

from experiments.evaluations import measuring
from experiments.evaluations.follow_up import measurement
from experiments.evaluations.measure_options import MeasureOptions
from robust_sparse_tf import data

STUDY = "sparse_dnns_robustness"
TEXTS = [
    "--measures=r_inf,deepfool,deepfool_first_step --r_inf_epsilon=8/255",
    "--measures=r_inf --r_inf_epsilon=0.1",
]
PAPER = {
    "dataset": "cifar10",
    "augment": "crop_flip",
    "attack": "none",
    "eval_attacks": [],
    "optimizer": "sgd",
    "strategy": "continued",
    "prune_hidden": 1 / 3,
    "prune_output": 0.0,
    "prune_rounding": "down",
    "dense_first": True,
    "batch_size": 128,
    "validation_size": 1000,
    "rounds": 3,
    "dense_iterations": 62_812,
    "iterations": 7660,
}


def network(folder, model, seed=0, shift=0.0):
    """Robustness rises, then falls; DeepFool fails on a tenth of the images."""
    found = [[{"none": value - shift}] for value in (0.93, 0.92, 0.6)]
    own = PAPER | {"model": model, "seed": seed}
    made = cell(folder, found, [1.0, 0.67, 0.45], every=62_812, **own)
    for number, value in enumerate((0.3, 0.4, 0.2)):
        first = {"r_inf_fgsm": value - shift, "r_2_deepfool": value / 2}
        first |= {"r_2_deepfool_first": value, "deepfool_missed": 0.1}
        for text, numbers in zip(TEXTS, (first, {"r_inf_fgsm": value / 10}), strict=True):
            path = measurement(text).files(str(folder / made["name"]))[number]
            epsilon = measurement(text).options.r_inf_epsilon
            measures(path, numbers=numbers, options={"epsilon": epsilon})
    return made


def written(folder, cells, write=write_tables) -> str:
    return write(str(sweep(folder, STUDY, cells, measurements=TEXTS)))


def test_rounds_and_claims(tmp_path):
    cells = [network(tmp_path, "vgg_like", seed, 0.01 * seed) for seed in (0, 1)]
    text = written(tmp_path, cells, write_report)
    assert (tmp_path / "figures" / "figure_2_cifar.png").exists()
    shown = row(text, "1", "VGG-like:")
    assert shown[1:4] == ["33.00", "91.5000 ± 0.7071", "0.3950 ± 0.0071"]
    assert shown[4:] == [
        "0.2000 ± 0.0000",
        "0.4000 ± 0.0000",
        "10.0000 ± 0.0000",
        "0.0400 ± 0.0000",
    ]
    assert "r_inf FGS 0.03137" in text and "r_inf FGS 0.1" in text
    assert "ResNet-32: not run." in text and "Not the paper's" not in text
    shown = row(text, "VGG-like: some pruned networks are more robust by r_2", "## Claims")
    assert shown[1:] == ["0.4000 at best against 0.3000", "held"]
    shown = row(text, "VGG-like: pruned too far, r_2 falls", "## Claims")
    assert shown[1:] == ["0.2000 at the end against 0.3000", "held"]
    assert row(text, "ResNet-32: some pruned networks are more robust by r_2", "## Claims")[2] == (
        "not tested"
    )
    assert "93.01 % and 92.89 %" in text


def test_images_on_which_deepfool_fails_count_by_its_first_step():
    """Of a linear network the first step is the whole distance; with one step none is missed."""
    network = keras.Sequential(
        [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    network.layers[-1].set_weights([np.tile([[1.0, -1.0]], (4, 1)), np.array([-1.0, 1.0])])
    images = np.random.default_rng(0).random((20, 2, 2, 1)).astype("float32")
    labels = np.argmax(network(images), axis=1)
    test = data.Split(images, labels, num_classes=2, batch_size=20, shuffle=False, seed=0)
    options = MeasureOptions(measures=["deepfool", "deepfool_first_step"])
    found = measuring.of_network(network, test, options)
    assert found["deepfool_missed"] == 0.0
    assert found["r_2_deepfool_first"] == pytest.approx(found["r_2_deepfool"], rel=1e-4)
    distances = np.abs(images.reshape(20, 4).sum(axis=1) - 1) / 2
    assert found["r_2_deepfool_first"] == pytest.approx(1.02 * distances.mean(), rel=0.02)
