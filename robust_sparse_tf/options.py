"""Options, declared once as dataclass fields that serve as flags, records and checked arguments."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from robust_sparse_tf.errors import InputError

LARGEST_INT = 2**31 - 1
_LARGEST_FLOAT = float(np.finfo(np.float32).max)
_SHOWN = 80  # maximum characters of a value in an error
_WORDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a finite number",
    str: "a string",
    list: "a list of strings or whole numbers",
    dict: "a dictionary from strings to numbers",
}


def option(
    default: Any,
    help: str,
    *,
    unit: str = "",
    choices: Sequence[Any] = (),
    forms: Mapping[str, str] = types.MappingProxyType({}),
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    hashed: bool = True,
    kind: type | None = None,
    shown: str = "",
) -> Any:
    """A dataclass field with its documentation and its allowed values.

    Args:
        default: the default value; its type is the option's type. None is for a default that
            follows from other values; it is then allowed. `dataclasses.MISSING` is for an option
            that must be given.
        help: one line for `--help`.
        unit: unit of the number, for `--help`.
        choices: the allowed values, if they can be listed.
        forms: further allowed strings: their form in words, and a regular expression.
        minimum: minimum (included).
        maximum: maximum (included).
        above: lower bound (excluded).
        hashed: whether the option is part of a run's identity.
        kind: the option's type, if it does not follow from the default.
        shown: the default in words, for `--help`, if it is None.
    """
    metadata = dict(
        help=help,
        unit=unit,
        choices=tuple(choices),
        forms=dict(forms),
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
    """The type of an option's value, other than None."""
    return field.metadata["kind"]


def default_of(field: dataclasses.Field[Any]) -> Any:
    """The default value of a field made by `option`."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def make(cls: type, values: Mapping[str, Any]) -> Any:
    """Makes an options object from values by name; ignores names that it does not have."""
    names = {field.name for field in dataclasses.fields(cls)}
    return cls(**{name: value for name, value in values.items() if name in names})


def allowed(field: dataclasses.Field[Any]) -> str:
    """The values a field accepts, in words."""
    return _range(field.metadata) or "any value"


def check(options: Any) -> None:
    """Checks the type and range of each field of a dataclass.

    Converts NumPy numbers to Python numbers, because TensorFlow would make float64 tensors of them.
    For use in `__post_init__`, also of frozen dataclasses.

    Raises:
        InputError: naming the first field whose value is not allowed.
    """
    for field in dataclasses.fields(options):
        if "help" not in field.metadata:
            continue
        value = check_value(field, getattr(options, field.name))
        object.__setattr__(options, field.name, value)


def check_value(field: dataclasses.Field[Any], value: Any) -> Any:
    """A value of a field made by `option`, converted to its type; see `check`.

    Raises:
        InputError: if it is not allowed.
    """
    if field.default is None:
        if value is None:
            return None
        if isinstance(value, str) and not value:
            raise InputError(f"{field.name}='': is empty; must be left out or given")
    return _checked(field.name, value, field.metadata)


def checked(
    name: str,
    value: Any,
    kind: type,
    *,
    choices: Sequence[Any] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
) -> Any:
    """Checks the type and range of a function's argument, as for options.

    Returns:
        The value; a number as a Python number.

    Raises:
        InputError: if it is not allowed.
    """
    rule = dict(kind=kind, choices=choices, minimum=minimum, maximum=maximum, above=above)
    return _checked(name, value, rule)


def checked_path(name: str, value: Any) -> str:
    """The path of a file or folder, as a string.

    Raises:
        InputError: for a value that is not a path, or an empty one.
    """
    path = checked(name, value, str)
    if not path:
        raise InputError(f"{name}={shown(value)}: must be a path")
    return path


def is_count(word: str | int) -> bool:
    """Whether a word is a whole number from 0 in ASCII digits, in the range of options."""
    text = str(word)
    return text.isascii() and text.isdecimal() and int(text[:20]) <= LARGEST_INT


def require(name: str, value: Any, *classes: type) -> None:
    """Raises `InputError` unless an argument has one of some types."""
    if not isinstance(value, classes):
        wanted = " or ".join(each.__name__ for each in classes)
        given = f"the class {value.__name__}" if isinstance(value, type) else shown(value)
        article = "an" if wanted[0] in "AEIOU" else "a"
        raise InputError(f"{name}={given}: must be {article} {wanted}")


def takes(value: Any, count: int) -> bool:
    """Whether a value may be a function of this many arguments; classes and layers are not."""
    if not callable(value) or isinstance(value, type) or hasattr(value, "add_weight"):
        return False
    try:
        inspect.signature(value).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # functions that are not written in Python
        return True
    return True


def require_function(name: str, value: Any, count: int) -> None:
    """Raises `InputError` for a value that cannot be called with this many arguments."""
    if not takes(value, count):
        words = f"{count} argument{'' if count == 1 else 's'}"
        raise InputError(f"{name}={shown(value)}: must be a function of {words}")


def _checked(name: str, value: Any, rule: Mapping[str, Any]) -> Any:
    try:
        found = _as_kind(value, rule)
    except (TypeError, ValueError, OverflowError) as error:
        parts = [_range(rule), "" if rule["choices"] else _WORDS[rule["kind"]]]
        words = " and ".join(filter(None, parts))
        raise InputError(f"{name}={shown(value)}: must be {words}") from error
    if isinstance(found, dict):
        for key, number in found.items():
            if not _fits(number, rule):
                raise InputError(f"{name}: {key}={value[key]}: must be {_range(rule)}")
    elif not all(_fits(item, rule) for item in (found if isinstance(found, list) else [found])):
        raise InputError(f"{name}={value}: must be {_range(rule)}")
    return found


def _as_kind(value: Any, rule: Mapping[str, Any]) -> Any:
    """Converts a value to the option's type; raises ValueError or TypeError."""
    kind = rule["kind"]
    if kind is list:
        if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray):
            raise TypeError
        return [_as_item(item) for item in value]
    if kind is dict:
        if not all(isinstance(name, str) for name in value):
            raise TypeError
        return {str(name): _as_float(number) for name, number in dict(value).items()}
    convert = {bool: _as_bool, int: _as_int, float: _as_float, str: _as_str}[kind]
    return convert(value)


