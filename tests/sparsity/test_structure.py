import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from networks import slow

from robust_sparse_tf import sparsify
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity import Magnitude, densities, masked_weights
from robust_sparse_tf.sparsity.structure import Blocks, Channels, NOfM, Weights, parse

layers = keras.layers


@pytest.mark.parametrize(
    "text, expected",
    [
        ("weights", Weights()),
        ("channels", Channels()),
        ("block:4x1", Blocks(4, 1)),
        ("block:16x32", Blocks(16, 32)),
        ("block:1x1", Blocks(1, 1)),
        ("2:4", NOfM(2, 4, "inputs")),
        ("2:4@outputs", NOfM(2, 4, "outputs")),
        ("1:16", NOfM(1, 16, "inputs")),
        ("4:4", NOfM(4, 4, "inputs")),
    ],
)
def test_parse(text, expected):
    assert parse(text) == expected
    assert str(parse(text)) == text


def test_inputs_may_be_named():
    assert parse("2:4@inputs") == parse("2:4")


@pytest.mark.parametrize(
    "text",
    [
        *("", "weight", "Weights", "channel", "blocks:4x1", "block:4", "block:4x", "block:4x1x1"),
        *("block:0x1", "block:4x0", "block:-4x1", "block:04x1", "block: 4x1", "block:4x1 "),
        *("4:2", "0:4", "2:0", "2:", ":4", "2:4:8", "2/4", "2:4@", "2:4@both", "2:4@outputs\n"),
    ],
)
def test_parse_refuses(text):
    with pytest.raises(InputError, match="structure=") as caught:
        parse(text)
    line = f"structure={text}: must be 'weights', 'channels', ".replace("\n", " ")
    assert str(caught.value).startswith(line)
    with pytest.raises(InputError, match="structure="):
        Magnitude(0.5, structure=text)


SHAPE = (8, 6)
STRUCTURES = [Weights(), Channels(), Blocks(4, 1), Blocks(2, 3), Blocks(8, 2)]
GROUPED = [NOfM(2, 4), NOfM(1, 8), NOfM(3, 4), NOfM(1, 2, "outputs"), NOfM(2, 3, "outputs")]

levels = st.sampled_from([0.0, 0.25, 0.5, 1.0])
scores_of_weights = st.one_of(
    hnp.arrays(np.float32, SHAPE, elements=levels),
    hnp.arrays(np.float32, SHAPE, elements=st.floats(0, 10, width=32, allow_subnormal=False)),
)
whole = st.integers(0, SHAPE[0] * SHAPE[1])
some = hypothesis.settings(max_examples=10)
each = pytest.mark.parametrize("structure", STRUCTURES, ids=str)
each_grouped = pytest.mark.parametrize("structure", GROUPED, ids=str)


def unit_of(structure) -> tuple[int, int]:
    """Inputs and outputs of a unit, from the structure's name alone."""
    if isinstance(structure, Channels):
        return SHAPE[0], 1
    return (structure.inputs, structure.outputs) if isinstance(structure, Blocks) else (1, 1)


def units(matrix: np.ndarray, structure) -> np.ndarray:
    """The matrix cut up: [units, weights of a unit]."""
    rows, columns = unit_of(structure)
    found = [
        matrix[i : i + rows, j : j + columns].ravel()
        for i in range(0, SHAPE[0], rows)
        for j in range(0, SHAPE[1], columns)
    ]
    return np.array(found)


def whole_units(mask: np.ndarray, structure) -> np.ndarray:
    """Which units a mask holds, all of which it must hold as a whole."""
    flags = units(mask, structure)
    assert np.all(flags == flags[:, :1]), "a part of a unit"
    return flags[:, 0]


def worth(scores: np.ndarray, structure) -> np.ndarray:
    """The score of each unit: the mean of a block's, the l2 norm of a channel's."""
    cut = units(scores.astype(np.float64), structure)
    if isinstance(structure, Channels):
        return np.sqrt((cut**2).sum(axis=1))
    return cut.mean(axis=1)


def not_above(lower: np.ndarray, higher: np.ndarray) -> bool:
    """Whether no score of the first is above one of the second, except for rounding."""
    return not lower.size or not higher.size or lower.max() <= higher.min() + 1e-5


