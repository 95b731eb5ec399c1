"""Required shapes of JSON in the log, which may hold anything."""

import json
from typing import Any

from robust_sparse_tf.summaries import log_format

DEEPEST = 20
LONGEST = 2**22  # characters


class Damage(ValueError):
    """Content of a log that cannot be read: one line that says where and why."""


class Maybe:
    """A shape, or null, or nothing at all."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


class Each:
    """An object with any keys and values of one shape."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


TEXT = "a text"
NUMBER = "a number"
WHOLE = "a whole number"
PLAIN = "a text, a number or true or false"
_UNFINITE = ("NaN", "Infinity", "-Infinity")


def parsed(text: bytes | str, shape: Any) -> Any:
    """The value of JSON of a shape, with NaN and infinities as strings.

    A shape is one of the names above, a list of one shape, or a dict of keys that have to be there,
    beside which others may be.

    Raises:
        Damage: for text that is no JSON, or of another shape.
    """
    if len(text) > LONGEST:
        raise Damage(f"JSON of {len(text)} characters, at most {LONGEST} are read")
    try:
        value = json.loads(text, parse_float=_named, parse_constant=str)
        _check_depth(value, DEEPEST)
    except (ValueError, RecursionError) as error:
        raise Damage(f"no JSON ({type(error).__name__})") from None
    _check(value, shape, ())
    return value


def _named(text: str) -> float | str:
    """A number, or the name of what is too large for one."""
    value = float(text)
    return value if value - value == 0 else log_format.finite(value)


def _check_depth(value: Any, levels: int) -> None:
    if not levels:
        raise RecursionError
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        if isinstance(item, dict | list):
            _check_depth(item, levels - 1)


def _check(value: Any, shape: Any, place: tuple[Any, ...]) -> None:
    """Raises `Damage` where the value has another shape; the place is (place around it, key)."""
    if isinstance(shape, str):
        if not _FITS[shape](value):
            raise _misfit(value, shape, place)
    elif isinstance(shape, Maybe):
        if value is not None:
            _check(value, shape.shape, place)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise _misfit(value, "a list", place)
        for number, item in enumerate(value):
            _check(item, shape[0], (place, number))
    elif not isinstance(value, dict):
        raise _misfit(value, "an object", place)
    elif isinstance(shape, Each):
        for key, item in value.items():
            _check(item, shape.shape, (place, key))
    else:
        for key, inner in shape.items():
            _check(value.get(key), inner, (place, key))


def _misfit(value: Any, shape: str, place: tuple[Any, ...]) -> Damage:
    keys: list[str] = []
    while place:
        place, key = place
        keys.append(str(key)[:60])
    return Damage(f"{'.'.join(reversed(keys)) or 'JSON'} is {repr(value)[:60]}, not {shape}")


_FITS = {
    TEXT: lambda value: isinstance(value, str),
    NUMBER: lambda value: type(value) in (float, int) or value in _UNFINITE,
    WHOLE: lambda value: type(value) is int,
    PLAIN: lambda value: isinstance(value, str | int | float),
}

RUN = {
    "name": TEXT,
    "round": Maybe(WHOLE),
    "first_step": WHOLE,
    "method": TEXT,
    "density": Maybe(NUMBER),
    "attack": TEXT,
    "seed": Maybe(WHOLE),
    "hparams": Each(PLAIN),
    "classes": [TEXT],
}

_FIGURES = {
    "examples": WHOLE,
    "clean_accuracy": NUMBER,
    "clean_loss": NUMBER,
    "robust_accuracy": Each(NUMBER),
    "robust_loss": Each(NUMBER),
}

ACCURACY = {
    "round": Maybe(WHOLE),
    "step": WHOLE,
    "phase": TEXT,
    "attacks": Each({"norm": Maybe(TEXT), "epsilon": Maybe(NUMBER)}),
    "splits": {
        "train": Maybe(Each(NUMBER)),
        "validation": Maybe(_FIGURES),
        "test": Maybe(_FIGURES),
    },
}

_ROW = {
    "attack": TEXT,
    "norm": Maybe(TEXT),
    "epsilon": Maybe(NUMBER),
    "accuracy": NUMBER,
    "low": NUMBER,
    "high": NUMBER,
    "expected": Maybe(NUMBER),
    "standard_error": Maybe(NUMBER),
    "distance": Maybe(NUMBER),
    "queries": Maybe(NUMBER),
    "seconds": Maybe(NUMBER),
}

REPORT = {
    "name": TEXT,
    "split": TEXT,
    "examples": WHOLE,
    "level": Maybe(NUMBER),
    "rows": [_ROW],
    "warnings": [TEXT],
    "checks": [{"name": TEXT, "status": TEXT, "evidence": TEXT, "meaning": TEXT, "advice": TEXT}],
    "model": TEXT,
}

MEASURES = {"name": TEXT, "images": WHOLE, "numbers": Each(NUMBER), "warnings": [TEXT]}

EXAMPLES = {
    "attack": TEXT,
    "norm": TEXT,
    "epsilon": Maybe(NUMBER),
    "items": [
        {"label": WHOLE, "before": WHOLE, "after": WHOLE, "distance": NUMBER, "scale": NUMBER}
    ],
}

EXPORT = {"tflite_bytes": WHOLE, "latency_ms": Maybe(NUMBER)}
