import math

import hypothesis
import hypothesis.strategies as st
import pytest

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity.distribution import NAMES, counts_of, densities_of, match

side = st.integers(1, 12)
dense_shapes = st.tuples(side, side)
kernel_shapes = st.tuples(st.integers(1, 5), st.integers(1, 5), side, side)
networks = st.lists(st.one_of(dense_shapes, kernel_shapes), min_size=1, max_size=6).map(
    lambda shapes: {f"layer_{number}": shape for number, shape in enumerate(shapes)}
)
densities = st.floats(0.01, 1)

LENET = {"hidden_1": (784, 300), "hidden_2": (300, 100), "logits": (100, 10)}


def total(shapes) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


def kept(spread, shapes) -> float:
    return sum(spread[name] * math.prod(shape) for name, shape in shapes.items())


def raw(distribution, shape) -> float:
    """What a density is in proportion to, from the papers."""
    if distribution == "uniform":
        return 1.0
    if distribution == "er":
        inputs, outputs = shape[-2:]
        return (inputs + outputs) / (inputs * outputs)
    return sum(shape) / math.prod(shape)


@pytest.mark.parametrize("distribution", NAMES)
@hypothesis.given(networks, densities)
def test_densities(distribution, shapes, density):
    spread = densities_of(distribution, density, shapes)
    assert list(spread) == list(shapes)
    assert all(0 < value <= 1 for value in spread.values())
    assert kept(spread, shapes) == pytest.approx(density * total(shapes))
    scales = {name: spread[name] / raw(distribution, shape) for name, shape in shapes.items()}
    below = [scales[name] for name in shapes if spread[name] < 1]
    if below:
        assert below == pytest.approx([below[0]] * len(below)), "in proportion"
        for name, shape in shapes.items():  # what is dense would be more than dense
            assert spread[name] < 1 or below[0] * raw(distribution, shape) >= 1 - 1e-6


@pytest.mark.parametrize("distribution", NAMES)
@hypothesis.given(networks, densities)
def test_counts(distribution, shapes, density):
    spread = densities_of(distribution, density, shapes)
    counts = counts_of(spread, shapes, minimum=0)
    # Rounded: half a weight may go either way.
    assert abs(sum(counts.values()) - density * total(shapes)) <= 0.5 + 1e-6
    for name, shape in shapes.items():
        assert 0 <= counts[name] <= math.prod(shape)
        assert abs(counts[name] - spread[name] * math.prod(shape)) < 1 + 1e-6


@hypothesis.given(networks, st.floats(1e-9, 0.2), st.integers(1, 20))
def test_minimum(shapes, density, minimum):
    spread = densities_of("erk", density, shapes)
    free, bound = counts_of(spread, shapes, minimum=0), counts_of(spread, shapes, minimum)
    for name, shape in shapes.items():
        assert bound[name] == min(max(free[name], minimum), math.prod(shape))


@pytest.mark.parametrize("distribution", NAMES)
@hypothesis.given(networks, st.floats(0.3, 0.6), st.floats(0.01, 1))
def test_fixed_layers(distribution, shapes, density, own):
    shapes |= {"fixed": (3, 3), "large": (40, 60)}
    spread = densities_of(distribution, density, shapes, {"fixed": own})
    assert spread["fixed"] == own
    assert kept(spread, shapes) == pytest.approx(density * total(shapes))
    assert all(0 < value <= 1 for value in spread.values())


def test_uniform_makes_up_for_fixed_layers():
    """266,200 weights: .1 of them are 26,620, of which the dense output layer holds 1,000."""
    spread = densities_of("uniform", 0.1, LENET, {"logits": 1.0})
    rest = 25620 / 265200
    assert spread == pytest.approx({"hidden_1": rest, "hidden_2": rest, "logits": 1.0})
    counts = counts_of(spread, LENET)
    assert sum(counts.values()) == 26620 and counts["logits"] == 1000


