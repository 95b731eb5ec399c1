"""How explanations change under attack, in numbers with intervals."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epy

from experiments.studies.dynamic_sparse_adversarial.figures import MAPS
from experiments.studies.dynamic_sparse_adversarial.protocol import METHODS, TRAININGS
from robust_sparse_tf.texts import markdown_table

with epy.lazy_imports():
    from scipy import stats

NUMBERS = {
    "overlap": "overlap, clean and attacked",
    "rank": "rank correlation",
    "central": "center's share, clean",
    "central_attacked": "center's share, attacked",
    "redrawn": "rank correlation with redrawn weights",
}
"""Titles of the numbers of a network, by name; each is a value per image."""

_DRAWS = 2000  # of the bootstrap


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval; NaN where no image has a value."""

    mean: float
    low: float
    high: float

    def text(self) -> str:
        """The mean and its interval, in words."""
        if np.isnan(self.mean):
            return "-"
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def bootstrap(values: Sequence[float], seed: int = 0) -> Interval:
    """The mean of values and its 95 % percentile interval, by SciPy's bootstrap.

    Args:
        values: for example paired differences, one per image; NaN is left out.
        seed: seed of the resampling.
    """
    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    if not len(known):
        return Interval(np.nan, np.nan, np.nan)
    mean = float(np.mean(known))
    if np.ptp(known) == 0:
        return Interval(mean, mean, mean)
    found = stats.bootstrap(
        (known,), np.mean, n_resamples=_DRAWS, method="percentile", random_state=seed
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high))


def paired(found: Mapping[str, Any], kind: str, name: str, method: str, training: str) -> Interval:
    """A number of a sparse network minus that of FC, image by image, with its interval.

    Args:
        found: numbers per image by network, kind of map, and name; see `explanations.Found`.
        kind: a key of `MAPS`.
        name: a key of `NUMBERS`.
        method: a key of `METHODS`.
        training: a key of `TRAININGS`.
    """
    keys = (f"{method}/{training}", f"dense/{training}")
    if any(key not in found for key in keys):
        return Interval(np.nan, np.nan, np.nan)
    own, other = (np.array(found[key][kind][name], float) for key in keys)
    return bootstrap(own - other)


def shifts(found: Mapping[str, Any]) -> list[Interval]:
    """Overlaps of the sparse networks minus those of FC: above 0, attention shifts less."""
    return [
        paired(found, kind, "overlap", method, training)
        for kind in MAPS
        for training in TRAININGS
        for method in METHODS
        if method != "dense"
    ]


def markdown(content: Mapping[str, Any]) -> list[str]:
    """The tables of explanations.

    Args:
        content: see `explanations.Found`; {} if it was not made.
    """
    if not content:
        command = "python -m experiments.studies.dynamic_sparse_adversarial.explanations"
        return [f"Figures 4 and 5: not run. `{command} --sweep=FOLDER` adds them.", ""]
    found = content["numbers"]
    lines = [
        f"On {content['images']} test images that all compared networks classify rightly. "
        "Networks without robust training are attacked by PGD, the others by their training "
        "attack. Redrawn: the same map of the network with the values of each kernel in another "
        "order, on clean images; a map that explains the network must differ from it.",
        "",
    ]
    for kind, title in MAPS.items():
        rows = [["network", *NUMBERS.values()]]
        for key, own in found.items():
            rows.append([_name(key), *(f"{_mean(own[kind][name]):.3f}" for name in NUMBERS)])
        lines += [f"{title}, means over images:", "", *markdown_table(rows), ""]
        rows = [["difference from FC", *(NUMBERS[name] for name in ("overlap", "rank"))]]
        for training in TRAININGS:
            for method in METHODS:
                if method != "dense" and f"{method}/{training}" in found:
                    words = [
                        paired(found, kind, name, method, training).text()
                        for name in ("overlap", "rank")
                    ]
                    rows.append([_name(f"{method}/{training}"), *words])
        lines += ["Paired over images, with bootstrap 95 % intervals:", ""]
        lines += [*markdown_table(rows), ""]
    gone = content.get("missing", [])
    return lines + ([f"Not trained yet: {', '.join(map(_name, gone))}.", ""] if gone else [])


def _name(key: str) -> str:
    method, training = key.split("/")
    return f"{METHODS[method]}, robust training {TRAININGS[training]}"


def _mean(values: Sequence[float]) -> float:
    known = np.asarray(values, float)
    return float(np.nanmean(known)) if not np.isnan(known).all() else float("nan")
