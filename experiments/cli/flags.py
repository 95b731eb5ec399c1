"""Flags from the fields of option classes, and options from flags."""

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from absl import flags

from experiments.cli import flagfiles
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import allowed, default_of, kind, make


def parse(
    argv: list[str],
    fields: Iterable[dataclasses.Field[Any]],
    repeated: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Parses a command line to the value of each flag.

    Args:
        argv: the command line, whose first word is the program's name.
        fields: fields made by `option`; each is a flag.
        repeated: further flags that may be given several times, with their help; values are lists
            of strings.

    Raises:
        InputError: for an unknown flag, a value of the wrong type, or a flagfile that cannot be
            read.
    """
    flagfiles.check(argv)
    known, repeated = list(fields), repeated or {}
    values = flags.FlagValues()
    flags.DEFINE_string("flagfile", "", "file of flags, one per line", flag_values=values)
    for field in known:
        _define(field, values)
    for name, meaning in repeated.items():
        flags.DEFINE_multi_string(name, [], meaning, flag_values=values)
    try:
        rest = values(argv)[1:]
    except flags.Error as error:
        message = " ".join(str(error).split()).removeprefix("ERROR:: ")
        raise InputError(f"{message}; --help lists all flags") from error
    if rest:
        raise InputError(f"{rest[0]}: is not a flag; flags start with --")
    found = {field.name: _value(field, getattr(values, field.name)) for field in known}
    return found | {name: getattr(values, name) for name in repeated}


def parse_group(argv: list[str], group: type) -> Any:
    """Parses the options of a command whose flags are one option class.

    Raises:
        InputError: see `parse`; also for values that the class does not allow.
    """
    return make(group, parse(argv, dataclasses.fields(group)))


def help_of_group(group: type, usage: str) -> str:
    """The help of a command whose flags are one option class."""
    lines = [f"{usage} [--flagfile=FILE] [--FLAG=VALUE ...]", "", (group.__doc__ or "").strip()]
    for field in dataclasses.fields(group):
        lines += describe(field)
    return "\n".join(lines)


def describe(field: dataclasses.Field[Any], default: str = "") -> list[str]:
    """The help of a flag: its meaning, unit, default and allowed values.

    Args:
        field: a field made by `option`.
        default: the default in words; "" for the field's own.
    """
    unit, rule = field.metadata["unit"], allowed(field)
    shown = default or field.metadata["shown"] or _shown(default_of(field))
    detail = [f"default: {shown}" + (f" {unit}" if unit and shown != "none" else "")]
    if rule != "any value":
        detail.append(rule)
    return [f"  --{field.name}: {field.metadata['help']}", f"      ({'; '.join(detail)})"]


def as_flag(name: str, value: Any) -> str:
    """A flag with its value as a word of a command line."""
    if isinstance(value, list):
        value = ",".join(value)
    elif isinstance(value, dict):
        value = json.dumps(value)
    return f"--{name}={value}"


def number(text: str) -> str:
    """Checks the text of a number; Python would also accept other digits, spaces and underscores.

    Raises:
        ValueError: for a text with such characters.
    """
    if not re.fullmatch(r"[!-^`-~]+", text):
        raise ValueError("must be a number in the digits 0 to 9")
    return text


def real(text: str) -> float:
    """Parses a number, which may be a fraction such as 8/255.

    Raises:
        ValueError: for any other text.
    """
    above, slash, below = text.partition("/")
    if not slash:
        return float(number(text))
    try:
        return float(number(above)) / float(number(below))
    except ZeroDivisionError as error:
        raise ValueError("must not be divided by 0") from error


class _Integer(flags.IntegerParser):
    def convert(self, argument: int | str) -> int:
        """See absl's."""
        return super().convert(number(argument) if isinstance(argument, str) else argument)


class _Float(flags.FloatParser):
    def convert(self, argument: float | str) -> float:
        """See absl's."""
        return super().convert(real(argument) if isinstance(argument, str) else argument)


_NUMBERS = {int: _Integer, float: _Float}


def _shown(default: Any) -> str:
    if default is None or default in ("", []):
        return "none"
    return ",".join(default) if isinstance(default, list) else json.dumps(default)


def _define(field: dataclasses.Field[Any], values: flags.FlagValues) -> None:
    name, default, meaning = field.name, default_of(field), field.metadata["help"]
    if kind(field) in _NUMBERS:
        parser, write = _NUMBERS[kind(field)](), flags.ArgumentSerializer()
        flags.DEFINE(parser, name, default, meaning, flag_values=values, serializer=write)
        return
    define = {
        bool: flags.DEFINE_boolean,
        str: flags.DEFINE_string,
        dict: flags.DEFINE_string,
        list: flags.DEFINE_list,
    }[kind(field)]
    define(name, default, meaning, flag_values=values)


def _value(field: dataclasses.Field[Any], value: Any) -> Any:
    """Converts a flag's value to the type of its option."""
    if kind(field) is not dict or value is None:
        return value
    try:
        return dict(json.loads(value))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{field.name}={value[:80]}: must be a JSON object") from error