@pytest.mark.parametrize("distribution", NAMES)
def test_dense_is_dense(distribution):
    assert set(densities_of(distribution, 1.0, LENET).values()) == {1.0}
    counts = counts_of(densities_of(distribution, 1.0, LENET), LENET)
    assert counts == {name: math.prod(shape) for name, shape in LENET.items()}


def test_er_and_erk_differ_by_the_kernel():
    shapes = {"a": (5, 5, 20, 50), "b": (3, 3, 50, 50)}
    ratios = {}
    for name in ("er", "erk"):
        spread = densities_of(name, 0.01, shapes)
        ratios[name] = spread["a"] / spread["b"]
    assert ratios["er"] == pytest.approx((70 / 1000) / (100 / 2500))
    assert ratios["erk"] == pytest.approx((80 / 25000) / (106 / 22500))


def test_all_layers_fixed_at_the_wanted_density():
    assert densities_of("erk", 0.25, LENET, dict.fromkeys(LENET, 0.25)) == dict.fromkeys(
        LENET, 0.25
    )


@pytest.mark.parametrize("distribution", NAMES)
@pytest.mark.parametrize(
    "density, fixed, words",
    [
        # The output layer is 1,000 of 266,200 weights, the first one 235,200.
        (0.001, {"logits": 1.0}, "must be between 0.003757 and 1 beside .* density (logits)"),
        (0.9, {"hidden_1": 0.5}, "must be between 0.4418 and 0.5582 beside .* density (hidden_1)"),
        (
            0.5,
            dict.fromkeys(LENET, 0.25),
            "must be 0.25, which the densities given to all layers make",
        ),
    ],
)
def test_density_that_cannot_be_reached(distribution, density, fixed, words):
    words = words.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(InputError, match=f"^density={density}: {words}") as caught:
        densities_of(distribution, density, LENET, fixed)
    assert "\n" not in str(caught.value)


NAMED = ["conv_1", "conv_2", "block/conv", "logits"]


@pytest.mark.parametrize(
    "patterns, expected",
    [
        ({}, {}),
        ({"logits": 0.5}, {"logits": 0.5}),
        ({"logits": 1}, {"logits": 1.0}),
        ({"conv_*": 0.5}, {"conv_1": 0.5, "conv_2": 0.5}),
        ({"conv_?": 0.5, "conv_2": 0.25}, {"conv_1": 0.5, "conv_2": 0.5}),
        ({"conv_2": 0.25, "conv_?": 0.5}, {"conv_1": 0.5, "conv_2": 0.25}),
        ({"*conv*": 0.1}, {"conv_1": 0.1, "conv_2": 0.1, "block/conv": 0.1}),
        ({"conv_[!1]": 0.1}, {"conv_2": 0.1}),
        ({"logits": 1.0, "*": 0.1}, dict.fromkeys(NAMED[:3], 0.1) | {"logits": 1.0}),
    ],
)
def test_match(patterns, expected):
    found = match(patterns, NAMED)
    assert found == expected
    assert all(isinstance(value, float) for value in found.values())


@pytest.mark.parametrize(
    "patterns, words",
    [
        ({"conv": 0.5}, r"layer conv: does not exist; must be one of conv_1, .*, logits"),
        ({"conv_*": 0.5, "Logits": 0.5}, "layer Logits: does not exist"),
        ({"conv_*": 0}, r"density of layer conv_\*=0: must be above 0 and at most 1"),
        ({"conv_*": 1.01}, r"density of layer conv_\*=1.01: must be above 0 and at most 1"),
        ({"logits": -0.5}, "density of layer logits=-0.5: must be"),
        ({"logits": math.nan}, "density of layer logits=nan: must be"),
        ({"logits": "0.5"}, "density of layer logits=0.5: must be"),
        ({"logits": None}, "density of layer logits=None: must be"),
    ],
)
def test_match_refuses(patterns, words):
    with pytest.raises(InputError, match=f"^{words}") as caught:
        match(patterns, NAMED)
    assert "\n" not in str(caught.value)
