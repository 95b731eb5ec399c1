import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.attacks import FGSM
from robust_sparse_tf.callbacks import SparsityLog
from robust_sparse_tf.sparsity import Magnitude, RigL, masked_weights, statistics
from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.training import AdversarialModel


def events_of(folder) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def scalars(folder) -> dict[str, list[tuple[int, float]]]:
    events = events_of(folder)
    tags = events.PluginTagToContent("scalars")
    return {
        tag: [
            (event.step, tf.make_ndarray(event.tensor_proto).item())
            for event in events.Tensors(tag)
        ]
        for tag in tags
    }


def expected_scalars(model: keras.Model) -> dict[str, float]:
    """What one point of each measure should be, by `statistics`."""
    found = statistics(model)
    network = {
        f"network/{name}": found[name]
        for name in log_format.OF_NETWORK
        if name != "churn" and found[name] is not None
    }
    network["network/churn"] = found["changed"] / max(1, found["size"])
    of_layers = {
        f"{name}/{layer}": own[name]
        for name in log_format.OF_LAYERS
        if name != "churn"
        for layer, own in found["layers"].items()
    }
    churn = {
        f"churn/{layer}": own["changed"] / own["size"] for layer, own in found["layers"].items()
    }
    return network | of_layers | churn


@pytest.mark.parametrize("kind", ["robust", "plain"])
def test_sparsity_log(kind, make_lenet, digits, tmp_path):
    """Measures and metrics of each epoch, of our model and of any other that is sparse."""
    network = make_lenet(0.25)
    if kind == "robust":
        model = AdversarialModel(network)
        model.compile("sgd", jit_update=False)
    else:
        model = network
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(
        digits[0],
        epochs=2,
        steps_per_epoch=2,
        verbose=0,
        callbacks=[SparsityLog(str(tmp_path))],
    )
    found = scalars(tmp_path)
    expected = expected_scalars(network)
    assert len(expected) == 10 + 8 * 3
    for tag, value in expected.items():
        assert found[tag] == [(2, pytest.approx(value)), (4, pytest.approx(value))]
    np.testing.assert_allclose(
        [value for _, value in found["train/loss"]], history.history["loss"], rtol=1e-6
    )
    assert set(found) == {*expected, "train/loss"}
    density = expected["network/density"]
    assert history.history["density"] == pytest.approx([density] * 2)


def test_a_point_each_few_steps(make_lenet, digits, tmp_path):
    """Steps are those of training, over epochs and executions of several."""
    model = make_lenet(0.25)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, steps_per_execution=2)
    log = SparsityLog(str(tmp_path), every=4)
    model.fit(digits[0], epochs=2, steps_per_epoch=6, verbose=0, callbacks=[log])
    assert [step for step, _ in scalars(tmp_path)["network/density"]] == [4, 8, 12]


def test_what_the_plugin_reads(make_lenet, digits, tmp_path):
    """Topology, masks as they are, and what the run is."""
    network = make_lenet(0.25)
    model = AdversarialModel(network, FGSM(epsilon=0.1))
    model.compile("sgd", jit_update=False)
    log = SparsityLog(str(tmp_path / "a run"), masks_every=2)
    model.fit(digits[0], epochs=3, steps_per_epoch=1, verbose=0, callbacks=[log])
    events = events_of(tmp_path / "a run")
    tags = events.PluginTagToContent(log_format.PLUGIN)
    layers = ["hidden_1", "hidden_2", "logits"]
    assert set(tags) == {"run", "topology", "inputs/hidden_1", *(f"masks/{n}" for n in layers)}
    about = json.loads(tags["topology"])
    assert (about["version"], about["layers"]) == (1, layers)
    points = events.Tensors("topology")
    assert [point.step for point in points] == [1, 2, 3]
    rows = tf.make_ndarray(points[0].tensor_proto)
    found = statistics(network)
    for row, name in zip(rows[:-1], layers, strict=True):
        measures = dict(zip(about["measures"], row, strict=True))
        assert measures["active"] == found["layers"][name]["active"]
        assert np.isnan(measures["flops"])
    assert dict(zip(about["measures"], rows[-1], strict=True))["flops"] == found["flops"]
    for entry in masked_weights(network):
        (picture,) = events.Tensors(f"masks/{entry.name}")  # it does not change
        image = tf.io.decode_png(tf.make_ndarray(picture.tensor_proto).item())[..., 0]
        np.testing.assert_array_equal(image.numpy() > 0, entry.to_matrix(entry.mask).numpy() > 0)
    (run,) = events.Tensors("run")
    known = json.loads(tf.make_ndarray(run.tensor_proto).item())
    assert (known["name"], known["method"], known["attack"]) == ("a run", "Magnitude", "FGSM")
    assert events.PluginTagToContent("hparams")
    assert len(events.Tensors("weights/logits")) == 2


