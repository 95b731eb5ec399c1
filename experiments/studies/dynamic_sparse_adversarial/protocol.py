"""Settings of "Dynamic Sparse Adversarial Training for Robust Image Classification"."""

from experiments.cli.values import Values
from experiments.studies.protocol import Allowed, Protocol
from experiments.sweeps.directory import Cell

STUDY = "dynamic_sparse_adversarial"
METHODS = {"dense": "FC", "set": "SET", "rigl": "RigL"}
"""Names of methods in the paper."""

TRAININGS = {"none": "none", "fgsm": "FGSM", "pgd": "PGD"}
"""Names of robust trainings and of attacks."""

DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
EPSILON = 0.3
STEP = 0.25 * EPSILON
"""The step size of PGD; ours, as the text has none."""

STD = 0.25
"""The deviation of the normal distribution from which an epsilon is drawn."""

EPOCHS = {"resnet50": (100, 250), "resnet34": (50, 50)}
"""Clean and robust epochs, by model."""

STEPS = 100 * 352
"""Steps of part II in full: 100 epochs of 45,000 images."""

EPSILONS = {
    "0.3, 0.3": (EPSILON, 0.0, EPSILON, 0.0),
    "0.3, 0.1": (EPSILON, 0.0, 0.1, 0.0),
    "|Norm(0, 0.25)|": (None, STD, None, STD),
}
"""Rows of figure 3: epsilon and deviation in training, then in evaluation; None for any."""


def is_of_table_1(cell: Cell) -> bool:
    """Whether a cell's training is that of table I: PGD of epsilon 0.3 by steps of 0.075."""
    if cell.flag("attack") == "none":
        return True
    if cell.flag("epsilon_std") or cell.flag("attack.epsilon") != EPSILON:
        return False
    return cell.flag("attack") != "pgd" or cell.flag("attack.step_size") == STEP


def _settings(values: Values) -> Allowed:
    free = (
        *("width", "attack.epsilon", "attack.step_size", "eval.epsilon", "eval.step_size"),
        *("epsilon_std", "eval_epsilon_std", "robust_density", "density", "clean_weight"),
        *("attack.attack_labels", "attack.random_start"),
    )
    adversarial = "adversarial" if values["attack"] != "none" else "mixed"
    return {
        **{name: [values[name]] for name in free},
        "dataset": list(DATASETS) if values["model"] == "resnet34" else ["cifar10"],
        "augment": ["crop_flip"],
        "model": list(EPOCHS),
        "attack": list(TRAININGS),
        "method": list(METHODS),
        "distribution": ["erk"],
        "drop_decay": ["constant"],
        "update_interval": [None, 100],
        "drop_fraction": [None, 0.3],
        "objective": [adversarial],
        "learning_rate": [1e-3],
        "eval.random_start": [True],
    }


def _budget(values: Values) -> Allowed:
    clean, robust = EPOCHS.get(values["model"], (50, 50))
    return {
        "clean_epochs": [clean],
        "robust_epochs": [robust, 150] if values["model"] == "resnet50" else [robust],
        "iterations": [values["iterations"]],
        "batch_size": [128],
        "validation_size": [5000],
        "train_size": [None],
        "test_size": [None],
        "attack.steps": [7],
        "eval.steps": [7],
    }


PROTOCOL = Protocol(_settings, _budget)
