"""One ranking of all weights, by magnitude."""

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.sparsity import Magnitude, densities, masked_weights

SIZE = 64 * 300 + 300 * 100 + 100 * 10


def lenet() -> keras.Model:
    keras.utils.set_random_seed(0)
    return models.lenet_300_100((8, 8, 1))


def kernels(model: keras.Model) -> list[np.ndarray]:
    return [kernel.copy() for kernel in model.get_weights()]


def ranking(weights: list[np.ndarray], count: int) -> list[np.ndarray]:
    """The masks of the largest of all, by one stable sort."""
    flat = np.concatenate([np.abs(weight).ravel() for weight in weights])
    mask = np.zeros(flat.size)
    mask[np.argsort(-flat, kind="stable")[:count]] = 1
    ends = np.cumsum([weight.size for weight in weights])[:-1]
    return [part.reshape(w.shape) for part, w in zip(np.split(mask, ends), weights, strict=True)]


def masks(model: keras.Model) -> list[np.ndarray]:
    return [entry.mask.numpy() for entry in masked_weights(model)]


def method(density: float, **options) -> Magnitude:
    return Magnitude(density, distribution="global", **options)


@pytest.mark.parametrize("density", [1.0, 0.5, 0.1, 0.05])
def test_one_ranking(density):
    dense = lenet()
    expected = ranking(kernels(dense), round(density * SIZE))
    sparse = sparsify(dense, method(density))
    for ours, theirs in zip(masks(sparse), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    found = densities(sparse)[1]
    assert density == 1 or found["logits"] > 1.2 * max(found["hidden_1"], found["hidden_2"])


few = st.sampled_from([-1.0, -0.5, 0.0, 0.5, 2.0])


@hypothesis.settings(max_examples=12)
@hypothesis.given(
    hnp.arrays(np.float32, (6, 5), elements=few),
    hnp.arrays(np.float32, (5, 3), elements=few),
    st.floats(0.05, 1),
    st.integers(1, 15),
)
def test_ties_and_minimum(first, last, density, minimum):
    dense = keras.Sequential(
        [
            keras.layers.Input((6,)),
            keras.layers.Dense(5, use_bias=False),
            keras.layers.Dense(3, use_bias=False),
        ]
    )
    dense.set_weights([first, last])
    expected = ranking([first, last], round(density * 45))
    sparse = sparsify(dense, method(density, minimum_weights=minimum))
    for ours, theirs, kernel in zip(masks(sparse), expected, (first, last), strict=True):
        if theirs.sum() >= minimum:
            np.testing.assert_array_equal(ours, theirs)
        else:  # its own best, in addition
            np.testing.assert_array_equal(ours, ranking([kernel], minimum)[0])


def test_minimum_is_said():
    dense = lenet()
    dense.layers[-1].kernel.assign(dense.layers[-1].kernel * 1e-6)
    with pytest.warns(RunWarning, match="layer logits: .* 0 weights; .* minimum_weights=7"):
        sparsify(dense, method(0.1, minimum_weights=7))


@pytest.mark.parametrize("minimum", [1, 50])
def test_minimum_keeps_a_layer_alive(minimum):
    dense = lenet()
    dense.layers[-1].kernel.assign(dense.layers[-1].kernel * 1e-6)
    sparse = sparsify(dense, method(0.1, minimum_weights=minimum))
    assert masks(sparse)[-1].sum() == minimum


@pytest.mark.parametrize("distribution", ["global", "uniform"])
def test_minimum_is_at_most_a_layer(distribution):
    with pytest.raises(InputError, match="minimum_weights=5000: must be at most 1000, .* logits"):
        sparsify(lenet(), Magnitude(0.1, distribution=distribution, minimum_weights=5000))


@pytest.mark.parametrize(
    "density, options, fixed",
    [
        (0.6, dict(dense_first=True), {0: 1.0}),
        (0.1, dict(dense_last=True), {2: 1.0}),
        (0.5, dict(dense_first=True, dense_last=True), {0: 1.0, 2: 1.0}),
        (0.3, dict(layer_densities={"hidden_2": 0.05}), {1: 0.05}),
        (0.6, dict(layer_densities={"hidden_*": 0.6}), {0: 0.6, 1: 0.6}),
        (0.75, dict(layer_densities={"hidden_*": 0.6}, dense_first=True), {0: 1.0, 1: 0.6}),
    ],
)
def test_layers_of_their_own_density(density, options, fixed):
    dense = lenet()
    before = kernels(dense)
    sparse = sparsify(dense, method(density, **options))
    found = masks(sparse)
    assert sum(mask.sum() for mask in found) == round(density * SIZE)
    held = 0
    for number, own in fixed.items():
        count = round(own * before[number].size)
        np.testing.assert_array_equal(found[number], ranking([before[number]], count)[0])
        held += count
    free = [number for number in range(3) if number not in fixed]
    expected = ranking([before[number] for number in free], round(density * SIZE) - held)
    for number, mask in zip(free, expected, strict=True):
        np.testing.assert_array_equal(found[number], mask)


def test_a_layer_of_tiny_density_keeps_a_weight():
    sparse = sparsify(lenet(), method(0.3, layer_densities={"logits": 1e-5}))
    assert masks(sparse)[-1].sum() == 1
    assert densities(sparse)[0] == 0.3


def test_what_is_pruned_stays_away():
    sparse = sparsify(lenet(), method(0.5))
    before = masks(sparse)
    for entry in masked_weights(sparse):
        entry.weight.assign(entry.weight + 100 * (1 - entry.mask))
    method(0.2).prune(sparse)
    assert densities(sparse)[0] == 0.2
    for mask, old in zip(masks(sparse), before, strict=True):
        assert np.all(mask <= old)


@pytest.mark.parametrize("distribution", ["uniform", "global"])
def test_active_zeros_come_before_pruned_weights(distribution):
    """Training may leave an active weight at zero; it still is one, and is counted."""
    dense = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(1, use_bias=False)])
    dense.set_weights([np.float32([[0.1], [0.2], [3], [4], [5], [6]])])
    sparse = sparsify(dense, Magnitude(4 / 6, distribution=distribution))
    entry = next(masked_weights(sparse))
    entry.weight.assign(np.float32([[0], [0], [0], [0], [5], [6]]))
    Magnitude(3 / 6, distribution=distribution).prune(sparse)
    np.testing.assert_array_equal(entry.mask.numpy().ravel(), [0, 0, 1, 0, 1, 1])


