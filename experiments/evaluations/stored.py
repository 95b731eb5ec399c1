"""Stored results of evaluations and measurements in a run's directory."""

from __future__ import annotations

import dataclasses
import functools
import os
import warnings
from typing import TYPE_CHECKING, Any, TypedDict

from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.export import forms
from robust_sparse_tf.options import make

if TYPE_CHECKING:
    from robust_sparse_tf.evaluation.report import Row


class AttackReport(TypedDict):
    """The part of an evaluation's report.json that sweeps read; see `evaluation.Report.to_json`."""

    rows: list[Row]
    warnings: list[str]
    model: str


class Usefulness(TypedDict):
    """Usefulness per feature, in order; see `evaluation.Usefulness`."""

    weights: list[float]
    raw: list[float]
    raw_robust: list[float]
    weighted: list[float]
    weighted_robust: list[float]
    normalised: list[float]
    normalised_robust: list[float]


class Weights(TypedDict):
    """The weights of a network in numbers; see `weights.of_network`.

    `below` has the fraction of the weights of convolutions below a magnitude, by the magnitude;
    `counts` and `edges` are the histogram of the second convolution; `noise` has the deviation of
    the noise over the mean magnitude of the weights, by layer.
    """

    below: dict[str, float]
    counts: list[int]
    edges: list[float]
    noise: dict[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measures:
    """The measures of a round's network.

    Attributes:
        options: options of the measurement; see `measure_options.asked`.
        images: number of test images.
        numbers: measures by name.
        usefulness: usefulness of features; None if not measured.
        weights: its weights in numbers; None if not measured.
        missing: reasons why measures could not be taken, by the names of their options.
        warnings: warnings of the measurement.
        seconds: duration.
        model: digest of the network, see `identity`; "" in old files.
    """

    options: dict[str, Any]
    images: int
    numbers: dict[str, float]
    usefulness: Usefulness | None
    missing: dict[str, str]
    warnings: list[str]
    seconds: float
    model: str = ""
    weights: Weights | None = None


def model_of(path: str) -> str:
    """The file or folder of a network, from the path of a finished run, a round or a model.

    For a finished run, it is that of the last round, which, unlike a SavedModel, is not a program.
    """
    exported = os.path.join(path, "saved_model")
    if os.path.isdir(exported):
        rounds = os.path.join(path, "rounds")
        names = os.listdir(rounds) if os.path.isdir(rounds) else []
        last = max((int(name) for name in names if name.isdecimal()), default=0)
        return _network_of_round(os.path.join(rounds, str(last))) or exported
    return _network_of_round(path) or path


def identity(path: str, *sources: str) -> str:
    """The digest of a model, and those of the source models of transfer attacks.

    Raises:
        InputError: for paths without a model.
    """
    return " ".join(_digest(model_of(each)) for each in (path, *sources))


def _digest(path: str) -> str:
    """See `forms.digest`; unchanged files are not read again."""
    if not os.path.isfile(path):
        return forms.digest(path)
    return _digest_of_file(path, _state(path))


def _state(path: str) -> tuple[int, ...] | None:
    """A stamp that changes when a file does; None if there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@functools.lru_cache(maxsize=1024)
def _digest_of_file(path: str, state: object) -> str:
    del state
    return forms.digest(path)


def is_of(path: str, model: str, *sources: str) -> bool:
    """Whether a file exists, can be read, and has a report or measures of a model.

    Args:
        path: path of the file.
        model: the model that it must belong to, see `model_of`.
        *sources: see `identity`.
    """
    try:
        known = files.read_json(path, {"model?": str}).get("model", "")
    except (OSError, ValueError):
        return False
    return is_current(path, known, model, *sources)


def is_current(path: str, known: str, model: str, *sources: str) -> bool:
    """Whether a file belongs to the current model.

    An old file, which does not name its model, must not be older than the model. If the model no
    longer exists, any file counts as current.

    Args:
        path: path of the file.
        known: digest of its model; "" if it does not name it.
        model: the model that it must belong to, see `model_of`.
        *sources: see `identity`.
    """
    try:
        network = model_of(model)
        # If the network of a round was deleted, its folder remains.
        inner = os.path.join(network, "saved_model.pb") if os.path.isdir(network) else network
        if not os.path.exists(inner):
            return True
        if known:
            return known == identity(model, *sources)
        return os.path.getmtime(path) >= os.path.getmtime(inner)
    except (OSError, InputError):
        return False


def read_attacks(path: str) -> AttackReport:
    """Reads an evaluation's report.json, without its examples.

    Raises:
        InputError: for any other file.
    """
    return _attacks(path, _state(path))


@functools.lru_cache(maxsize=1024)  # reports and trials.json need them
def _attacks(path: str, state: object) -> AttackReport:
    del state
    content = _load(path, _ATTACKS)
    return AttackReport(
        rows=content["rows"], warnings=content["warnings"], model=content.get("model", "")
    )


def read_measures(path: str) -> Measures:
    """Reads the measures of a round from a file.

    Raises:
        InputError: for any other file.
    """
    return _measures(path, _state(path))


@functools.lru_cache(maxsize=1024)
def _measures(path: str, state: object) -> Measures:
    del state
    content = _load(path, _MEASURES)
    numbers = dict(content.pop("measures"))
    apart = {name: numbers.pop(name, None) for name in ("usefulness", "weights")}
    found: Measures = make(Measures, content | {"numbers": numbers} | apart)
    return found


def warn_left_out(path: str, why: str) -> None:
    """Warns of a file that a report leaves out."""
    warnings.warn(f"{path} is left out of the report: {why}", RunWarning, stacklevel=2)


def write_measures(path: str, found: Measures) -> None:
    """Writes the measures of a round."""
    files.write_json(path, measures_as_json(found))


def measures_as_json(found: Measures) -> dict[str, Any]:
    """The measures of a round as in its file, with those that are not numbers among them."""
    apart = {"usefulness": found.usefulness, "weights": found.weights}
    known = {name: value for name, value in apart.items() if value is not None}
    return {
        "options": found.options,
        "images": found.images,
        "measures": found.numbers | known,
        "missing": found.missing,
        "warnings": found.warnings,
        "seconds": found.seconds,
        "model": found.model,
    }


_DAMAGED = "holds no results of experiments.evaluate or measure; delete it to make them again"


_NUMBER = (int, float)
_NUMBER_OR_NONE = (int, float, type(None))
_ROW = {
    "attack": str,
    "norm": (str, type(None)),
    "epsilon": _NUMBER_OR_NONE,
    "accuracy": _NUMBER,
    "distance": _NUMBER_OR_NONE,
    "seconds": _NUMBER_OR_NONE,
}
_ATTACKS = {"rows": [_ROW], "warnings": [str], "model?": str}
_MEASURES = {
    "options": dict,
    "images": int,
    "measures": {"*": (int, float, dict)},
    "missing": {"*": str},
    "warnings": [str],
    "seconds": _NUMBER,
    "model?": str,
}


def _load(path: str, shape: Any) -> Any:
    try:
        return files.read_json(path, shape)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {_DAMAGED} ({error})") from error


def _network_of_round(path: str) -> str | None:
    inner = os.path.join(path, "model.keras")
    return inner if os.path.exists(inner) else None
