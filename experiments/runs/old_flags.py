"""Flags as they were called before attacks of training and of evaluation had their own."""

from typing import Any

from experiments.runs import attack_flags
from experiments.runs.options import different

_SHARED = tuple(field.name.removeprefix("attack.") for field in attack_flags.fields("attack"))
# What stood for None.
_NONE = {
    "branches": 0,
    "continue_from": "",
    "data_dir": "",
    "dense_iterations": 0,
    "intra_op_threads": 0,
    "learning_rate_schedule": "",
    "solve_density": 0,
    "test_size": 0,
    "validation_size": -1,
}
# The step of attacks where none was given; it is 2.5 x epsilon / steps today.
_STEP_SIZE = 0.05


def renamed(stored: dict[str, Any]) -> dict[str, Any]:
    """The flags that a run of any age stored, by the names and values of today."""
    found: dict[str, Any] = {}
    for name, value in dict(stored).items():
        if name in _SHARED:
            found |= {f"{group}.{name}": value for group in attack_flags.GROUPS}
        elif name == "restarts":
            found["eval.restarts"] = value
        elif name == "steps_per_execution" and value == 0:
            found[name] = 50
        else:
            found[name] = None if name in _NONE and value == _NONE[name] else value
    return found


def with_step_size(stored: dict[str, Any]) -> dict[str, Any]:
    """The flags that differ from their defaults, of a run made when the step was `_STEP_SIZE`."""
    return {f"{group}.step_size": _STEP_SIZE for group in attack_flags.GROUPS} | stored


def are_same(name: str, before: Any, now: Any, values: dict[str, Any]) -> bool:
    """Whether two values of a flag make the same run.

    Args:
        name: the flag.
        before: its value in an earlier run.
        now: its value in this one.
        values: all flags of this run.
    """
    if name in _unused_steps(values) and {before, now} == {None, _STEP_SIZE}:
        return True  # the defaults of two times, of which no attack makes use
    return bool(before == now)


def identity(values: dict[str, Any]) -> dict[str, Any]:
    """The flags that make a run what it is, as its name has always been made of them.

    These are the flags that differ from their defaults, and the step where it differs from the
    default it once had. A setting that the attacks of training and of evaluation have in common
    goes by its old name.

    Args:
        values: all flags of a run.
    """
    found = different(values)
    unused = _unused_steps(values)
    for name in (f"{group}.step_size" for group in attack_flags.GROUPS):
        if values[name] == _STEP_SIZE:
            del found[name]
        elif values[name] is None and name not in unused:
            found[name] = None
    for name in _SHARED:
        both = [f"{group}.{name}" for group in attack_flags.GROUPS]
        if all(each in found for each in both) and found[both[0]] == found[both[1]]:
            found[name] = found.pop(both[0])
            del found[both[1]]
    if "eval.restarts" in found:
        found["restarts"] = found.pop("eval.restarts")
    return found


def _unused_steps(values: dict[str, Any]) -> set[str]:
    """The flags of steps that no attack of the run makes."""
    attacks = {"attack": [values["attack"]], "eval": values["eval_attacks"]}
    return {
        f"{group}.step_size"
        for group, names in attacks.items()
        if not any(attack_flags.has(each, "step_size") for each in names)
    }
