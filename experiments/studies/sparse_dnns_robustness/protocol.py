"""Settings of "Sparse DNNs with Improved Adversarial Robustness" (2018)."""

import json
from typing import NamedTuple

from experiments.cli.values import Values
from experiments.studies.protocol import Allowed, Protocol

STUDY = "sparse_dnns_robustness"
NETWORKS = {
    "binary_linear": "linear, 1 against 7",
    "linear": "linear, 10 classes",
    "mlp": "LeNet-300-100",
    "lenet5": "LeNet-5",
}
"""Names of our models in the paper."""

CIFAR = {"vgg_like": "VGG-like", "resnet32": "ResNet-32"}
"""Names of our models on CIFAR-10 in the paper."""

DEEP = {"mlp": "lenet_300_100", "lenet5": "lenet5"}
"""Names of our models in the published numbers."""

L1 = {"mlp": (0.0, 0.002, 0.01), "lenet5": (0.0, 0.003, 0.03)}
"""The weights of the norm of activations, chosen to match the published sparsities."""

TABLE_1 = ("r_inf_fgsm", "r_2_deepfool", "accuracy", "activation_sparsity")
TABLE_2 = ("r_inf_fgsm", "r_2_deepfool")
GAMMAS = ("gamma_l2", "r_2_deepfool", "gamma_linf")
"""Proposition 3.1's distances, and the measures to compare with."""

PERCENT = ("accuracy", "activation_sparsity")
"""Measures that are fractions, shown as percent in tables."""


class Column(NamedTuple):
    """The title of a measure in tables, and its digits after the point."""

    title: str
    digits: int


COLUMNS = {
    "accuracy": Column("accuracy (%)", 2),
    "r_inf_fgsm": Column("r_inf FGS", 4),
    "r_inf_rfgsm": Column("r_inf rFGS", 4),
    "bound_r_inf": Column("bound on r_inf", 4),
    "r_2_deepfool": Column("r_2 DeepFool", 4),
    "r_2_carlini_wagner": Column("r_2 Carlini-Wagner", 4),
    "bound_r_2": Column("bound on r_2", 4),
    "clever": Column("CLEVER", 4),
    "lipschitz_l2": Column("L_2 of lemma 3.1", 2),
    "lipschitz_linf": Column("L_1 of lemma 3.1", 2),
    "gamma_l2": Column("gamma of proposition 3.1 in l2", 4),
    "gamma_linf": Column("gamma of proposition 3.1 in linf", 6),
    "activation_sparsity": Column("silent units before the last layer (%)", 2),
}
"""The columns of tables, in order."""


def _settings(values: Values) -> Allowed:
    return _settings_of_cifar(values) if values["model"] in CIFAR else _settings_of_mnist(values)


def _settings_of_cifar(values: Values) -> Allowed:
    """Settings of figure 2 (e) to (h); the text has those of pruning alone."""
    free = ("width", "learning_rate", "learning_rate_schedule", "l2")
    return {
        **{name: [values[name]] for name in free},
        "learning_rate_arguments": [json.loads(values["learning_rate_arguments"])],
        "dataset": ["cifar10"],
        "augment": ["crop_flip"],
        "model": list(CIFAR),
        "attack": ["none"],
        "optimizer": ["sgd"],
        "strategy": ["continued"],
        "prune_hidden": [1 / 3],
        "prune_output": [0.0],
        "prune_rounding": ["down"],
        "dense_first": [True],
    }


def _settings_of_mnist(values: Values) -> Allowed:
    is_binary = values["model"] == "binary_linear"
    return {
        "dataset": ["mnist"],
        "model": list(NETWORKS),
        "classes": [["1", "7"] if is_binary else []],
        "attack": ["none"],
        "batch_size": [64],
        "optimizer": ["sgd"],
        "learning_rate": [0.01],
        "learning_rate_schedule": ["InverseDecay"],
        "learning_rate_arguments": [{"gamma": 1e-4, "power": 0.75}],
        "l2": [0.0025 if is_binary else 0.0005],
        "activity_l1": [values["activity_l1"] if values["model"] in L1 else 0.0],
        "weight_l1": [values["weight_l1"] if values["model"] in L1 else 0.0],
        "strategy": ["continued"],
        "prune_hidden": [1 / 3],
        "prune_output": [1 / 3],
        "prune_rounding": ["down"],
    }


def _budget(values: Values) -> Allowed:
    if values["model"] not in CIFAR:
        return _BUDGET
    images: Allowed = {"validation_size": [1000], "train_size": [None], "test_size": [None]}
    steps: Allowed = {"iterations": [7660], "dense_iterations": [62_812]}
    return {**images, **steps, "batch_size": [128]}


_BUDGET: Allowed = {"iterations": [50_000], "validation_size": [1000], "test_size": [None]}
PROTOCOL = Protocol(_settings, _budget)
