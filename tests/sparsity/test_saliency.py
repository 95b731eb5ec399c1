import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from networks import slow

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.sparsity import SNIP, GraSP, Magnitude, SynFlow, densities, masked_weights

layers = keras.layers
METHODS = [SNIP, GraSP, SynFlow]
SIZE = 64 * 300 + 300 * 100 + 100 * 10

every = pytest.mark.parametrize("maker", METHODS)
with_data = pytest.mark.parametrize("maker", [SNIP, GraSP])


def make(maker, density: float = 0.1, **options):
    """A method, SynFlow in few steps."""
    few = dict(prune_steps=3) if maker is SynFlow else {}
    return maker(density, **few | options)


def lenet() -> keras.Model:
    keras.utils.set_random_seed(0)
    return models.lenet_300_100((8, 8, 1))


def normalized() -> keras.Model:
    """With variables that a forward in training mode changes, and random numbers."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, use_bias=False, name="conv"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10, bias_initializer="ones", name="logits"),
        ]
    )


def bits(model: keras.Model) -> list[bytes]:
    return [v.numpy().tobytes() for v in model.variables if v.dtype != tf.resource]


def masks(model: keras.Model) -> list[np.ndarray]:
    return [entry.mask.numpy() for entry in masked_weights(model)]


def whole(values: list) -> np.ndarray:
    return np.concatenate([np.asarray(value).ravel() for value in values])


@every
@pytest.mark.parametrize("network", [normalized, slow(lenet)])
def test_scores_change_no_variable(maker, network, batch):
    model = sparsify(network(), Magnitude(0.5))
    before = bits(model)
    scores = make(maker).scores(model, [batch])
    assert bits(model) == before
    for entry, score in zip(masked_weights(model), scores, strict=True):
        assert score.shape == entry.weight.shape and score.dtype == tf.float32


@every
@pytest.mark.parametrize("network", [normalized, slow(lenet)])
def test_what_stays_is_as_it_was(maker, network, batch):
    """All of the model except for masks and masked weights, to the bit."""
    model, reference = network(), network()
    sparse = sparsify(model, make(maker), data=[batch])
    kernels = {id(entry.weight): entry.mask.numpy() for entry in masked_weights(sparse)}
    for variable, before in zip(model.variables, reference.variables, strict=True):
        expected = before.numpy() * kernels.get(id(variable), 1)
        np.testing.assert_array_equal(variable, expected)


@every
@pytest.mark.parametrize("density", [slow(1.0), 0.05])
def test_the_largest_scores_of_all_stay(maker, density, batch):
    sparse = sparsify(lenet(), make(maker, density), data=[batch])
    assert densities(sparse)[0] == density
    if maker is not SynFlow and density < 1:  # SynFlow's change on the way
        flat = whole(make(maker).scores(sparsify(lenet()), [batch]))
        kept = whole(masks(sparse)) == 1
        assert flat[kept].min() >= flat[~kept].max()


@pytest.mark.parametrize(
    "maker, distribution",
    [
        (SynFlow, "uniform"),
        (GraSP, "er"),
        (SNIP, "erk"),
        slow(SNIP, "uniform"),
        slow(GraSP, "uniform"),
        slow(SNIP, "er"),
        slow(SynFlow, "er"),
        slow(GraSP, "erk"),
        slow(SynFlow, "erk"),
    ],
)
def test_in_each_layer(maker, distribution, batch):
    method = make(maker, distribution=distribution)
    sparse = sparsify(lenet(), method, data=[batch])
    assert densities(sparse)[0] == 0.1
    if distribution == "uniform":
        assert set(densities(sparse)[1].values()) == {0.1}


LAYERS = [
    (0.3, dict(layer_densities={"hidden_2": 0.05})),
    (0.5, dict(layer_densities={"hidden_1": 0.4}, dense_last=True)),
    (0.5, dict(dense_first=True, distribution="erk")),
    (0.3, dict(layer_densities={"hidden_2": 0.05}, distribution="uniform")),
]


@pytest.mark.parametrize(
    "maker, wanted, options",
    [(SynFlow, *case) for case in LAYERS]
    + [(SNIP, *LAYERS[0]), (GraSP, *LAYERS[1])]
    + [slow(SNIP, *case) for case in LAYERS[1:]]
    + [slow(GraSP, *case) for case in (LAYERS[0], *LAYERS[2:])],
)
def test_layers_of_their_own_density(maker, wanted, options, batch):
    sparse = sparsify(lenet(), make(maker, wanted, **options), data=[batch])
    total, found = densities(sparse)
    assert total == wanted
    for name, density in options.get("layer_densities", {}).items():
        assert found[name] == pytest.approx(density, abs=1e-9)
    assert found["logits"] == 1 or not options.get("dense_last")
    assert found["hidden_1"] == 1 or not options.get("dense_first")


@pytest.mark.parametrize(
    "maker, structure, unit",
    [
        (SNIP, "block:4x1", 4),
        (GraSP, "channels", None),
        (SynFlow, "channels", None),
        (SynFlow, "block:4x1", 4),
        slow(SNIP, "channels", None),
        slow(GraSP, "block:4x1", 4),
    ],
)
def test_structures(maker, structure, unit, batch):
    """Whole units only, and about the density that was asked for."""
    sparse = sparsify(lenet(), make(maker, 0.4, structure=structure), data=[batch])
    for mask in masks(sparse):
        units = mask.reshape(-1, unit or mask.shape[0], mask.shape[1])
        assert set(np.unique(units.mean(axis=1))) <= {0.0, 1.0}
        assert mask.any()
    assert densities(sparse)[0] == pytest.approx(0.4, abs=0.01)


@every
def test_what_is_pruned_stays_away(maker, batch):
    sparse = sparsify(lenet(), Magnitude(0.3))
    before = masks(sparse)
    make(maker, 0.1).start(sparse, [batch])
    assert densities(sparse)[0] == pytest.approx(0.1, abs=1e-4)
    for mask, old in zip(masks(sparse), before, strict=True):
        assert np.all(mask <= old)


@with_data
def test_labels_may_be_one_hot(maker, batch):
    x, y = batch
    sparse, hot = make(maker).scores(sparsify(lenet()), [(x, y)]), tf.one_hot(y, 10)
    for ours, theirs in zip(sparse, make(maker).scores(sparsify(lenet()), [(x, hot)]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7 * np.abs(ours).max())


@with_data
def test_batches_are_added_up(maker, batch):
    """Two batches weigh as much as their union; GraSP's score is of second order."""
    x, y = batch
    halves, one = [(x[:8], y[:8]), (x[8:], y[8:]), (x, y)], [(x, y)]
    model, factor = sparsify(lenet()), 4 if maker is GraSP else 2
    two = whole(make(maker, score_batches=2).scores(model, halves))
    expected = factor * whole(make(maker).scores(model, one))
    np.testing.assert_allclose(two, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    "maker, kind",
    [
        (SNIP, "split"),
        (GraSP, "dataset"),
        (SNIP, "generator"),
        (GraSP, "generator"),
        slow(GraSP, "split"),
        slow(SNIP, "dataset"),
    ],
)
def test_data_of_any_kind(maker, kind, digits, batch):
    x, y = batch
    data = {
        "split": digits[0],
        "dataset": tf.data.Dataset.from_tensor_slices((x, y)).batch(8),
        "generator": ((x, y) for _ in range(2)),
    }[kind]
    sparse = sparsify(lenet(), make(maker, score_batches=2), data=data)
    assert densities(sparse)[0] == 0.1


