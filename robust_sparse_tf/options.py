"""Options declared once: a dataclass field that is also a flag, a record and a checked argument."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epy

from robust_sparse_tf.errors import InputError

with epy.lazy_imports():
    import tensorflow as tf


def option(
    default: Any,
    help: str,
    *,
    unit: str = "",
    choices: Sequence[Any] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    hashed: bool = True,
    kind: type | None = None,
    shown: str = "",
) -> Any:
    """A dataclass field with its documentation and its allowed values.

    Args:
        default: the value when nothing is given; its type is the option's type. None, which is then
            always allowed, stands for a value that follows from others.
        help: one line for `--help`.
        unit: what the number counts, for `--help`.
        choices: the allowed values, when they can be listed.
        minimum: least allowed number (included).
        maximum: largest allowed number (included).
        above: lower bound that is itself not allowed.
        hashed: whether the option is part of a run's identity.
        kind: the option's type where the default is None.
        shown: the default in words, for `--help`, where it is None.
    """
    metadata = dict(
        help=help,
        unit=unit,
        choices=tuple(choices),
        minimum=minimum,
        maximum=maximum,
        above=above,
        hashed=hashed,
        kind=kind or type(default),
        shown=shown,
    )
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def kind(field: dataclasses.Field[Any]) -> type:
    """The type of an option's value, where it is given."""
    return field.metadata["kind"]


def default_of(field: dataclasses.Field[Any]) -> Any:
    """The default value of a field made by `option`."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def make(cls: type, values: Mapping[str, Any]) -> Any:
    """An options object of a class from values by name, of which others are left out."""
    names = {field.name for field in dataclasses.fields(cls)}
    return cls(**{name: value for name, value in values.items() if name in names})


def allowed(field: dataclasses.Field[Any]) -> str:
    """The values a field accepts, in words."""
    rule = field.metadata
    if rule["choices"]:
        return "one of " + ", ".join(str(choice) for choice in rule["choices"])
    parts = []
    if rule["above"] is not None:
        parts.append(f"above {rule['above']}")
    if rule["minimum"] is not None:
        parts.append(f"at least {rule['minimum']}")
    if rule["maximum"] is not None:
        parts.append(f"at most {rule['maximum']}")
    return " and ".join(parts) or "any value"


def check(options: Any) -> None:
    """Compares each field of a dataclass with what it allows.

    Raises:
        InputError: naming the first field whose value is not allowed.
    """
    for field in dataclasses.fields(options):
        if "help" not in field.metadata:
            continue
        value = getattr(options, field.name)
        if value is None and field.default is None:
            continue
        values = value if isinstance(value, list | tuple) else [value]
        if not all(_fits(item, field.metadata) for item in values):
            raise InputError(f"{field.name}={value}: must be {allowed(field)}")


def plain(options: Any) -> None:
    """Makes NumPy's numbers Python's, as TensorFlow would take them for float64 tensors.

    For `__post_init__` of a frozen dataclass.
    """
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if isinstance(value, np.generic):
            object.__setattr__(options, field.name, value.item())


def _fits(value: Any, rule: Any) -> bool:
    if not isinstance(value, int | float | str | dict) and tf.is_tensor(value):
        return True  # drawn in a graph, where values are unknown
    if rule["choices"] and value not in rule["choices"]:
        return False
    # Written so that NaN, which compares false with everything, does not fit.
    return (
        (rule["above"] is None or value > rule["above"])
        and (rule["minimum"] is None or value >= rule["minimum"])
        and (rule["maximum"] is None or value <= rule["maximum"])
    )