@each
@some
@hypothesis.given(scores_of_weights, whole)
def test_keep(structure, scores, count):
    mask = structure.keep(tf.constant(scores), count).numpy()
    assert mask.shape == SHAPE and mask.dtype == bool
    flags, size = whole_units(mask, structure), int(np.prod(unit_of(structure)))
    nearest = [flags.sum() * size - count, (flags.sum() + 1) * size - count]
    assert abs(nearest[0]) <= size / 2 or (flags.sum() == 1 and 0 < count < size / 2)
    if count % size == 0:
        assert mask.sum() == count
    assert flags.sum() > 0 or count == 0
    values = worth(scores, structure)
    assert not_above(values[~flags], values[flags])


@each
@some
@hypothesis.given(st.data())
def test_swap(structure, data):
    drop, grow = data.draw(scores_of_weights), data.draw(scores_of_weights)
    size, number = int(np.prod(unit_of(structure))), len(units(drop, structure))
    order = data.draw(st.permutations(range(number)))
    present = np.isin(np.arange(number), order[: data.draw(st.integers(1, number))])
    active = structure.spread(
        tf.reshape(tf.constant(present), structure.pool(drop).shape), SHAPE
    ).numpy()
    assert (whole_units(active, structure) == present).all()
    gone = data.draw(st.integers(0, present.sum() * size))
    come = data.draw(st.integers(0, drop.size))
    arguments = [tf.constant(value) for value in (active, drop, grow, gone, come)]
    kept, grown = (mask.numpy() for mask in structure.swap(*arguments))
    stay, rise = whole_units(kept, structure), whole_units(grown, structure)
    assert stay.sum() == present.sum() - gone // size
    assert rise.sum() == min(come // size, number - stay.sum())
    if gone == come:
        assert (kept | grown).sum() == active.sum(), "as many come as go"
    assert not np.any(stay & rise) and not np.any(stay & ~present)
    assert not_above(worth(drop, structure)[present & ~stay], worth(drop, structure)[stay])
    # What was just taken away may come again.
    assert not_above(worth(grow, structure)[~stay & ~rise], worth(grow, structure)[rise])


def groups(matrix: np.ndarray, structure: NOfM) -> np.ndarray:
    """[groups, m]: neighbours down a column, or along a row."""
    turned = matrix.T if structure.axis == "inputs" else matrix
    return turned.reshape(-1, structure.m)


@each_grouped
@some
@hypothesis.given(scores_of_weights, whole)
def test_keep_n_of_m(structure, scores, count):
    mask = structure.keep(tf.constant(scores), count).numpy()
    flags, values = groups(mask, structure), groups(scores, structure)
    for flag, value in zip(flags, values, strict=True):
        best = np.argsort(-value, kind="stable")[: structure.n]
        assert set(np.flatnonzero(flag)) == set(best)


@each_grouped
@some
@hypothesis.given(st.data())
def test_swap_n_of_m(structure, data):
    first, drop, grow = (data.draw(scores_of_weights) for _ in range(3))
    active = structure.keep(tf.constant(first), 0)
    for number in data.draw(st.lists(st.integers(0, drop.size), min_size=1, max_size=3)):
        before = groups(active.numpy(), structure)
        arguments = [active, tf.constant(drop), tf.constant(grow), *[tf.constant(number)] * 2]
        kept, grown = structure.swap(*arguments)
        stay, rise = groups(kept.numpy(), structure), groups(grown.numpy(), structure)
        after = stay | rise
        assert (after.sum(axis=1) == structure.n).all(), "n of each m, still"
        assert not np.any(stay & rise) and not np.any(stay & ~before)
        changed = rise.any(axis=1)
        assert changed.sum() == min(number, len(before)) and (rise.sum(axis=1) <= 1).all()
        assert ((before & ~stay).sum(axis=1) == changed).all()
        drops, grows = groups(drop, structure), groups(grow, structure)
        least = np.where(before, drops, np.inf).min(axis=1)
        assert not_above(least[changed], least[~changed]), "the groups of the least weights"
        np.testing.assert_array_equal(drops[before & ~stay], least[changed])
        best = np.where(stay, -1, grows).max(axis=1)
        np.testing.assert_array_equal(grows[rise], best[changed])
        active = kept | grown


IN_GRAPHS = [Blocks(2, 3), NOfM(2, 4)]
REST = [structure for structure in [*STRUCTURES, *GROUPED] if structure not in IN_GRAPHS]


@pytest.mark.parametrize("structure", [*IN_GRAPHS, *map(slow, REST)], ids=str)
def test_in_a_graph(structure):
    """As in training: counts come from the graph."""
    rng = np.random.default_rng(0)
    scores, grow = rng.random((2, *SHAPE)).astype(np.float32)

    def change(count):
        active = structure.keep(tf.constant(scores), 24)
        return structure.swap(active, tf.constant(scores), tf.constant(grow), count, count)

    eager = change(tf.constant(16))
    graph = tf.function(change)(tf.constant(16))
    for ours, theirs in zip(eager, graph, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert np.any(eager[1])


def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(8, 3, name="conv"),
            layers.Flatten(),
            layers.Dense(10, name="logits"),
        ]
    )


