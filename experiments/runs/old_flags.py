"""Old names of flags, from before attacks in training and in evaluation had separate flags."""

from typing import Any

from experiments.runs import attack_flags
from experiments.runs.options import different

_SHARED = tuple(field.name.removeprefix("attack.") for field in attack_flags.fields("attack"))
# Old values for None.
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
# The old default step size of attacks; now it is 2.5 x epsilon / steps.
_STEP_SIZE = 0.05


def renamed(stored: dict[str, Any]) -> dict[str, Any]:
    """Converts the stored flags of any run to current names and values."""
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
    """The flags that differ from their defaults, for a run with the default `_STEP_SIZE`."""
    return {f"{group}.step_size": _STEP_SIZE for group in attack_flags.GROUPS} | stored


def are_same(name: str, before: Any, now: Any, values: dict[str, Any]) -> bool:
    """Whether two values of a flag mean the same run.

    Args:
        name: the flag.
        before: value in an earlier run.
        now: value in this run.
        values: all flags of this run.
    """
    if name in _unused_steps(values) and {before, now} == {None, _STEP_SIZE}:
        return True  # old and new default, which no attack uses
    return bool(before == now)


def identity(values: dict[str, Any]) -> dict[str, Any]:
    """The flags that identify a run, in the form that has always been used for its name.

    These are the flags that differ from their defaults, and the step size if it differs from its
    old default. A setting that is equal for attacks in training and in evaluation has its old name.

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
    """The flags of step sizes that no attack of the run uses."""
    attacks = {"attack": [values["attack"]], "eval": values["eval_attacks"]}
    return {
        f"{group}.step_size"
        for group, names in attacks.items()
        if not any(attack_flags.has(each, "step_size") for each in names)
    }
