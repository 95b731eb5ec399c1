import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.sparsity import Magnitude, densities
from robust_sparse_tf.training import AdversarialModel
from robust_sparse_tf.training.callbacks import SparsityLog


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


@pytest.mark.parametrize("kind", ["robust", "plain"])
def test_sparsity_log(kind, make_lenet, digits, tmp_path):
    """Densities and metrics of each epoch, of our model and of any other that is sparse."""
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
    whole, layers = densities(network)
    expected = {"density": whole, **{f"density/{name}": value for name, value in layers.items()}}
    for tag, value in expected.items():
        assert found[tag] == [(0, pytest.approx(value)), (1, pytest.approx(value))]
    np.testing.assert_allclose(
        [value for _, value in found["loss"]], history.history["loss"], rtol=1e-6
    )
    assert set(found) == {*expected, "loss"}


def test_sparsity_log_of_a_dense_model(digits, tmp_path):
    """A dense model trains with it all the same."""
    model = AdversarialModel(models.lenet_300_100((8, 8, 1)))
    model.compile("sgd", jit_update=False)
    log = SparsityLog(str(tmp_path))
    model.fit(digits[0], epochs=1, steps_per_epoch=1, verbose=0, callbacks=[log])
    assert scalars(tmp_path)["density"] == [(0, 1.0)]


def test_sparsity_log_follows_pruning(tmp_path):
    """The density written is that of the moment."""
    log = SparsityLog(str(tmp_path))
    log.set_model(sparsify(models.lenet_300_100((8, 8, 1))))
    log.on_epoch_end(0)
    Magnitude(0.5).prune(log.model)
    log.on_epoch_end(1)
    assert scalars(tmp_path)["density"] == [(0, 1.0), (1, 0.5)]