def _as_bool(value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError
    return bool(value)


def _as_int(value: Any) -> int:
    value = _scalar(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    if abs(value) > LARGEST_INT:
        raise OverflowError
    return value


def _as_float(value: Any) -> Any:
    if _is_tensor(value):  # a tensor, drawn per batch
        if not value.dtype.is_floating or value.shape.rank != 0:
            raise TypeError
        if (known := _known(value)) is not None:
            _as_float(known)
        return value
    value = _scalar(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    if not abs(value) <= _LARGEST_FLOAT:  # `not` refuses NaN, too
        raise OverflowError
    return float(value) + 0.0  # -0 becomes 0


def _as_str(value: Any) -> str:
    return os.fspath(value) if isinstance(value, os.PathLike) else str.__str__(value)


def _as_item(value: Any) -> str | int:
    return _as_str(value) if isinstance(value, str) else _as_int(value)


def _scalar(value: Any) -> Any:
    """Converts NumPy scalars and arrays without axes to Python values."""
    is_scalar = isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim)
    return value.item() if is_scalar else value


def _is_tensor(value: Any) -> bool:
    tensorflow = sys.modules.get("tensorflow")  # if it is not loaded, there are none
    return tensorflow is not None and tensorflow.is_tensor(value)


def _known(value: Any) -> Any:
    """A tensor's number, or None if unknown in a graph; other values as they are."""
    return sys.modules["tensorflow"].get_static_value(value) if _is_tensor(value) else value


def _fits(value: Any, rule: Mapping[str, Any]) -> bool:
    value = _known(value)
    if value is None:
        return True
    return (
        (not rule["choices"] or value in rule["choices"] or _has_form(value, rule))
        and (rule["above"] is None or value > rule["above"])
        and (rule["minimum"] is None or value >= rule["minimum"])
        and (rule["maximum"] is None or value <= rule["maximum"])
    )


def _has_form(value: Any, rule: Mapping[str, Any]) -> bool:
    patterns = rule.get("forms", {}).values()
    return isinstance(value, str) and any(re.fullmatch(pattern, value) for pattern in patterns)


def _range(rule: Mapping[str, Any]) -> str:
    """The range of a rule, in words; "" if there is none."""
    if rule["choices"]:
        return "one of " + ", ".join(map(str, [*rule["choices"], *rule.get("forms", ())]))
    parts = []
    if rule["above"] is not None:
        parts.append(f"above {rule['above']}")
    if rule["minimum"] is not None:
        parts.append(f"at least {rule['minimum']}")
    if rule["maximum"] is not None:
        parts.append(f"at most {rule['maximum']}")
    return " and ".join(parts)


def shown(value: Any) -> str:
    """A value on one short line."""
    line = " ".join(repr(value).split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."


def stored(options: Any) -> dict[str, Any]:
    """A dataclass as model files store it: the name of its class, and its fields.

    Raises:
        InputError: if a field is a function, which files cannot hold.
    """
    found: dict[str, Any] = {"class_name": type(options).__name__}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if callable(value) and not dataclasses.is_dataclass(value):
            raise InputError(
                f"{field.name}={value}: is a function, which files cannot hold; save only the "
                "network (model.network)"
            )
        found[field.name] = stored(value) if dataclasses.is_dataclass(value) else value
    return found


def restored(base: type[Any], config: Mapping[str, Any]) -> Any:
    """The inverse of `stored`.

    Args:
        base: base of the class that the configuration names, and of those of its fields.
        config: from `stored`.

    Raises:
        InputError: for an unknown class.
    """
    name = config["class_name"]
    classes = {found.__name__: found for found in [base, *_subclasses(base)]}
    if name not in classes:
        raise InputError(
            f"{base.__name__.lower()} {name}: unknown; import its module before loading"
        )
    values = {key: each for key, each in config.items() if key != "class_name"}
    for key, each in values.items():
        if isinstance(each, Mapping) and "class_name" in each:  # such as an attack's attack
            values[key] = restored(base, each)
    return classes[name](**values)


def _subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for found in cls.__subclasses__():
        yield found
        yield from _subclasses(found)
