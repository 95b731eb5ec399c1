"""Gradual pruning is tfmot's own: same weights, same schedule, same masks.

tfmot's `t`-th training forward prunes the weights before the `t`-th optimizer step; ours prunes
after that step, so that the state between two steps is always the masked one. Given the same
weights at `t`, the masks are the same.
"""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from robust_sparse_tf import sparsify
from robust_sparse_tf.sparsity import GradualMagnitude, masked_weights
from robust_sparse_tf.sparsity.methods.base import layer_states, set_masks

layers = keras.layers
LAST = 24


def network() -> keras.Model:
    """Kernels of 100, 300 and 2,400 weights.

    All densities below are whole numbers of weights, and none of the schedules asks for half a one.
    """
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 5, padding="same", name="conv"),
            layers.Conv2D(3, 5, padding="same", name="conv_2"),
            layers.MaxPooling2D(4),
            layers.Flatten(),
            layers.Dense(200, name="hidden"),
        ]
    )


def theirs(schedule: tfmot.sparsity.keras.PruningSchedule) -> keras.Model:
    return tfmot.sparsity.keras.prune_low_magnitude(network(), pruning_schedule=schedule)


def pruned_layers(model: keras.Model) -> list:
    return [layer for layer in model.layers if layer.pruning_vars]


def schedules() -> list:
    kinds = []
    for density, start, stop, interval, power in (
        (0.1, 0, 20, 4, 3.0),
        (0.25, 4, 20, 4, 1.0),
        (0.01, 3, 23, 5, 3.0),
        (0.5, 1, 21, 1, 4.0),
    ):
        common = dict(start_step=start, stop_step=stop, update_interval=interval)
        polynomial = tfmot.sparsity.keras.PolynomialDecay(
            0.0, 1 - density, start, stop, power=power, frequency=interval
        )
        kinds.append((GradualMagnitude(density, decay_power=power, **common), polynomial))
        constant = tfmot.sparsity.keras.ConstantSparsity(1 - density, start, frequency=interval)
        kinds.append((GradualMagnitude(density, constant_density=True, **common), constant))
    begun = tfmot.sparsity.keras.PolynomialDecay(0.2, 0.9, 2, 22, frequency=2)
    kinds.append(
        (
            GradualMagnitude(
                0.1, initial_density=0.8, start_step=2, stop_step=22, update_interval=2
            ),
            begun,
        )
    )
    return kinds


def take_step(weights: list[np.ndarray], masks: list[np.ndarray], step: int) -> list[np.ndarray]:
    """What an optimizer would do to masked weights; some of them change their rank."""
    rng = np.random.default_rng(step)
    return [
        ((w + rng.normal(scale=0.02, size=w.shape)) * mask).astype(np.float32)
        for w, mask in zip(weights, masks, strict=True)
    ]


@pytest.mark.parametrize(
    "method, schedule",
    [
        pytest.param(*kind, marks=() if place in (0, 2, 5, 6, 8) else pytest.mark.slow)
        for place, kind in enumerate(schedules())
    ],
)
def test_masks(method, schedule):
    """Step by step, each through its own door; tfmot's is a forward in training mode."""
    sparse, other = sparsify(network(), method), theirs(schedule)
    wrappers, images = pruned_layers(other), tf.zeros([1, 8, 8, 1])
    forward = tf.function(lambda: other(images, training=True))
    weights = [entry.weight.numpy() for entry in masked_weights(sparse)]
    masks = [np.ones_like(weight) for weight in weights]
    changes = 0
    for step in range(1, LAST + 1):
        weights = take_step(weights, masks, step)
        for entry, wrapper, weight in zip(masked_weights(sparse), wrappers, weights, strict=True):
            entry.weight.assign(weight)
            wrapper.layer.kernel.assign(weight)
        for layer in other.layers:
            layer.pruning_step.assign(step - 1)  # as UpdatePruningStep does before a batch
        forward()
        now = tf.constant(step, tf.int64)
        if method.is_due(now):
            set_masks(sparse, [change.kept for change in method.change(layer_states(sparse), now)])
        for entry, wrapper in zip(masked_weights(sparse), wrappers, strict=True):
            assert int(wrapper.pruning_step) == step
            (_, mask, _), *_ = wrapper.pruning_vars
            np.testing.assert_array_equal(entry.mask, mask, err_msg=f"{entry.name} at {step}")
            np.testing.assert_array_equal(entry.weight, wrapper.layer.kernel)
        before, masks = masks, [entry.mask.numpy() for entry in masked_weights(sparse)]
        changes += any((old != new).any() for old, new in zip(before, masks, strict=True))
    assert changes >= (1 if method.constant_density else 4)
    for mask in masks:
        assert mask.sum() == round(method.density * mask.size)


@pytest.mark.parametrize("method, schedule", schedules())
def test_due_steps(method, schedule):
    for step in range(1, 2 * LAST):
        now = tf.constant(step, tf.int64)
        assert bool(method.is_due(now)) == bool(schedule(now)[0]), step


@pytest.mark.parametrize("sides", [(7, 9), (13, 11), (31, 17)])
def test_counts_differ_by_one_weight_at_most(sides):
    """A density that is no whole number of weights is rounded once for all, not at each step."""
    keras.utils.set_random_seed(0)
    inputs, outputs = sides
    density, stop = 0.3, 40
    method = GradualMagnitude(density, stop_step=stop, update_interval=1)
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, 1 - density, 0, stop, frequency=1)
    model = keras.Sequential([layers.Input((inputs,)), layers.Dense(outputs)])
    states = layer_states(sparsify(model, method))
    for step in range(1, stop + 1):
        now = tf.constant(step, tf.int64)
        count = int(tf.math.count_nonzero(method.change(states, now)[0].kept))
        expected = round(inputs * outputs * (1 - float(schedule(now)[1])))
        assert abs(count - expected) <= 1
    assert count == round(density * inputs * outputs)
