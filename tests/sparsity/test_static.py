import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity import Static, densities, masked_weights

layers = keras.layers


def lenet() -> keras.Model:
    keras.utils.set_random_seed(0)
    return models.lenet_300_100((8, 8, 1))


def every_layer() -> keras.Model:
    """One of each kind of layer whose weights can be pruned."""
    keras.utils.set_random_seed(0)
    words, images = layers.Input((4,), dtype="int32"), layers.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, padding="same", name="conv")(images)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = layers.SeparableConv2D(6, 3, name="separable")(x)
    x = layers.Flatten()(layers.Conv2DTranspose(5, 2, name="transposed")(x))
    y = layers.Flatten()(layers.Embedding(50, 3, name="embedding")(words))
    y = layers.Flatten()(layers.Conv1D(3, 2, name="conv_1d")(layers.Reshape((4, 3))(y)))
    outputs = layers.Dense(10, name="logits")(layers.Concatenate()([x, y]))
    return keras.Model([images, words], outputs)


SIZES = {
    "conv": 3 * 3 * 2 * 4,
    "embedding": 50 * 3,
    "depthwise": 3 * 3 * 4 * 2,
    "separable/depthwise_kernel": 3 * 3 * 8,
    "separable/pointwise_kernel": 8 * 6,
    "transposed": 2 * 2 * 5 * 6,
    "conv_1d": 2 * 3 * 3,
    "logits": (5 * 5 * 5 + 9) * 10,
}


def masks(model: keras.Model) -> list[np.ndarray]:
    return [entry.mask.numpy() for entry in masked_weights(model)]


def active(model: keras.Model) -> dict[str, int]:
    return {entry.name: int(entry.mask.numpy().sum()) for entry in masked_weights(model)}


