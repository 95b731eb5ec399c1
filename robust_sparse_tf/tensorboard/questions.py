"""The parameters of a request, each checked."""

from collections.abc import Sequence

from werkzeug import wrappers

from robust_sparse_tf.errors import InputError

MOST_RUNS = 200
"""Runs that may be asked for at once."""

LAST_STEP = 2**63 - 1
"""The largest that a log can have."""


class NotFound(InputError):
    """A run, tag, layer, step or other name that the log does not have."""


class Question:
    """The parameters of a request.

    Raises:
        InputError: for one that is not known.
    """

    def __init__(self, request: wrappers.Request, known: Sequence[str]) -> None:
        self._values = request.args
        for name in self._values:
            if name not in known:
                allowed = ", ".join(known) or "none"
                raise InputError(f"parameter {shown(name)} is not known, allowed: {allowed}")

    def text(self, name: str) -> str:
        """A parameter that has to be given once."""
        values = self._values.getlist(name)
        if len(values) != 1:
            raise InputError(f"parameter {name} is given {len(values)} times, it has to be once")
        return values[0]

    def texts(self, name: str, most: int) -> list[str]:
        """A parameter that may be given several times, without doubles."""
        values = list(dict.fromkeys(self._values.getlist(name)))
        if not 1 <= len(values) <= most:
            raise InputError(
                f"parameter {name} has {len(values)} values, allowed are from 1 to {most}"
            )
        return values

    def whole(self, name: str, least: int, most: int, default: int | None = None) -> int:
        """A whole number; the default where it is not given, if there is one."""
        if default is not None and name not in self._values:
            return default
        text = self.text(name)
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            raise InputError(f"parameter {name} is {shown(text)}, it has to be a whole number")
        if not least <= int(text) <= most:
            raise InputError(
                f"parameter {name} is {shown(text)}, allowed are from {least} to {most}"
            )
        return int(text)


def shown(text: object) -> str:
    """A name as it is quoted in a message: short, and on one line."""
    quoted = repr(text)
    return quoted if len(quoted) <= 200 else quoted[:200] + "..."


def chosen(kind: str, name: str, known: Sequence[str]) -> str:
    """The name, where it is one of those that are known.

    Raises:
        NotFound: with a few of those there are.
    """
    if name not in known:
        raise absent(kind, name, known)
    return name


def absent(kind: str, name: object, known: Sequence[object]) -> NotFound:
    """The error that says that there is none of this name, and a few of those there are."""
    few = ", ".join(map(shown, known[:10])) + (", ..." if len(known) > 10 else "")
    return NotFound(f"there is no {kind} {shown(name)}, there are: {few or 'none'}")
