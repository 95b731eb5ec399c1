import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.callbacks import SparsityLog
from robust_sparse_tf.sparsity import Magnitude, RigL, statistics
from robust_sparse_tf.training import AdversarialModel


def scalars(folder) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [
            (event.step, tf.make_ndarray(event.tensor_proto).item())
            for event in events.Tensors(tag)
        ]
        for tag in events.Tags()["tensors"]
    }


def expected_scalars(model: keras.Model) -> dict[str, float]:
    """What one point of each measure should be, by `statistics`."""
    found = statistics(model)
    of_layers = ["density", "active", "changed", "exploration"]
    whole = [*of_layers, "no_input", "no_output", "flops", "bytes"]
    return {key: found[key] for key in whole} | {
        f"{key}/{name}": layer[key] for key in of_layers for name, layer in found["layers"].items()
    }


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
    assert len(expected) == 8 + 4 * 3
    for tag, value in expected.items():
        assert found[tag] == [(0, pytest.approx(value)), (1, pytest.approx(value))]
    np.testing.assert_allclose(
        [value for _, value in found["loss"]], history.history["loss"], rtol=1e-6
    )
    assert set(found) == {*expected, "loss"}
    assert history.history["density"] == pytest.approx([expected["density"]] * 2)


def test_sparsity_log_of_a_dense_model(digits, tmp_path):
    """A dense model trains with it all the same."""
    model = AdversarialModel(models.lenet_300_100((8, 8, 1)))
    model.compile("sgd", jit_update=False)
    log = SparsityLog(str(tmp_path))
    model.fit(digits[0], epochs=1, steps_per_epoch=1, verbose=0, callbacks=[log])
    found = {tag: points for tag, points in scalars(tmp_path).items() if tag != "loss"}
    size = 4 * model.network.count_params()
    ones, zeros = ["density", "exploration", "flops"], ["active", "changed"]
    zeros += ["no_input", "no_output"]
    assert found == {
        "bytes": [(0, size)],
        **dict.fromkeys(ones, [(0, 1.0)]),
        **dict.fromkeys(zeros, [(0, 0.0)]),
    }


def test_sparsity_log_follows_pruning(tmp_path):
    """The density written is that of the moment."""
    log = SparsityLog(str(tmp_path))
    log.set_model(sparsify(models.lenet_300_100((8, 8, 1))))
    log.on_epoch_end(0)
    Magnitude(0.5).prune(log.model)
    log.on_epoch_end(1)
    assert scalars(tmp_path)["density"] == [(0, 1.0), (1, 0.5)]


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
        points = [(epoch, pytest.approx(values[tag])) for epoch, values in enumerate(expected)]
        assert found[tag] == points
    assert all(value > 0 for _, value in found["changed"])
    rates = [value for _, value in found["exploration"]]
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
    assert "flops" not in found and found["density/conv"] == [(0, 1.0)]
