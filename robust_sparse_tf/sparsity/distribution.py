"""Distributes a density over the layers."""

import fnmatch
import math
import numbers
from collections.abc import Mapping, Sequence

from robust_sparse_tf.errors import InputError

Shape = Sequence[int]
NAMES = ("uniform", "er", "erk")
_DIGITS = 4
"""Digits of densities in messages."""


def densities_of(
    distribution: str,
    density: float,
    shapes: Mapping[str, Shape],
    fixed: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """The density of each layer, such that the whole has a given density.

    Args:
        distribution: "uniform", the same everywhere; "er", Erdos-Renyi, as in "Scalable Training of
            Artificial Neural Networks with Adaptive Sparse Connectivity" (Mocanu et al., 2018),
            density proportional to (n_in + n_out) / (n_in n_out); "erk", Erdos-Renyi-Kernel, as in
            "Rigging the Lottery" (Evci et al., 2020), section 3, with the sides of the kernel in
            the sum and in the product.
        density: fraction of all weights to keep, in (0, 1].
        shapes: the shape of each weight.
        fixed: layers whose density is given; the others compensate for them.

    Raises:
        InputError: if the fixed layers keep more weights than the density allows, or so few that
            even dense other layers cannot reach it.
    """
    given, fixed = dict(fixed or {}), dict(fixed or {})
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    wanted = density * sum(sizes.values())
    raw = {name: _raw(distribution, shape) for name, shape in shapes.items() if name not in fixed}
    while raw:
        left = wanted - sum(fixed[name] * sizes[name] for name in fixed)
        scale = left / sum(raw[name] * sizes[name] for name in raw)
        if scale <= 0:
            break
        largest = max(raw, key=raw.__getitem__)
        if scale * raw[largest] <= 1:
            return {name: fixed.get(name, scale * raw.get(name, 0)) for name in shapes}
        # A layer that would exceed density 1 is dense, and the others are solved for again.
        fixed[largest] = 1.0
        del raw[largest]
    held = sum(fixed[name] * sizes[name] for name in fixed)
    if raw or not agrees(held, wanted, all_given=len(given) == len(sizes)):
        raise unreachable(density, given, sizes)
    return fixed


def agrees(held: float, wanted: float, *, all_given: bool) -> bool:
    """Whether a number of weights is the requested one, within rounding."""
    return math.isclose(held, wanted, rel_tol=10**-_DIGITS if all_given else 1e-6)


def unreachable(density: float, given: Mapping[str, float], sizes: Mapping[str, int]) -> InputError:
    """The error if layers of given density make the requested density impossible."""
    total = sum(sizes.values())
    least = sum(value * sizes[name] for name, value in given.items()) / total
    most = least + sum(sizes[name] for name in sizes if name not in given) / total
    names = ", ".join(given)
    if len(given) == len(sizes):
        return InputError(
            f"density={density}: must be {least:.{_DIGITS + 1}g}, which the densities given to all "
            f"layers make ({names}); or leave one of them free"
        )
    digits = _DIGITS
    while float(f"{least:.{digits}g}") <= density <= float(f"{most:.{digits}g}") and digits < 17:
        digits += 1  # until the given density is visibly outside
    return InputError(
        f"density={density}: must be between {least:.{digits}g} and {most:.{digits}g} beside "
        f"layers of given density ({names})"
    )


def counts_of(
    densities: Mapping[str, float], shapes: Mapping[str, Shape], minimum: int = 1
) -> dict[str, int]:
    """Whole numbers of weights to keep, whose sum is the rounded total.

    Each layer gets its number rounded down, and those with the largest remainders get one more.
    None gets less than `minimum` (or its size).
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    shares = {name: densities[name] * sizes[name] for name in shapes}
    counts = {name: math.floor(shares[name] + 1e-9) for name in shapes}
    missing = round(sum(shares.values())) - sum(counts.values())
    by_remainder = sorted(shapes, key=lambda name: counts[name] - shares[name])
    for name in by_remainder[: max(missing, 0)]:
        counts[name] += 1
    return {name: min(max(counts[name], minimum), sizes[name]) for name in shapes}


def match(patterns: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """The value of each name that a pattern (`conv_*`) matches; the first match wins.

    Raises:
        InputError: for a pattern without a match, or a value that is not a density.
    """
    values: dict[str, float] = {}
    for pattern, value in patterns.items():
        found = fnmatch.filter(names, pattern)
        if not found:
            raise InputError(f"layer {pattern}: does not exist; must be one of {', '.join(names)}")
        if not isinstance(value, numbers.Real) or not 0 < value <= 1:
            raise InputError(f"density of layer {pattern}={value}: must be above 0 and at most 1")
        values = dict.fromkeys(found, float(value)) | values
    return values


def _raw(distribution: str, shape: Shape) -> float:
    if distribution == "uniform":
        return 1.0
    sides = shape if distribution == "erk" else shape[-2:]
    return sum(sides) / math.prod(sides)
