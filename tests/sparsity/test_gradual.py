import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity import GradualMagnitude, Magnitude, densities, masked_weights
from robust_sparse_tf.sparsity.methods.base import layer_states

SIZE = 64 * 300 + 300 * 100 + 100 * 10


class Record(keras.callbacks.Callback):
    """The masks after each step, and whether a pruned weight is anything but zero."""

    def __init__(self) -> None:
        super().__init__()
        self.masks, self.leaks = [], 0

    def on_train_batch_end(self, batch, logs=None) -> None:
        entries = list(masked_weights(self.model))
        self.masks.append([entry.mask.numpy() for entry in entries])
        self.leaks += sum(np.count_nonzero(e.weight * (1 - e.mask)) for e in entries)

    def active(self) -> list[int]:
        return [int(sum(mask.sum() for mask in masks)) for masks in self.masks]


def trained(
    method: GradualMagnitude, digits, steps: int = 30, run_eagerly: bool = False
) -> tuple[Record, keras.Model]:
    keras.utils.set_random_seed(0)
    model, record = sparsify(models.lenet_300_100((8, 8, 1)), method), Record()
    model.compile(
        keras.optimizers.Adam(2e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=run_eagerly,
    )
    batches = digits[0].gather(tf.range(steps * 32, dtype=tf.int64) % digits[0].size)
    model.fit(*batches, batch_size=32, shuffle=False, verbose=0, callbacks=[record])
    assert len(record.masks) == steps == int(model.step)
    return record, model


KINDS = {
    "polynomial": GradualMagnitude(0.1, start_step=5, stop_step=25, update_interval=5),
    "linear": GradualMagnitude(0.2, stop_step=24, update_interval=3, decay_power=1.0),
    "global": GradualMagnitude(0.1, stop_step=25, update_interval=5, distribution="global"),
    "erk": GradualMagnitude(0.1, stop_step=25, update_interval=5, distribution="erk"),
    "begun": GradualMagnitude(
        0.1, initial_density=0.5, start_step=5, stop_step=25, update_interval=5
    ),
    "channels": GradualMagnitude(0.5, stop_step=25, update_interval=5, structure="channels"),
    "blocks": GradualMagnitude(0.2, stop_step=25, update_interval=5, structure="block:4x1"),
    # The interval does not divide the way from start to stop.
    "uneven": GradualMagnitude(0.1, start_step=2, stop_step=25, update_interval=5),
    "constant": GradualMagnitude(
        0.1, start_step=5, stop_step=25, update_interval=5, constant_density=True
    ),
}


@pytest.fixture(scope="module")
def runs(digits):
    """Makes the record and the model of a run, by kind. Not to be changed by a test."""
    return functools.cache(lambda kind: trained(KINDS[kind], digits))


SLOW = {"linear", "erk", "blocks", "begun", "uneven"}  # which other tests look at, too


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.slow if kind in SLOW else ()) for kind in KINDS],
)
def test_in_training(kind, runs, batch):
    method = KINDS[kind]
    record, model = runs(kind)
    active = record.active()
    assert record.leaks == 0
    for before, after in zip(record.masks, record.masks[1:], strict=False):
        for old, new in zip(before, after, strict=True):
            assert np.all(new <= old), "what is pruned never comes back"
    first = max(method.start_step, 1)
    assert set(active[: first - 1]) <= {SIZE}
    assert active[method.stop_step - 1] == round(method.density * SIZE)
    assert active[-1] == active[method.stop_step - 1] == round(densities(model)[0] * SIZE)
    due = set(range(method.start_step, method.stop_step, method.update_interval))
    due |= {method.stop_step}
    for step in range(2, len(active) + 1):
        if step not in due:
            assert active[step - 1] == active[step - 2], step
    if not method.constant_density:
        assert len(set(active)) >= 5, "little by little"
    assert np.isfinite(model(batch[0])).all()


def test_density_follows_the_equation(runs):
    """Equation 1: s_t = s_f + (s_i - s_f) (1 - (t - t_0) / (n dt))^3, in each layer."""
    record, _ = runs("begun")
    for step in range(5, 26, 5):
        sparsity = 0.9 + (0.5 - 0.9) * (1 - (step - 5) / 20) ** 3
        for mask in record.masks[step - 1]:
            assert abs(mask.sum() - (1 - sparsity) * mask.size) <= 1


def test_layers_of_their_own_density(digits):
    method = GradualMagnitude(
        0.2,
        stop_step=20,
        update_interval=5,
        layer_densities={"hidden_2": 0.05},
        dense_last=True,
    )
    record, model = trained(method, digits, steps=20)
    whole, found = densities(model)
    assert whole == 0.2 and found["hidden_2"] == 0.05 and found["logits"] == 1
    assert all(masks[2].all() for masks in record.masks)


def test_global_is_one_ranking():
    keras.utils.set_random_seed(0)
    method = GradualMagnitude(0.1, stop_step=10, update_interval=5, distribution="global")
    states = layer_states(sparsify(models.lenet_300_100((8, 8, 1)), method))
    for step, density in ((5, 1 - 0.9 * (1 - 0.5**3)), (10, 0.1)):
        changes = method.change(states, tf.constant(step, tf.int64))
        flat = np.concatenate([np.abs(state.weight).ravel() for state in states])
        kept = np.concatenate([change.kept.numpy().ravel() for change in changes])
        assert kept.sum() == round(density * SIZE)
        assert flat[kept].min() >= flat[~kept].max()
        assert not any(change.grown.numpy().any() for change in changes)


def test_density_one_prunes_nothing(digits):
    method = GradualMagnitude(1.0, stop_step=4, update_interval=2)
    record, _ = trained(method, digits, steps=5, run_eagerly=True)
    assert set(record.active()) == {SIZE}


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(start_step=10, stop_step=10), "stop_step=10: must be above start_step=10"),
        (
            dict(density=0.5, initial_density=0.4),
            "density=0.5: must be at most initial_density=0.4",
        ),
        (dict(update_interval=0), "update_interval=0: must be at least 1"),
        (dict(initial_density=0.0), "initial_density=0.0: must be above 0"),
        (dict(decay_power=0.0), "decay_power=0.0: must be above 0"),
        (dict(density=0.0), "density=0.0: must be above 0"),
    ],
)
def test_refuses(arguments, words):
    with pytest.raises(InputError, match=f"^{words}"):
        GradualMagnitude(**arguments)


def test_convolutions_of_their_own_structure():
    """Dense layers in blocks of four inputs, convolutions in whole channels."""
    network = models.lenet5((28, 28, 1))
    sparse = sparsify(network, Magnitude(0.25, structure="block:4x1", conv_structure="channels"))
    kinds = set()
    for name, _, mask, *_ in masked_weights(sparse):
        flat = mask.numpy().reshape(-1, mask.shape[-1])
        parts = flat if len(mask.shape) == 4 else flat.reshape(-1, 4, flat.shape[1])
        axis = 0 if len(mask.shape) == 4 else 1
        assert np.ptp(parts, axis=axis).max() == 0, name
        kinds.add(len(mask.shape))
    assert kinds == {2, 4}
