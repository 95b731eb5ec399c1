"""SET and RigL against their papers' algorithms, written in NumPy without the library."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.sparsity import SET, LayerState, RigL, masked_weights, sparsify
from robust_sparse_tf.sparsity.methods.base import uniform

SHAPES = [(7, 5), (12, 3), (1, 30)]
UPDATES = 100
REST = [(SET, 0.05), (RigL, 0.3), (RigL, 1.0)]


def drop_and_grow(active, weight, scores, fraction):
    """Algorithm 1 of RigL: the k smallest |w| go, the k best of the others come; first ones win."""
    active, weight, scores = active.ravel(), weight.ravel(), scores.ravel()
    held = np.flatnonzero(active)
    k = int(np.round(np.float32(fraction) * np.float32(held.size)))
    by_magnitude = held[np.argsort(-np.abs(weight[held]), kind="stable")]
    kept = np.zeros(active.size, bool)
    kept[by_magnitude[: held.size - k]] = True
    others = np.flatnonzero(~kept)
    grown = np.zeros(active.size, bool)
    grown[others[np.argsort(-scores[others], kind="stable")[:k]]] = True
    return kept, grown


@pytest.mark.parametrize(
    "kind, fraction",
    [
        (SET, 0.3),
        (RigL, 0.05),
        pytest.param(SET, 1.0, marks=pytest.mark.slow),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in REST),
    ],
)
def test_many_updates_with_ties(kind, fraction):
    """Each update starts from the reference's masks; weights and gradients take few values."""
    method = kind(drop_fraction=fraction, update_interval=1, seed=3)
    rng = np.random.default_rng(0)
    masks = [
        rng.random(shape) < density for shape, density in zip(SHAPES, (0.5, 0.1, 0.9), strict=True)
    ]

    @tf.function
    def update(weights, active, gradients, step):
        layers = [
            LayerState(f"layer_{i}", i, SHAPES[i], weights[i], active[i], gradients[i])
            for i in range(len(SHAPES))
        ]
        return [tuple(change) for change in method.change(layers, step)]

    ties, moved = 0, 0
    for step in range(1, UPDATES + 1):
        coarse = step % 3  # two of three updates have ties
        weights, gradients = (
            [
                np.float32(np.round(noise) / 2 if coarse else noise)
                for noise in (rng.normal(size=shape) for shape in SHAPES)
            ]
            for _ in range(2)
        )
        weights = [weight * mask for weight, mask in zip(weights, masks, strict=True)]
        changes = update(weights, masks, gradients, tf.constant(step, tf.int64))
        for i, (kept, grown) in enumerate(changes):
            state = LayerState(f"layer_{i}", i, SHAPES[i], tf.constant(weights[i]), masks[i])
            scores = np.abs(gradients[i]) if kind is RigL else uniform(3, state, step).numpy()
            expected = drop_and_grow(masks[i], weights[i], scores, fraction)
            np.testing.assert_array_equal(np.ravel(kept), expected[0])
            np.testing.assert_array_equal(np.ravel(grown), expected[1])
            after = (expected[0] | expected[1]).reshape(SHAPES[i])
            assert after.sum() == masks[i].sum()
            magnitudes = np.abs(weights[i][masks[i]])
            ties += len(np.unique(magnitudes)) < len(magnitudes)
            moved += np.count_nonzero(after != masks[i])
            masks[i] = after
    assert ties > UPDATES and moved > UPDATES


def loss_of(kernels, biases, x, y):
    """Mean cross-entropy of a network with one hidden layer of tanh, in float64."""
    hidden = np.tanh(x @ kernels[0] + biases[0])
    logits = hidden @ kernels[1] + biases[1]
    logits -= logits.max(axis=1, keepdims=True)
    return np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y])


def finite_differences(kernels, biases, x, y, width=1e-5):
    """The gradient on every entry, pruned ones included, by central differences."""
    gradients = [np.zeros_like(kernel) for kernel in kernels]
    for kernel, gradient in zip(kernels, gradients, strict=True):
        for place in np.ndindex(kernel.shape):
            middle, sides = kernel[place], []
            for side in (1, -1):
                kernel[place] = middle + side * width
                sides.append(loss_of(kernels, biases, x, y))
            kernel[place] = middle
            gradient[place] = (sides[0] - sides[1]) / (2 * width)
    return gradients


@pytest.mark.parametrize("penalty", ["l2", pytest.param(None, marks=pytest.mark.slow)])
def test_rigl_grows_where_finite_differences_are_largest(penalty):
    """Of the loss alone, whatever the penalty, on twenty random networks and batches."""
    layers = keras.layers
    first = layers.Dense(5, "tanh", kernel_regularizer=penalty, bias_regularizer=penalty)
    second = layers.Dense(3, kernel_regularizer=penalty)
    dense = keras.Sequential([layers.Input((4,)), first, second])
    model = sparsify(dense, RigL(0.4, drop_fraction=0.5, update_interval=2))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.0), loss)
    rng, grown_anew = np.random.default_rng(1), 0
    entries = list(masked_weights(model))
    for _ in range(20):
        for entry in entries:
            mask = rng.permutation(entry.size).reshape(entry.mask.shape) < 0.4 * entry.size
            entry.mask.assign(mask)
            entry.weight.assign(mask * rng.normal(size=mask.shape))
        first.bias.assign(rng.normal(size=5))
        second.bias.assign(rng.normal(size=3))
        x, y = rng.normal(size=(16, 4)).astype(np.float32), rng.integers(0, 3, 16)
        kernels = [np.float64(entry.weight) for entry in entries]
        masks = [entry.mask.numpy() > 0 for entry in entries]
        biases = [np.float64(layer.bias) for layer in (first, second)]
        gradients = finite_differences(kernels, biases, x, y)
        model.step.assign(2)
        model.train_on_batch(x, y)
        for entry, mask, kernel, gradient in zip(entries, masks, kernels, gradients, strict=True):
            kept, grown = drop_and_grow(mask, kernel, np.abs(gradient), 0.5)
            np.testing.assert_array_equal(np.ravel(entry.mask) > 0, kept | grown)
            np.testing.assert_array_equal(np.ravel(entry.weight), kernel.ravel() * kept)
            grown_anew += np.count_nonzero(grown & ~mask.ravel())
    assert grown_anew > 40