def test_sparsity_log_of_a_dense_model(digits, tmp_path):
    """A dense model trains with it all the same."""
    model = AdversarialModel(models.lenet_300_100((8, 8, 1)))
    model.compile("sgd", jit_update=False)
    log = SparsityLog(str(tmp_path))
    model.fit(digits[0], epochs=1, steps_per_epoch=1, verbose=0, callbacks=[log])
    found = scalars(tmp_path)
    size = 4 * model.network.count_params()
    ones, zeros = ["density", "exploration", "flops"], ["active", "changed", "churn"]
    zeros += ["no_input", "no_output"]
    del found["train/loss"]
    assert found.pop("network/multiply_accumulates")[0][1] > 0
    assert found == {
        "network/bytes": [(1, size)],
        **{f"network/{name}": [(1, 1.0)] for name in ones},
        **{f"network/{name}": [(1, 0.0)] for name in zeros},
    }


def test_sparsity_log_follows_pruning(digits, tmp_path):
    """The density written is that of the moment."""
    log = SparsityLog(str(tmp_path))
    log.set_model(sparsify(models.lenet_300_100((8, 8, 1))))
    log.on_epoch_end(0)
    Magnitude(0.5).prune(log.model)
    log.on_train_batch_end(0)
    log.on_epoch_end(1)
    assert scalars(tmp_path)["network/density"] == [(0, 1.0), (1, 0.5)]


def test_sparsity_log_of_training_that_moves_weights(digits, tmp_path):
    """What each epoch's update changed, and how far the search has come; nothing is retraced."""
    network = sparsify(models.lenet_300_100((8, 8, 1), width=0.2), RigL(0.2, update_interval=2))
    model = AdversarialModel(network)
    model.compile("sgd", jit_update=False)
    expected = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: expected.append(expected_scalars(network))
    )
    model.fit(
        digits[0],
        epochs=3,
        steps_per_epoch=3,
        verbose=0,
        callbacks=[SparsityLog(str(tmp_path)), note],
    )
    found = scalars(tmp_path)
    for tag in expected[0]:
        points = [
            (3 * epoch, pytest.approx(values[tag])) for epoch, values in enumerate(expected, 1)
        ]
        assert found[tag] == points
    assert all(value > 0 for _, value in found["network/changed"])
    rates = [value for _, value in found["network/exploration"]]
    assert 0.2 < rates[0] < rates[1] < rates[2] <= 1
    assert model.train_function.experimental_get_tracing_count() == 1


def test_sparsity_log_of_unknown_shapes(tmp_path):
    """Flops that depend on the image are left out."""
    layers = keras.layers
    network = keras.Sequential([layers.Input((None, None, 1)), layers.Conv2D(4, 3, name="conv")])
    log = SparsityLog(str(tmp_path))
    log.set_model(sparsify(network))
    log.on_epoch_end(0)
    found = scalars(tmp_path)
    assert "network/flops" not in found and found["density/conv"] == [(0, 1.0)]
