"""Flags that have no effect on a run, although they would be part of its name."""

import dataclasses

from experiments.cli.values import Values
from experiments.runs import attack_flags
from experiments.runs.options import METHOD, OBJECTIVES, choice_of, different, has_option
from experiments.runs.procedure import PRUNERS
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.procedures import LotteryTicket, PhaseOptions, Rounds


def _names(cls: type) -> set[str]:
    return {field.name for field in dataclasses.fields(cls) if field.name != "seed"}


_OF_PRUNERS = {name: _names(pruner) for name, pruner in PRUNERS.items()}
_MIXED = tuple(name for name, cls in OBJECTIVES.items() if "clean_weight" in _names(cls))
_OF_ATTACKS = ("epsilon_std", "clean_weight", "bn_attack", "bn_statistics")
_OF_PHASES = _names(PhaseOptions)
_SHARED = ("rounds", "dense_iterations")
_OF_LOTTERIES = {"prune"}.union(_names(LotteryTicket) - _names(Rounds), *_OF_PRUNERS.values())
_OF_LOTTERIES -= METHOD.names()


def check(values: Values) -> None:
    """Refuses flags that have no effect.

    Raises:
        InputError: for such a flag, except those of `notes`, and for invalid settings of attacks,
            even if the run has no such attack.
    """
    for name, needed in reasons(values).items():
        raise InputError(f"{name}={values[name]}: has no effect without {needed}")
    attack_flags.unused(values)


def notes(values: Values) -> list[str]:
    """Lines about flags without effect that are allowed.

    Sweeps share flags between cells, some of which have other attacks or train once.
    """
    once = values["method"] != "lottery"
    found = [
        f"{name}={values[name]}: has no effect with method={values['method']}"
        for name in _SHARED
        if once and name in different(values)
    ]
    for name in attack_flags.unused(values):
        of = "attack" if name.startswith("attack.") else "eval_attacks"
        chosen = values[of] if of == "attack" else ",".join(values[of])
        found.append(f"{name}={values[name]}: has no effect with {of}={chosen}")
    return [f"{line}, except on the run's name" for line in found]


def reasons(values: Values) -> dict[str, str]:
    """The refused flags, with the setting that each would need to have an effect."""
    found = {name: _needed(name, values) for name in different(values)}
    return {name: needed for name, needed in found.items() if needed}


def has_effect(name: str, values: Values) -> bool:
    """Whether a flag can have an effect on a run.

    Args:
        name: the flag.
        values: all flags of the run.
    """
    group, _, setting = name.partition(".")
    if setting:
        attacks = [values["attack"]] if group == "attack" else values["eval_attacks"]
        return any(attack_flags.has(attack, setting) for attack in attacks)
    if choice := choice_of(name):
        return has_option(choice, values[choice.flag], name)
    if name in _SHARED and values["method"] != "lottery":
        return False
    return not _needed(name, values)


def _needed(name: str, values: Values) -> str:
    """The missing setting of another flag that a flag needs; "" for none."""
    if name in _OF_LOTTERIES and values["method"] != "lottery":
        return "method=lottery"
    for pruner, names in _OF_PRUNERS.items():
        of_pruner = name not in METHOD.names() or values["method"] == "lottery"
        if name in names and of_pruner and values["prune"] != pruner:
            return f"prune={pruner}"
    if name in _OF_PHASES and values["method"] == "lottery":
        return "a method that trains once"
    if name == "iterations" and values["robust_epochs"] is not None:
        return "leaving out robust_epochs"
    if name in ("rewind_to", "rewind_step") and values["strategy"] != "original":
        return "strategy=original"
    if name == "evaluate_every" and values["evaluate_epochs"] is not None:
        return "leaving out evaluate_epochs"
    if name in ("momentum", "nesterov") and values["optimizer"] != "sgd":
        return "optimizer=sgd"
    if name == "learning_rate_arguments" and not values["learning_rate_schedule"]:
        return "learning_rate_schedule"
    form = values["dataset"].partition(":")[0]
    if name == "image_size" and form not in ("folder", "tfds"):
        return "dataset=folder:FOLDER or tfds:NAME"
    if name == "scale" and form != "npz":
        return "dataset=npz:FILE"
    if name == "early_stopping" and values["attack"] not in ("none", *values["eval_attacks"]):
        return f"{values['attack']} among eval_attacks"
    if name == "eval_epsilon_std" and not values["eval_attacks"]:
        return "eval_attacks"
    if name == "noise_at_inference" and values["noise"] == "none":
        return "noise"
    if name in _OF_ATTACKS and values["attack"] == "none":
        return "an attack"
    if name in _OF_ATTACKS and values["objective"] == "clean":
        return "another objective than clean"
    if name == "perturbation_start" and not values["weight_perturbation"]:
        return "weight_perturbation"
    if name == "clean_weight" and values["objective"] not in _MIXED:
        return f"objective={' or '.join(_MIXED)}"
    return ""