# LeNet-300-100 on digits: 64 x 300, 300 x 100 and 100 x 10 with 364, 400 and 110 for the sums of
# sides; 50,200 weights.
# er and erk at .1: 5,020 / 874 = 5.7437 for each side, 2,090.7, 2,297.5 and 631.8.
# At .3: 15,060 / 874 = 17.23 would make the last layer 1,895 of 1,000; the others share 14,060 by
# 764 sides: 6,698.7 and 7,361.3.
@pytest.mark.parametrize(
    "distribution, density, expected",
    [
        ("uniform", 0.1, [1920, 3000, 100]),
        ("uniform", 0.3, [5760, 9000, 300]),
        ("uniform", 1.0, [19200, 30000, 1000]),
        ("er", 0.1, [2091, 2297, 632]),
        ("erk", 0.1, [2091, 2297, 632]),
        ("er", 0.3, [6699, 7361, 1000]),
        ("erk", 0.3, [6699, 7361, 1000]),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_counts(distribution, density, expected, seed):
    sparse = sparsify(lenet(), Static(density, distribution=distribution, seed=seed))
    assert list(active(sparse).values()) == expected
    for entry in masked_weights(sparse):
        np.testing.assert_array_equal(entry.weight.numpy() != 0, entry.mask.numpy() == 1)


@pytest.mark.parametrize("distribution", ["uniform", "er", "erk"])
def test_every_kind_of_layer(distribution):
    dense = every_layer()
    before = {id(weight): weight.numpy() for weight in dense.trainable_weights}
    sparse = sparsify(dense, Static(0.25, distribution=distribution))
    assert {entry.name: entry.size for entry in masked_weights(sparse)} == SIZES
    counts = active(sparse)
    assert sum(counts.values()) == round(0.25 * sum(SIZES.values()))
    if distribution == "uniform":
        for name, size in SIZES.items():
            assert abs(counts[name] - 0.25 * size) < 1
    for entry in masked_weights(sparse):
        kernel = before[id(entry.weight)]
        np.testing.assert_array_equal(entry.weight, kernel * entry.mask.numpy())
    biases = [weight for weight in dense.trainable_weights if "bias" in weight.name]
    for bias in biases:
        np.testing.assert_array_equal(bias, before[id(bias)])
    images, words = np.ones((2, 8, 8, 2), np.float32), np.ones((2, 4), np.int32)
    assert np.isfinite(sparse([images, words]).numpy()).all()


def test_seed_decides():
    first, again = (masks(sparsify(lenet(), Static(0.2, seed=3))) for _ in range(2))
    keras.utils.set_random_seed(99)
    other_weights = masks(sparsify(models.lenet_300_100((8, 8, 1)), Static(0.2, seed=3)))
    other_seed = masks(sparsify(lenet(), Static(0.2, seed=4)))
    for one, two, three, four in zip(first, again, other_weights, other_seed, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)
        # Independent masks agree on .2^2 of the weights, give or take.
        assert (one * four).mean() == pytest.approx(0.04, abs=0.02)


def test_layers_of_equal_shape_differ():
    dense = keras.Sequential([layers.Input((40,)), layers.Dense(40), layers.Dense(40)])
    one, two = masks(sparsify(dense, Static(0.5)))
    assert (one * two).mean() == pytest.approx(0.25, abs=0.04)


def test_masks_are_spread_evenly():
    """No row or column is favoured: each of 300 columns of 64 has 16 weights, give or take."""
    mask = masks(sparsify(lenet(), Static(0.25)))[0]
    columns, rows = mask.sum(axis=0), mask.sum(axis=1)
    assert 2 < columns.std() < 5 and 5 < rows.std() < 11  # binomial: 3.5 and 7.5
    assert columns.min() > 0


def test_what_is_pruned_stays_away():
    sparse = sparsify(lenet(), Static(0.5))
    before = masks(sparse)
    Static(0.5, seed=1).prune(sparse)
    for mask, old in zip(masks(sparse), before, strict=True):
        assert np.all(mask <= old) and mask.sum() < old.sum()


@pytest.mark.parametrize(
    "options, expected",
    [
        (dict(dense_first=True), {"hidden_1": 1.0}),
        (dict(dense_last=True), {"logits": 1.0}),
        (dict(dense_first=True, dense_last=True), {"hidden_1": 1.0, "logits": 1.0}),
        (dict(layer_densities={"hidden_*": 0.5}), {"hidden_1": 0.5, "hidden_2": 0.5}),
        (dict(layer_densities={"hidden_1": 0.5}, dense_first=True), {"hidden_1": 1.0}),
    ],
)
@pytest.mark.parametrize("distribution", ["uniform", "erk"])
def test_layers_of_their_own_density(options, expected, distribution):
    whole, found = densities(sparsify(lenet(), Static(0.5, distribution=distribution, **options)))
    assert found | expected == found
    assert whole == 0.5


def test_at_least_some_weights_stay():
    sparse = sparsify(lenet(), Static(1e-6, minimum_weights=7))
    assert active(sparse) == {"hidden_1": 7, "hidden_2": 7, "logits": 7}


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(distribution="global"), "distribution=global: must be uniform, er or erk"),
        (dict(layer_densities={"dense": 0.5}), "layer dense: does not exist"),
        (dict(density=0.001, dense_last=True), "density=0.001: must be between 0.01992 and 1"),
    ],
)
def test_refuses(arguments, words):
    method = Static(**arguments)
    with pytest.raises(InputError, match=f"^{words}"):
        sparsify(lenet(), method)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(density=0), "density=0: must be above 0"),
        (dict(distribution="random"), "distribution=random: must be one of uniform, er, erk"),
        (dict(minimum_weights=0), "minimum_weights=0: must be at least 1"),
        (dict(seed=-1), "seed=-1: must be at least 0"),
        (dict(structure="rows"), "structure=rows: must be 'weights'"),
        (dict(conv_structure="rows"), "conv_structure=rows: must be 'weights'"),
        (dict(conv_structure="2:4"), "density=0.1: must be 0.5 with conv_structure=2:4"),
    ],
)
def test_options_refused(arguments, words):
    with pytest.raises(InputError, match=f"^{words}"):
        Static(**arguments)
