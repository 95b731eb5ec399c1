"""What evaluations and measurements leave in a run's directory, as their files hold it."""

from __future__ import annotations

import dataclasses
import json
import os
import warnings
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.export import forms

if TYPE_CHECKING:
    from robust_sparse_tf.evaluation.report import Row


class AttackReport(TypedDict):
    """What sweeps read of an evaluation's report.json; `evaluation.Report.to_json` writes it."""

    rows: list[Row]
    warnings: list[str]
    model: NotRequired[str]


class Usefulness(TypedDict):
    """Of each feature, by its place; see `evaluation.Usefulness`."""

    weights: list[float]
    raw: list[float]
    raw_robust: list[float]
    weighted: list[float]
    weighted_robust: list[float]
    normalised: list[float]
    normalised_robust: list[float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measures:
    """What was measured of a round's network.

    Attributes:
        options: what was asked; see `measure_options.asked`.
        images: how many test images there were.
        numbers: by the names of the measures.
        usefulness: of its features; None where it was not measured.
        missing: why the measures that could not be taken could not, by their options' names.
        warnings: what the measurement warned of.
        seconds: that it took.
        model: the name of the network's content, see `identity`; "" in files of before.
    """

    options: dict[str, Any]
    images: int
    numbers: dict[str, float]
    usefulness: Usefulness | None
    missing: dict[str, str]
    warnings: list[str]
    seconds: float
    model: str = ""


def model_of(path: str) -> str:
    """The file or folder of the network of a path: a finished run's, a round's, or a model's own.

    A finished run's is that of its last round, which unlike its SavedModel is no program.
    """
    exported = os.path.join(path, "saved_model")
    if os.path.isdir(exported):
        rounds = os.path.join(path, "rounds")
        names = os.listdir(rounds) if os.path.isdir(rounds) else []
        last = max((int(name) for name in names if name.isdecimal()), default=0)
        return _network_of_round(os.path.join(rounds, str(last))) or exported
    return _network_of_round(path) or path


def identity(path: str, source: str | None = None) -> str:
    """The name of a model's content, and of the one whose adversarial examples are tried on it.

    Raises:
        InputError: for what holds no model.
    """
    return " ".join(forms.digest(model_of(each)) for each in (path, source) if each)


def is_of(path: str, model: str, source: str | None = None) -> bool:
    """Whether a file is there, can be read, and is a report or the measures of a model.

    Where it does not say of which, as those of before, it must not be older than the model; where
    the model is not there any more, nothing speaks against it.

    Args:
        path: of the file.
        model: of which it must be, see `model_of`.
        source: see `identity`.
    """
    try:
        known = _load(path).get("model", "")
        network = model_of(model)
        # Of a round whose network is gone the folder is left.
        inner = os.path.join(network, "saved_model.pb") if os.path.isdir(network) else network
        if not os.path.exists(inner):
            return True
        if known:
            return bool(known == identity(model, source))
        return os.path.getmtime(path) >= os.path.getmtime(inner)
    except (OSError, InputError):
        return False


def read_attacks(path: str) -> AttackReport:
    """An evaluation's report.json.

    Raises:
        InputError: for a file that holds none.
    """
    found: AttackReport = _load(path, "rows", "warnings")
    return found


def read_measures(path: str) -> Measures:
    """The measures of a round that a file holds.

    Raises:
        InputError: for a file that holds none.
    """
    content = _load(path, "measures")
    try:
        numbers = dict(content.pop("measures"))
        usefulness = numbers.pop("usefulness", None)
        return Measures(**content, numbers=numbers, usefulness=usefulness)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {_DAMAGED} ({error})") from error


def warn_left_out(path: str, why: str) -> None:
    """Warns of a file of which a report says nothing."""
    warnings.warn(f"{path} is left out of the report: {why}", RunWarning, stacklevel=2)


def write_measures(path: str, found: Measures) -> None:
    """Writes the measures of a round, the usefulness of features as one of them."""
    useful = {} if found.usefulness is None else {"usefulness": found.usefulness}
    content = {
        "options": found.options,
        "images": found.images,
        "measures": found.numbers | useful,
        "missing": found.missing,
        "warnings": found.warnings,
        "seconds": found.seconds,
        "model": found.model,
    }
    files.write_json(path, content)


_DAMAGED = "holds no results of experiments.evaluate or measure; delete it, and they are made anew"


def _load(path: str, *keys: str) -> Any:
    """The object that a JSON file holds, with these keys."""
    try:
        with open(path, "rb") as file:
            found = json.load(file)
        if not isinstance(found, dict) or not set(keys) <= set(found):
            raise ValueError(f"{', '.join(keys)} are missing")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: {_DAMAGED} ({error})") from error
    return found


def _network_of_round(path: str) -> str | None:
    inner = os.path.join(path, "model.keras")
    return inner if os.path.exists(inner) else None
