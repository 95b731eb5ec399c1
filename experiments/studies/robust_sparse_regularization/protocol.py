"""Settings of "Robust Sparse Regularization" (2019)."""

from experiments.cli.values import Values
from experiments.runs import options
from experiments.studies.protocol import Allowed, Protocol
from experiments.sweeps.directory import Cell

STUDY = "robust_sparse_regularization"
NETWORKS = {"resnet20": "ResNet-20", "resnet18": "ResNet-18", "vgg16": "VGG-16"}
"""Names of our models in the paper."""

SCHEMES = {"pgd": "PGD", "cni": "CNI", "lasso": "Lasso", "rsr": "RSR"}
"""Names of trainings in the paper's tables, see `scheme`."""

ATTACKS = {"none": "clean", "pgd": "PGD", "fgsm": "FGSM"}
"""Names of attacks in tables and figures."""

PHASES = {"before_pruning": "before pruning", "after_pruning": "after pruning"}
"""Names of the halves of table 1."""

LAMBDA = {"resnet20": 5e-5, "resnet18": 1e-5, "vgg16": 1e-5}
"""The paper's weights of the lasso."""

LAMBDAS = (0.0, 1e-6, 1e-5, 5e-5, 1e-4, 5e-4)
"""Weights of figure 2 (b); ours, as the text has one of them."""

EPSILON, STEP = 8 / 255, 2 / 255
EPOCHS, STEPS = 160, 160 * 383
"""Epochs and steps of a training in full."""

_OF_RIVALS = ("average", "weight_perturbation", "prune_after_epochs")
_SCHEDULE = {"boundaries": [30640, 45960], "values": [0.1, 0.01, 0.001]}


def scheme(cell: Cell) -> str:
    """The training of a cell: a key of `SCHEMES`, "clean", "pni", or "other" for rivals."""
    if cell.flag("attack") == "none":
        return "clean"
    usual = cell.flag("method") == "dense" and cell.flag("objective") in ("mixed", "rsr")
    if not usual or any(map(cell.flag, _OF_RIVALS)):
        return "other"
    lasso = bool(cell.flag("weight_l1"))
    return {
        "none": "lasso" if lasso else "pgd",
        "channel": "rsr" if lasso else "cni",
        "layer": "other" if lasso else "pni",
    }.get(cell.flag("noise"), "other")


def _settings(values: Values) -> Allowed:
    lambdas = [0.0, LAMBDA.get(values["model"], 0.0)]
    rivals = (*options.METHOD.names(), *options.OBJECTIVE.names(), *_OF_RIVALS)
    free = ("method", "objective", "width", "prune_after", "prune_to")
    return {
        **{name: [values[name]] for name in (*rivals, *free)},
        "dataset": ["cifar10"],
        "augment": ["crop_flip"],
        "normalize": ["dataset"],
        "model": list(NETWORKS),
        "attack": ["pgd", "none"],
        "attack.epsilon": [EPSILON],
        "attack.step_size": [STEP],
        "attack.random_start": [True],
        "attack.attack_labels": ["predicted"],
        "eval.epsilon": [EPSILON],
        "eval.step_size": [STEP],
        "eval.random_start": [True],
        "noise": ["none", "channel", "layer"],
        "weight_l1": [*lambdas, *(LAMBDAS if values["model"] == "resnet20" else ())],
        "optimizer": ["sgd"],
        "nesterov": [True],
        "learning_rate": [0.1],
        "l2": [3e-4],
    }


def _budget(values: Values) -> Allowed:
    clean = values["attack"] == "none"
    return {
        "clean_epochs": [None if clean else 5],
        "robust_epochs": [EPOCHS if clean else EPOCHS - 5],
        "iterations": [values["iterations"]],
        "batch_size": [128],
        "validation_size": [1000],
        "train_size": [None],
        "test_size": [None],
        "attack.steps": [7],
        "eval.steps": [7],
        "learning_rate_schedule": ["PiecewiseConstantDecay"],
        "learning_rate_arguments": [_SCHEDULE],
    }


PROTOCOL = Protocol(_settings, _budget)
