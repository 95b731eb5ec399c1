"""Erdos-Renyi-Kernel densities against an exact solver that finds the dense layers otherwise."""

from fractions import Fraction
from math import prod

import pytest

from robust_sparse_tf.sparsity.distribution import counts_of, densities_of

LENET5 = [(5, 5, 1, 20), (5, 5, 20, 50), (800, 500), (500, 10)]


def resnet18() -> list[tuple[int, ...]]:
    shapes, width = [(3, 3, 3, 64)], 64
    for channels in (64, 128, 256, 512):
        shapes += [(3, 3, width, channels), *[(3, 3, channels, channels)] * 3]
        if channels != width:
            shapes.append((1, 1, width, channels))
        width = channels
    return [*shapes, (512, 10)]


def resnet20() -> list[tuple[int, ...]]:
    shapes, width = [(3, 3, 3, 16)], 16
    for channels in (16, 32, 64):
        shapes += [(3, 3, width, channels), *[(3, 3, channels, channels)] * 5]
        width = channels
    return [*shapes, (64, 10)]


def vgg16() -> list[tuple[int, ...]]:
    widths = [3, 64, 64, 128, 128, 256, 256, 256, *[512] * 6]
    return [(3, 3, *pair) for pair in zip(widths, widths[1:], strict=False)] + [(512, 10)]


NETWORKS = {"lenet5": LENET5, "resnet18": resnet18(), "resnet20": resnet20(), "vgg16": vgg16()}
# Kernels and the dense layer of the published counts of weights: 431,080 less 580 biases,
# 11,173,962 and 269,722 and 14,724,042 less biases and normalizations.
SIZES = {
    "lenet5": 431_080 - 580,
    "resnet18": 11_173_962 - 9_600 - 10,
    "resnet20": 269_722 - 1_376 - 10,
    "vgg16": 14_724_042 - 8_448 - 10,
}


def exact(density: Fraction, shapes: list[tuple[int, ...]]) -> list[Fraction]:
    """By fractions: of all ways to make the k layers of largest share dense, the one that holds.

    With the sums of sides s and the sizes n of the rest, the rest's density is e s / n, and e the
    weights that are left over the sum of all s.
    """
    order = sorted(range(len(shapes)), key=lambda i: Fraction(sum(shapes[i]), prod(shapes[i])))
    sizes, sides = [prod(shape) for shape in shapes], [sum(shape) for shape in shapes]
    solutions = []
    for dense in range(len(shapes)):
        thin, full = order[: len(shapes) - dense], order[len(shapes) - dense :]
        left = density * sum(sizes) - sum(sizes[i] for i in full)
        scale = left / sum(sides[i] for i in thin)
        found = [Fraction(1)] * len(shapes)
        for i in thin:
            found[i] = scale * Fraction(sides[i], sizes[i])
        # The thin ones fit, and none of the full ones would with the same scale.
        if 0 < found[thin[-1]] <= 1 and all(scale * sides[i] > sizes[i] for i in full):
            solutions.append(found)
    assert len(solutions) == 1
    return solutions[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_are_those_of_the_networks(name):
    assert sum(map(prod, NETWORKS[name])) == SIZES[name]


@pytest.mark.parametrize("density", ["0.5", "0.2", "0.1", "0.05", "0.01"])
@pytest.mark.parametrize("name", NETWORKS)
def test_densities(name, density):
    shapes = NETWORKS[name]
    expected = exact(Fraction(density), shapes)
    named = {str(number): shape for number, shape in enumerate(shapes)}
    found = densities_of("erk", float(density), named)
    assert list(found.values()) == pytest.approx([float(value) for value in expected], rel=1e-9)
    dense = {key for key, value in zip(named, expected, strict=True) if value == 1}
    assert {key for key, value in found.items() if value == 1} == dense
    counts = counts_of(found, named)
    assert sum(counts.values()) == round(Fraction(density) * SIZES[name])
    for key, value in zip(named, expected, strict=True):
        assert abs(counts[key] - value * prod(named[key])) < 1


# Sums of sides: 31, 80, 1300, 510. Sizes: 500, 25,000, 400,000, 5,000; together 430,500.
# At 1 %, 4,305 weights, e = 4305 / 1921 = 2.24102 and no layer is dense:
#   2.24102 * 31 / 500 = .138943, 80 / 25000 e = .00717127, 1300 / 400000 e = .00728332,
#   510 / 5000 e = .228584.
# At 5 %, 21,525 weights, e = 11.2051 and the last layer would be 1.1429: dense. Left are 16,525 for
#   1,411 sides, e = 11.7116: .726116, .0374770, .0380626.
# At 10 %, 43,050 weights: without the last e = 38050 / 1411 = 26.97, the first would be 1.67. With
#   both dense 37,550 are left for 1,380 sides, e = 27.2101: .0870725, .0884330.
# At 50 %, 215,250 weights: 209,750 / 1,380 = 151.993: .486377, .493976.
@pytest.mark.parametrize(
    "density, expected",
    [
        (0.01, [0.138943, 0.00717127, 0.00728332, 0.228584]),
        (0.05, [0.726116, 0.0374770, 0.0380626, 1]),
        (0.1, [1, 0.0870725, 0.0884330, 1]),
        (0.5, [1, 0.486377, 0.493976, 1]),
    ],
)
def test_lenet5_by_hand(density, expected):
    shapes = dict(zip("abcd", LENET5, strict=True))
    found = densities_of("erk", density, shapes)
    assert list(found.values()) == pytest.approx(expected, rel=1e-5)
