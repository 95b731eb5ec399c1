"""Attacks while training, in TensorBoard's log."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from robust_sparse_tf import AdversarialModel, InputError, evaluate, models
from robust_sparse_tf.attacks import FGSM, PGD
from robust_sparse_tf.callbacks import RobustnessLog, SparsityLog
from robust_sparse_tf.evaluation import Evaluator
from robust_sparse_tf.summaries import log_format

ATTACKS = {"fgsm": FGSM(epsilon=0.1), "pgd": PGD(epsilon=0.1, step_size=0.05, steps=2)}
RADII = [0.05, 0.2]


@pytest.fixture(scope="module")
def logged(digits, tmp_path_factory):
    """A folder that two callbacks wrote to in a plain fit, the model, and its history."""
    keras.utils.set_random_seed(0)
    folder = str(tmp_path_factory.mktemp("log"))
    model = models.lenet_300_100((8, 8, 1), width=0.2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    logs = [
        RobustnessLog(folder, digits[2], ATTACKS, epsilons=RADII, examples=40),
        SparsityLog(folder),
    ]
    history = model.fit(digits[0], epochs=2, steps_per_epoch=15, verbose=0, callbacks=logs)
    events = EventAccumulator(folder)
    events.Reload()
    return events, model, history.history


def texts(events, tag: str) -> list:
    return [json.loads(tf.make_ndarray(e.tensor_proto).item()) for e in events.Tensors(tag)]


def test_accuracies_of_each_epoch(logged, digits):
    events, model, history = logged
    first, last = texts(events, "accuracy")
    assert (first["step"], last["step"]) == (15, 30)
    few = digits[2].images[:40] / np.float32(255), digits[2].labels[:40]
    expected = Evaluator(model, ATTACKS)(digits[2].first(40))
    found = last["splits"]["validation"]
    assert found.pop("examples") == len(few[1]) == 40
    assert found["clean_accuracy"] == expected["clean_accuracy"]
    assert found["robust_accuracy"] == expected["robust_accuracy"]
    assert last["attacks"]["pgd"] == {"norm": "linf", "epsilon": 0.1}
    assert last["splits"]["train"]["accuracy"] == pytest.approx(history["accuracy"][1])
    assert history["pgd_accuracy"][1] == expected["robust_accuracy"]["pgd"]
    scalar = events.Tensors("validation/pgd_accuracy")[1]
    value = tf.make_ndarray(scalar.tensor_proto).item()
    assert value == pytest.approx(expected["robust_accuracy"]["pgd"])


def test_the_report_at_the_end(logged, digits):
    events, model, _ = logged
    (report,) = texts(events, "report/evaluation")
    expected = evaluate(model, digits[2].first(40), ATTACKS, RADII, verbose=False)
    timed = "seconds"
    rows = [{k: v for k, v in row.items() if k != timed} for row in report["rows"]]
    assert rows == [{k: v for k, v in row.items() if k != timed} for row in expected.rows()]
    assert report["checks"] == [check.as_json() for check in expected.checks]
    statuses = {check["name"]: check["status"] for check in report["checks"]}
    assert statuses["zero gradients"] == "passed"
    assert statuses["transfer stronger than white box"] == "not run"


def test_examples(logged):
    """Of each attack and epsilon: what was said of the images, and three pictures of each."""
    events, _, _ = logged
    tags = [tag for tag in events.PluginTagToContent(log_format.PLUGIN) if "examples/" in tag]
    assert set(tags) == {f"examples/{name}/{radius}" for name in ATTACKS for radius in RADII}
    (event,) = events.Tensors("examples/pgd/0.2")
    about, *pictures = tf.make_ndarray(event.tensor_proto).tolist()
    items = json.loads(about)["items"]
    assert len(pictures) == 3 * len(items) > 0
    for item, png in zip(items, pictures[2::3], strict=True):
        difference = tf.io.decode_png(png).numpy()
        assert difference.shape == (8, 8, 1)
        assert item["distance"] == pytest.approx(item["scale"]) and item["scale"] <= 0.2 + 1e-6
        assert {difference.min(), difference.max()} & {0, 255}


def test_one_writer_a_folder(logged):
    """TensorBoard reads the files of a folder one after the other."""
    events, _, _ = logged
    assert events.Tensors("network/density") and events.Tensors("accuracy")


def test_what_is_refused(digits, tmp_path):
    folder = str(tmp_path)
    for attacks in ({}, None, "pgd", {"pgd": 1}):
        with pytest.raises(InputError, match="attack"):
            RobustnessLog(folder, digits[2], attacks)
    with pytest.raises(InputError, match="every=0"):
        RobustnessLog(folder, digits[2], ATTACKS, every=0)
    with pytest.raises(InputError, match="examples=0"):
        RobustnessLog(folder, digits[2], ATTACKS, examples=0)
    log = RobustnessLog(folder, digits[2], ATTACKS)
    with pytest.raises(InputError, match="softmax"):
        log.set_model(
            keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2, "softmax")])
        )


def test_training_is_the_same_with_and_without(digits, tmp_path):
    """To the bit: nothing random is drawn from what training draws from."""
    weights = []
    for callbacks in ([], [RobustnessLog(str(tmp_path), digits[2], ATTACKS, examples=20)]):
        keras.utils.set_random_seed(1)
        model = AdversarialModel(models.lenet_300_100((8, 8, 1), width=0.1), ATTACKS["fgsm"])
        model.compile("adam", jit_update=False)
        model.fit(digits[0], epochs=2, steps_per_epoch=3, verbose=0, callbacks=callbacks)
        weights.append(model.network.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
