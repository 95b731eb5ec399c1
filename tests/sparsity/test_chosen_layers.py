"""Which layers are pruned: chosen by name or by a function, and never frozen ones."""

import numpy as np
import pytest
import tf_keras as keras
from networks import compiled, masks_of, slow, weights_of

from robust_sparse_tf import sparsify
from robust_sparse_tf.callbacks import Regrow
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.sparsity import (
    SET,
    SNIP,
    GradualMagnitude,
    LayerRates,
    Magnitude,
    RigL,
    Static,
    SynFlow,
    dense_layers,
    densities,
    statistics,
)

layers = keras.layers
NAMES = ["conv_1", "conv_2", "hidden", "logits"]


def network(frozen: str = "") -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            layers.Input((4, 4, 2)),
            layers.Conv2D(4, 3, padding="same", name="conv_1"),
            layers.Conv2D(4, 3, padding="same", name="conv_2"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(8, "relu", name="hidden"),
            layers.Dense(3, name="logits"),
        ]
    )
    if frozen:
        model.get_layer(frozen).trainable = False
    return model


def examples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((16, 4, 4, 2)).astype(np.float32), rng.integers(0, 3, 16)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (dict(), NAMES),
        (dict(layers="conv_*"), ["conv_1", "conv_2"]),
        (dict(layers=["conv_1", "logits"]), ["conv_1", "logits"]),
        (dict(layers=lambda layer: isinstance(layer, layers.Dense)), ["hidden", "logits"]),
        (dict(skip="logits"), ["conv_1", "conv_2", "hidden"]),
        (dict(skip=("conv_1", "log*")), ["conv_2", "hidden"]),
        (dict(skip=lambda layer: layer.name == "hidden"), ["conv_1", "conv_2", "logits"]),
        (dict(layers="conv_*", skip="conv_1"), ["conv_2"]),
    ],
)
def test_chosen(arguments, expected, recwarn):
    found = densities(sparsify(network(), Magnitude(0.25), **arguments))
    assert list(found[1]) == expected
    assert found[0] == pytest.approx(0.25, abs=0.01)
    assert not [w for w in recwarn if w.category is RunWarning]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(layers="dense*"), r"layers=dense\*: matches no layer that can be pruned; must match"),
        (dict(skip=["logits", "batch*"]), r"skip=batch\*: matches no layer that can be pruned"),
        (dict(layers="Conv_1"), "layers=Conv_1: .* one of conv_1, conv_2, hidden, logits"),
        (dict(layers=3), "layers=3: must be a pattern of names, a list of them or a function"),
        (dict(skip=[3]), r"skip=\[3\]: must be a pattern"),
        (dict(layers=[]), "model .*: has no weights that can be pruned, or all are skipped"),
        (dict(skip="*"), "model .*: has no weights that can be pruned, or all are skipped"),
    ],
)
def test_refuses(arguments, words):
    with pytest.raises(InputError, match=f"^{words}"):
        sparsify(network(), **arguments)


METHODS = [
    Magnitude(0.2),
    RigL(0.2, update_interval=1),
    GradualMagnitude(0.2, stop_step=2, update_interval=1),
    slow(Magnitude(0.2, distribution="global")),
    slow(Static(0.2, distribution="erk")),
    slow(SET(0.2, update_interval=1)),
    slow(SNIP(0.2)),
    slow(SynFlow(0.2, prune_steps=2)),
]


@pytest.mark.parametrize("method", METHODS)
def test_frozen_layers_are_not_pruned(method):
    """Density is that of the others, which is said."""
    model = network("hidden")
    before = model.get_layer("hidden").get_weights()
    with pytest.warns(RunWarning, match=r"stay dense, as they .*: hidden \(Dense, frozen\)$"):
        sparse = sparsify(model, method, data=[examples()])
    compiled(sparse).fit(*examples(), batch_size=8, verbose=0)
    assert densities(sparse)[0] == pytest.approx(0.2, abs=0.01)
    assert "hidden" in dense_layers(network()) or "hidden" not in densities(sparse)[1]
    for value, old in zip(model.get_layer("hidden").get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)


