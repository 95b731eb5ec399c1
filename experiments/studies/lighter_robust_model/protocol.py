"""What "Towards lighter adversarially robust model" trains and attacks."""

STUDY = "lighter_robust_model"
ATTACKS = {"none": "clean", "fgsm": "FGSM", "pgd": "PGD"}
"""What tables and figures call an attack."""

TABLES = {"pgd": "Table II: trained with PGD", "fgsm": "Table III: trained with FGSM"}
"""The study's table of networks that were trained with an attack."""

SCALES = range(6)
"""Scales of capacity; see `models.capacity_cnn`, whose width is 2 to the power of the scale."""

FEATURES = 100
"""Features of `models.binary_cnn` before its width multiplies them."""

_KERNEL, _IMAGE, _CLASSES = 5, 28, 10


def units(scale: int) -> tuple[int, int, int]:
    """The channels of both convolutions of a scale, and its hidden units."""
    return 2 * 2**scale, 4 * 2**scale, 100 * 2**scale


def parameters(scale: int) -> int:
    """How many parameters our network of a scale has, biases included."""
    first, second, hidden = units(scale)
    side = (_IMAGE - _KERNEL + 1) // 2
    side = (side - _KERNEL + 1) // 2
    layers = [(_KERNEL**2, first), (_KERNEL**2 * first, second)]
    layers += [(side**2 * second, hidden), (hidden, _CLASSES)]
    return sum((inputs + 1) * outputs for inputs, outputs in layers)