@with_data
def test_data_decide(maker, digits):
    found = []
    for first in (0, 500):
        data = [digits[0].gather(tf.range(first, first + 16, dtype=tf.int64))]
        found.append(whole(masks(sparsify(lenet(), make(maker), data=data))))
    assert (found[0] != found[1]).any()


@with_data
def test_missing_data(maker, batch):
    name = maker.__name__
    with pytest.raises(InputError, match=f"^data=None: {name} .*batches of .images, labels."):
        sparsify(lenet(), maker(0.1))
    with pytest.raises(InputError, match="^data of 2 batches: must be 3$"):
        sparsify(lenet(), maker(0.1, score_batches=3), data=[batch] * 2)


@every
def test_scores_that_are_not_finite(maker, batch):
    model = lenet()
    model.layers[-1].kernel.assign(model.layers[-1].kernel * np.inf)
    with pytest.raises(TrainingError, match=f"^{maker.__name__}: scores of layer .* not finite$"):
        sparsify(model, make(maker), data=[batch])


@pytest.mark.parametrize("prune_steps", [1, 3, 8])
def test_synflow_prunes_little_by_little(prune_steps, monkeypatch):
    """After step k of n, density^(k/n) of the weights are left."""
    found, scores = [], SynFlow.scores

    def recording(self, model, data=None):
        found.append(int(whole(masks(model)).sum()))
        return scores(self, model, data)

    monkeypatch.setattr(SynFlow, "scores", recording)
    sparse = sparsify(lenet(), SynFlow(0.1, prune_steps=prune_steps))
    expected = [SIZE * 0.1 ** (k / prune_steps) for k in range(prune_steps)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.51)
    assert whole(masks(sparse)).sum() == round(0.1 * SIZE)


def test_synflow_needs_no_data_and_looks_at_none(batch):
    def unread():
        raise AssertionError("data are read")
        yield

    alone = sparsify(lenet(), make(SynFlow))
    beside = sparsify(lenet(), make(SynFlow), data=unread())
    np.testing.assert_array_equal(whole(masks(alone)), whole(masks(beside)))


@pytest.mark.parametrize("prune_steps, cut", [(1, True), (10, False)])
def test_synflow_avoids_the_collapse_of_layers(prune_steps, cut):
    """At 2 in 1,000, all at once cuts the network; step by step paths are left."""
    sparse = sparsify(lenet(), SynFlow(0.002, prune_steps=prune_steps))
    flow = np.ones(64)
    for mask in masks(sparse):
        flow = flow @ mask
    assert (flow.sum() == 0) == cut


def test_signs_do_not_matter_to_synflow():
    one, two = lenet(), lenet()
    for kernel in two.trainable_variables:
        kernel.assign(-kernel)
    ours, theirs = (whole(masks(sparsify(model, make(SynFlow)))) for model in (one, two))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "maker, arguments, words",
    [
        (SNIP, dict(score_batches=0), "score_batches=0: must be at least 1"),
        (GraSP, dict(temperature=0.0), "temperature=0.0: must be above 0"),
        (SynFlow, dict(prune_steps=0), "prune_steps=0: must be at least 1"),
        (SNIP, dict(density=0), "density=0: must be above 0"),
        (SynFlow, dict(structure="2:3"), "density=0.1: must be 0.666667"),
    ],
)
def test_refuses(maker, arguments, words):
    with pytest.raises(InputError, match=f"^{words}"):
        maker(**arguments)
