"""What the plugin tells of a plain `fit`, with callbacks of others beside ours."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from boards import serving

from robust_sparse_tf import attacks, callbacks, sparsity

STEPS = 6


@pytest.fixture(scope="module")
def network(make_lenet):
    return make_lenet(0.3)


@pytest.fixture(scope="module")
def board(network, digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile("sgd", loss, metrics=["accuracy"])
    used = {"fgsm": attacks.FGSM(epsilon=0.1)}
    ours = str(folder / "ours")
    network.fit(
        digits[0],
        epochs=2,
        steps_per_epoch=STEPS // 2,
        verbose=0,
        callbacks=[
            callbacks.SparsityLog(ours),
            callbacks.RobustnessLog(ours, digits[1], used, examples=40),
            keras.callbacks.TensorBoard(ours, histogram_freq=1),
            keras.callbacks.TensorBoard(str(folder / "foreign")),
        ],
    )
    with serving(folder, "true") as board:
        yield board


def test_only_what_was_logged_for_the_page_is_there(board):
    answer = board.json("runs")
    assert [run["run"] for run in answer["runs"]] == ["ours"]
    [run] = answer["runs"]
    assert (run["notes"], run["step"]) == ([], STEPS)
    assert {"topology", "masks", "accuracy", "report"} <= {*run["has"]}


def test_measures_are_those_of_the_network(board, network):
    found = sparsity.statistics(network)
    [run] = board.json("runs")["runs"]
    assert run["density"] == pytest.approx(found["density"])
    assert (run["active"], run["bytes"]) == (found["active"], found["bytes"])
    topology = board.json("topology", run="ours")
    assert topology["layers"] == list(found["layers"])
    assert topology["network"]["active"][-1] == found["active"]
    assert len(topology["steps"]) >= 2


def test_masks_are_those_of_the_network(board, network):
    layers = {each["layer"]: each for each in board.json("masks", run="ours")["layers"]}
    entries = [*sparsity.masked_weights(network)]
    assert [*layers] == [entry.name for entry in entries]
    entry = entries[0]
    step = layers[entry.name]["steps"][-1]
    image = board.get("mask", run="ours", layer=entry.name, step=step).data
    pixels = tf.io.decode_png(image)[:, :, 0].numpy()
    np.testing.assert_array_equal(pixels, 255 * entry.to_matrix(entry.mask).numpy())
    inputs = board.json("inputs", run="ours", layer=entry.name, step=step)
    kept = entry.to_matrix(entry.mask).numpy().mean(axis=1)
    np.testing.assert_allclose(inputs["values"], kept, rtol=1e-6)


def test_accuracies(board):
    records = board.json("accuracy", run="ours")["runs"]["ours"]["records"]
    assert [record["tb_step"] for record in records][-1] == STEPS
    figures = records[-1]["splits"]["validation"]
    assert (figures["examples"], 0 <= figures["robust_accuracy"]["fgsm"] <= 1) == (40, True)
    assert records[-1]["attacks"]["fgsm"] == {"norm": "linf", "epsilon": 0.1}


def test_the_report(board):
    answer = board.json("reports", run="ours")["runs"]["ours"]
    assert answer["notes"] == []
    [report] = answer["reports"]
    assert {"clean", "fgsm", "worst"} <= {row["attack"] for row in report["rows"]}
    assert {check["status"] for check in report["checks"]} <= {"passed", "failed", "not run"}
    assert all(check["meaning"] and check["advice"] for check in report["checks"])


def test_examples_are_images(board):
    for each in board.json("examples", run="ours")["sets"]:
        where = {"run": "ours", "tag": each["tag"], "step": each["step"], "image": 0}
        for part in ("clean", "adversarial", "difference"):
            image = board.get("example", **where, part=part).data
            assert tf.io.decode_png(image).shape == (8, 8, 1)