def freeze(sparse: keras.Model, name: str) -> int:
    """Freezes a layer of a sparse model; its place among the masks."""
    next(layer for layer in sparse.layers if layer.name == name).trainable = False
    return NAMES.index(name)


@pytest.mark.parametrize("method", METHODS)
def test_layers_that_are_frozen_later_keep_their_masks(method):
    sparse = sparsify(network(), method, data=[examples()])
    place = freeze(sparse, "hidden")
    masks, weights = masks_of(sparse), weights_of(sparse)
    if hasattr(method, "prune"):
        with pytest.warns(RunWarning, match=r"masks of frozen layers .* unchanged \(hidden\)"):
            method.prune(sparse, [examples()])
    else:
        with pytest.warns(RunWarning, match=r"masks of frozen layers .* unchanged \(hidden\)"):
            compiled(sparse)
    compiled(sparse).fit(*examples(), batch_size=8, verbose=0)
    np.testing.assert_array_equal(masks_of(sparse)[place], masks[place])
    np.testing.assert_array_equal(weights_of(sparse)[place], weights[place])
    others = [mask.ravel() for number, mask in enumerate(masks_of(sparse)) if number != place]
    assert np.mean(np.concatenate(others)) == pytest.approx(0.2, abs=0.01)


def test_regrow_leaves_frozen_layers():
    sparse = sparsify(network(), Static(0.4))
    place = freeze(sparse, "conv_2")
    masks = masks_of(sparse)
    regrow = Regrow(SET(0.4, update_interval=1))
    compiled(sparse).fit(*examples(), batch_size=8, verbose=0, callbacks=[regrow])
    same = [np.array_equal(mask, old) for mask, old in zip(masks_of(sparse), masks, strict=True)]
    assert same == [number == place for number in range(4)]


@pytest.mark.parametrize("pruner", [Magnitude(0.2), LayerRates()])
def test_refuses_to_prune_frozen_layers_alone(pruner):
    sparse = sparsify(network())
    sparse.trainable = False
    with pytest.raises(InputError, match=r"all layers with masks are frozen \(trainable=False\)"):
        pruner.prune(sparse)
    frozen = network()
    frozen.trainable = False
    with pytest.raises(InputError, match="has no weights that can be pruned, or all are .* frozen"):
        sparsify(frozen)


def test_tells_what_stays_dense():
    inputs = layers.Input((4, 6))
    x = layers.EinsumDense("abc,cd->abd", (4, 5), name="einsum")(inputs)
    model = keras.Model(inputs, layers.Dense(3, name="logits")(layers.LayerNormalization()(x)))
    with pytest.warns(RunWarning, match=r"stay dense, .*: einsum \(EinsumDense\)$"):
        sparsify(model, Magnitude(0.5))


def test_tells_of_a_density_that_is_missed():
    method = Magnitude(0.01, minimum_weights=20)
    with pytest.warns(RunWarning, match=r"Magnitude gives density .* instead of density=0.01"):
        sparse = sparsify(network(), method)
    assert statistics(sparse)["layers"]["logits"]["active"] == 20


def test_all_densities_given():
    given = {"conv_1": 1, "conv_*": 0.5, "*": 0.25}
    with pytest.raises(InputError, match=r"^density=0.1: must be 0\.\d+, which the dens") as told:
        sparsify(network(), Magnitude(0.1, layer_densities=given))
    density = float(str(told.value).split("must be ")[1].split(",")[0])
    for distribution in ("uniform", "global"):
        method = Magnitude(density, layer_densities=given, distribution=distribution)
        expected = {"conv_1": 1, "conv_2": 0.5, "hidden": 0.25, "logits": 0.25}
        assert densities(sparsify(network(), method))[1] == expected