@pytest.mark.parametrize("structure, unit", [("block:4x1", 4), ("block:2x5", 10)])
def test_whole_units_are_ranked(structure, unit):
    """Means of blocks, of all layers together; a layer's share is rounded to whole blocks."""
    dense = lenet()
    rows, columns = map(int, structure.removeprefix("block:").split("x"))
    pooled = [
        np.abs(w).reshape(w.shape[0] // rows, rows, -1, columns).mean(axis=(1, 3))
        for w in kernels(dense)
    ]
    number = round(0.2 * SIZE / unit)
    counts = [int(mask.sum()) for mask in ranking(pooled, number)]
    found = masks(sparsify(dense, method(0.2, structure=structure)))
    for mask, score, count in zip(found, pooled, counts, strict=True):
        blocks = mask.reshape(score.shape[0], rows, -1, columns).sum(axis=(1, 3)) / unit
        assert set(np.unique(blocks)) <= {0.0, 1.0}
        assert abs(blocks.sum() - count) <= 1  # one block of the last rank may be cut
        assert score[blocks == 1].min() >= score[blocks == 0].max(initial=0) - 1e-7


@pytest.mark.parametrize(
    "density, options",
    [
        (0.001, dict(dense_last=True)),
        (0.9, dict(layer_densities={"hidden_*": 0.5})),
    ],
)
def test_refuses(density, options):
    with pytest.raises(InputError, match=f"^density={density}: must be between .* beside"):
        sparsify(lenet(), method(density, **options))
