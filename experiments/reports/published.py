"""The papers' published numbers, and comparisons of ours with them."""

import dataclasses
import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NotRequired, TypedDict, TypeVar

from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.method_table import deviation

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "studies")

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Figure(TypedDict):
    """A published mean, with its standard deviation if the paper gives one."""

    mean: float
    std: NotRequired[float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Our trials compared with a published number, in its unit; None for unknown values.

    Attributes:
        mean: mean of our trials.
        std: standard deviation of our trials (of the sample, n - 1); None for one trial.
        trials: number of trials.
        published: the published number.
        difference: our mean minus the published one.
        deviations: difference in published standard deviations.
    """

    mean: float | None
    std: float | None
    trials: int
    published: Figure | None
    difference: float | None = None
    deviations: float | None = None

    def as_json(self) -> dict[str, object]:
        """The entry in report.json."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Stored:
    """The published numbers of a study, by their places in its file.

    Attributes:
        study: name of the study.
        content: contents of its file.
        beside: whether there are numbers to compare with.
    """

    study: str
    content: dict[str, Any]
    beside: bool = True

    @property
    def title(self) -> str:
        """Title of the paper."""
        return str(self.content["study"])

    def without_numbers(self) -> "Stored":
        """No numbers, for networks with other settings than the paper's."""
        return dataclasses.replace(self, beside=False)

    def figure(self, *place: str) -> Figure | None:
        """The number at a place, such as ("table_1", "resnet20"); None if the paper has none.

        Raises:
            InputError: if the file has no such place: a row of it is lost.
        """
        value: Any = self.content
        for depth, name in enumerate(place, 1):
            if not isinstance(value, dict) or name not in value:
                lost = "/".join(place[:depth])
                raise InputError(f"{path_of(self.study)}: has no {lost}; a row is lost")
            value = value[name]
        return {"mean": value} if self.beside and value is not None else None


def stored(study: str) -> Stored:
    """The published numbers of a study.

    Raises:
        InputError: if the file is missing or cannot be read.
    """
    return Stored(study, load(study))


def path_of(study: str) -> str:
    """The file of a study's published numbers."""
    return os.path.join(FOLDER, study, "published.json")


def load(study: str) -> dict[str, Any]:
    """Loads the published numbers of a study; the study's own `published` gives them types.

    Raises:
        InputError: if the file is missing or cannot be read.
    """
    path = path_of(study)
    try:
        found: dict[str, Any] = files.read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no published numbers can be read ({error})") from error
    return found


def aligned(keys: Iterable[_Key], values: Iterable[_Value]) -> dict[_Key, _Value]:
    """Published values by key; the file has them by position only.

    Returns:
        {} if there are fewer or more values than keys: a lost one would shift the others.
    """
    known, found = list(keys), list(values)
    return dict(zip(known, found, strict=True)) if len(known) == len(found) else {}


def compare(ours: Sequence[float], published: Figure | None) -> Comparison:
    """Compares our trials with a published number.

    Args:
        ours: one number per trial; empty if none is finished.
        published: None if the paper gives none.
    """
    if not ours:
        return Comparison(mean=None, std=None, trials=0, published=published)
    mean = statistics.fmean(ours)
    difference = mean - published["mean"] if published else None
    std = published.get("std") if published else None
    return Comparison(
        mean=mean,
        std=deviation(list(ours)),
        trials=len(ours),
        published=published,
        difference=difference,
        deviations=difference / std if difference is not None and std else None,
    )


def near(
    found: Iterable[Comparison], width: Callable[[Figure], float]
) -> list[tuple[bool | None, bool]]:
    """How near our means are to the published ones, for each possible comparison.

    Args:
        found: the comparisons.
        width: from a published number, the difference that counts as near.

    Returns:
        Whether it is within two published deviations (None if none is published or it is 0), and
        whether it is within the width.
    """
    return [
        (
            abs(each.difference) <= 2 * std if (std := each.published.get("std")) else None,
            abs(each.difference) <= width(each.published),
        )
        for each in found
        if each.difference is not None and each.published is not None
    ]


def beside(found: Comparison, digits: int = 2) -> str:
    """A cell of a table: our number and, in brackets, the published one and the difference."""
    text = "-" if found.mean is None else _with_std(found.mean, found.std, digits)
    if not found.published:
        return text
    inner = _with_std(found.published["mean"], found.published.get("std"), digits)
    if found.deviations is not None:
        inner += f"; {found.deviations:+.1f} σ"
    return f"{text} ({inner})"


def _with_std(mean: float, std: float | None, digits: int) -> str:
    return f"{mean:.{digits}f}" + ("" if std is None else f" ± {std:.{digits}f}")