@pytest.mark.parametrize(
    "text, words",
    [
        ("block:4x1", "27 inputs x 8 outputs of layer conv must be multiples of 4 x 1"),
        ("block:3x3", "27 inputs x 8 outputs of layer conv must be multiples of 3 x 3"),
        ("2:4", "27 inputs x 8 outputs of layer conv must be multiples of 4 x 1"),
        ("2:4@outputs", "288 inputs x 10 outputs of layer logits must be multiples of 1 x 4"),
    ],
)
def test_units_that_do_not_fit(text, words):
    with pytest.raises(InputError, match=f"^structure={text}: {words}$"):
        sparsify(model(), Magnitude(0.5, structure=text))


def test_layers_that_stay_dense_need_not_fit():
    sparse = sparsify(model(), Magnitude(0.4, structure="block:4x1", dense_first=True))
    _, found = densities(sparse)
    assert found["conv"] == 1 and found["logits"] < 1
    mask = list(masked_weights(sparse))[1].mask.numpy()
    assert set(mask.reshape(72, 4, 10).sum(axis=1).ravel()) == {0, 4}


def test_channels_of_a_convolution():
    dense = model()
    norms = np.linalg.norm(dense.layers[0].kernel.numpy().reshape(27, 8), axis=0)
    sparse = sparsify(dense, Magnitude(0.5, structure="channels"))
    mask = next(masked_weights(sparse)).mask.numpy()
    alive = mask.any(axis=(0, 1, 2))
    assert set(np.flatnonzero(alive)) == set(np.argsort(-norms)[:4])
    assert mask.sum() == 4 * 27


@pytest.mark.parametrize("text", ["channels", "block:3x2", "weights"])
def test_pruned_again(text):
    """What is pruned has no say, whatever the structure."""
    sparse = sparsify(model(), Magnitude(0.5, structure=text))
    before = [entry.mask.numpy() for entry in masked_weights(sparse)]
    Magnitude(0.5, structure=text).prune(sparse)
    for entry, old in zip(masked_weights(sparse), before, strict=True):
        np.testing.assert_array_equal(entry.mask, old)
    Magnitude(0.25, structure=text).prune(sparse)
    for entry, old in zip(masked_weights(sparse), before, strict=True):
        mask = entry.mask.numpy()
        assert np.all(mask <= old) and 0 < mask.sum() < old.sum()


@pytest.mark.parametrize(
    "text, density, needed",
    [("2:4", 0.4, "0.5"), ("1:3", 0.33, "0.333333"), ("2:4@outputs", 1.0, "0.5")],
)
def test_n_of_m_has_its_density(text, density, needed):
    with pytest.raises(InputError) as caught:
        Magnitude(density, structure=text)
    assert str(caught.value) == f"density={density}: must be {needed} with structure={text}"
    assert Magnitude(float(needed), structure=text).structure == text, "what it asks for will do"


def test_n_of_m_in_each_layer():
    sparse = sparsify(model(), Magnitude(1 / 3, structure="1:3"))
    for entry in masked_weights(sparse):
        mask = entry.mask.numpy()
        columns = mask.reshape(-1, mask.shape[-1])
        np.testing.assert_array_equal(columns.reshape(-1, 3, mask.shape[-1]).sum(axis=1), 1)
    Magnitude(1 / 3, structure="1:3").prune(sparse)
    assert densities(sparse)[0] == 1 / 3


def test_signed_scores_of_channels():
    """GraSP's are: a channel of large negative scores is the first to go."""
    scores = tf.constant([[-9.0, 0.1, 1.0], [-9.0, 0.1, -2.0]])
    expected = [[False, True, False]] * 2
    np.testing.assert_array_equal(Channels().keep(scores, 2), expected)
