"""Settings of "Towards lighter adversarially robust model"."""

from experiments.cli.values import Values
from experiments.studies.protocol import Allowed, Protocol

STUDY = "lighter_robust_model"
ATTACKS = {"none": "clean", "fgsm": "FGSM", "pgd": "PGD"}
"""Names of attacks in tables and figures."""

EPSILON = 0.3
"""The radius of its attacks."""

TABLES = {"pgd": "Table II: trained with PGD", "fgsm": "Table III: trained with FGSM"}
"""The paper's table of networks that were trained with an attack."""

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


_NETWORKS: dict[str, Allowed] = {
    "capacity_cnn": {
        "width": [2.0**scale for scale in SCALES],
        "attack": ["fgsm", "pgd"],
        "optimizer": ["sgd"],
    },
    "binary_cnn": {
        "classes": [["3", "7"]],
        "attack": ["none", "pgd"],
        "optimizer": ["sgd"],
        "strategy": ["continued"],
        "prune": ["features"],
        "prune_measure": ["robust_usefulness", "usefulness"],
    },
    "mlp_300_100_100": {
        "attack": ["none", "fgsm"],
        "strategy": ["original", "random"],
        "prune_hidden": [0.3],
        "prune_output": [0.3],
        "prune_until": [0.002],
    },
}
_TRAINING: dict[str, Allowed] = {
    "capacity_cnn": {"iterations": [19_531, 23_450], "learning_rate": [0.001], "batch_size": [128]},
    "binary_cnn": {"learning_rate": [0.001], "batch_size": [128]},
    "mlp_300_100_100": {"iterations": [10_000]},
}
_FREE = (
    *("iterations", "learning_rate", "batch_size", "validation_size"),
    "prune_images",
)


def _settings(values: Values) -> Allowed:
    # The paper does not give the fraction of features pruned; 0 is a control.
    free = {"prune_features": [values["prune_features"]]}
    networks: Allowed = {"dataset": ["mnist"], "model": list(_NETWORKS), **free}
    return {**networks, **_NETWORKS.get(values["model"], {})}


def _budget(values: Values) -> Allowed:
    """Settings that the paper does not give may have any value."""
    groups = ("attack", "eval")
    steps = {f"{group}.steps": [40] for group in groups}
    sizes = {f"{group}.step_size": [0.01] for group in groups}
    own = _TRAINING.get(values["model"], {})
    free = {name: [values[name]] for name in _FREE}
    return {**free, **own, **steps, **sizes, "test_size": [None]}


PROTOCOL = Protocol(_settings, _budget)
