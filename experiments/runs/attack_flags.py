"""Settings of the attacks in training and in evaluation: two groups of flags with equal names."""

import copy
import dataclasses
from types import MappingProxyType
from typing import Any

from experiments.cli import ranges
from experiments.cli.values import Values
from robust_sparse_tf.attacks import BY_NAME, MIM, PGD, RFGSM, Ascent
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import check_value, default_of
from robust_sparse_tf.options import make as make_options

GROUPS = {
    "attack": "Of the attack in training, --attack",
    "eval": "Of each attack in evaluation, --eval_attacks",
}
NAMES = tuple(name for name, attack in BY_NAME.items() if issubclass(attack, Ascent))
# Options that most attacks share are shown with PGD's defaults.
_TOGETHER: list[type] = [PGD, RFGSM, MIM, *(BY_NAME[name] for name in NAMES)]
# Images are always in [0, 1], and training has no targets and makes one attempt.
_NOT_FLAGS = {
    "attack": ("low", "high", "targeted", "restarts"),
    "eval": ("low", "high", "targeted"),
}


def fields(group: str) -> list[dataclasses.Field[Any]]:
    """The options of attacks as flags such as `eval.steps`; `group` is a key of `GROUPS`."""
    found: dict[str, dataclasses.Field[Any]] = {}
    for attack in _TOGETHER:
        for field in dataclasses.fields(attack):
            if field.name not in _NOT_FLAGS[group]:
                found.setdefault(field.name, _flag(group, field))
    return list(found.values())


def has(attack: str, setting: str) -> bool:
    """Whether an attack, given by name, has a setting; unknown attacks have none."""
    return attack in BY_NAME and any(
        field.name == setting for field in dataclasses.fields(BY_NAME[attack])
    )


def make(group: str, name: str, values: dict[str, Any]) -> Ascent:
    """Makes an attack from its name, with the settings of a group.

    Raises:
        InputError: for a setting that the attack does not allow.
    """
    start = f"{group}."
    own = {key.removeprefix(start): each for key, each in values.items() if key.startswith(start)}
    ranges.check_epsilon(f"{start}epsilon", own["epsilon"], own["norm"])
    try:
        return make_options(BY_NAME[name], own)
    except InputError as error:
        raise InputError(f"{start}{error}") from error


def unused(values: Values) -> list[str]:
    """The given settings that no attack of a run has, by flag.

    Raises:
        InputError: for a value that is not allowed.
    """
    found = []
    for group, names in {"attack": [values["attack"]], "eval": values["eval_attacks"]}.items():
        for field in fields(group):
            name, value = field.name, values[field.name]
            if any(has(attack, name.removeprefix(f"{group}.")) for attack in names):
                continue
            check_value(field, value)
            if value != default_of(field):
                found.append(name)
    return found


def _flag(group: str, field: dataclasses.Field[Any]) -> dataclasses.Field[Any]:
    same = copy.copy(field)
    same.name = f"{group}.{field.name}"
    if field.name == "norm":
        same.metadata = MappingProxyType({**field.metadata, "choices": PGD.allowed_norms})
    return same
