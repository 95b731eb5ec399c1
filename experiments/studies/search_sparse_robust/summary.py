"""The items of "The Search for Sparse, Robust Neural Networks" (2019), for the summary."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Mapping
from typing import Any

from experiments.reports.summary import (
    HELD,
    NOT_HELD,
    NOT_TESTED,
    Item,
    Judged,
    Report,
    compared,
    counted,
    near,
)

_LENGTH = 50_000
_DENSE, _SPARSE = 100.0, 3.6
_MNIST, _FASHION = {"dataset": ["mnist"]}, {"dataset": ["fashion_mnist"]}


def _table(report: Report, dataset: str) -> Judged:
    found = [each for each in report["study"]["tables"] if each["dataset"] == dataset]
    return near([row[kind] for row in found[0]["rows"] for kind in ("natural", "robust")], 1.0)


def _robust(report: Report, attack: str) -> dict[float, Mapping[str, Any]]:
    """By density, networks under the attack of their training."""
    return {
        row["density"]: row["robust"]
        for row in report["study"]["tables"][0]["rows"]
        if row["attack"] == attack and row["trained"] == "adversarially"
    }


def _outperforms(report: Report, attack: str) -> Judged:
    own = _robust(report, attack)
    sparse, dense = own[_SPARSE], own[_DENSE]
    spread = max(each["std"] or each["published"]["std"] for each in (sparse, dense))
    words = f"at {_SPARSE} % {{:.2f}}, dense {{:.2f}}"
    return compared(sparse["mean"], dense["mean"], spread, words)


def _best(report: Report, attack: str) -> Judged:
    found = _robust(report, attack)
    ours = max(found, key=lambda density: found[density]["mean"])
    theirs = max(found, key=lambda density: found[density]["published"]["mean"])
    return Judged(f"{ours:g} %, published {theirs:g} %", HELD if ours == theirs else NOT_HELD)


def _tickets_are_best(report: Report, dataset: str) -> Judged:
    """On clean images, at every density below 100 %, in the mean over ways of training."""
    by_density: dict[float, dict[str, list[float]]] = {}
    for entry in report["study"]["strategies"]:
        if entry["dataset"] == dataset and entry["density"] < _DENSE:
            own = by_density.setdefault(entry["density"], {})
            own.setdefault(entry["strategy"].split()[0], []).append(entry["none"])
    means = [{n: statistics.fmean(v) for n, v in own.items()} for own in by_density.values()]
    if not means:
        return Judged("-", NOT_TESTED)
    return counted([max(own, key=own.__getitem__) == "original" for own in means], "densities")


ITEMS = [
    Item(
        name="Table 1 (MNIST), trained with FGSM and PGD",
        flagfile="digits",
        stored="rounds_50000",
        judge=functools.partial(_table, dataset="mnist"),
        length=_LENGTH,
        networks="attack=(fgsm|pgd)",
    ),
    Item(
        name="Table 1 (MNIST), all trainings",
        flagfile="digits",
        stored="digits_30000",
        judge=functools.partial(_table, dataset="mnist"),
        length=_LENGTH,
        networks="attack=(fgsm|pgd)",
    ),
    Item(
        name="Table 2 (Fashion-MNIST)",
        flagfile="fashion",
        stored="short",
        judge=functools.partial(_table, dataset="fashion_mnist"),
        cells=_FASHION,
        length=_LENGTH,
    ),
    Item(
        name="Figures 1, 2, 4 and 6 (MNIST, by iteration)",
        flagfile="digits",
        stored="rounds_50000",
        length=_LENGTH,
    ),
    Item(
        name="Figures 3 and 5 (MNIST, at early stopping)",
        flagfile="digits",
        stored="rounds_50000",
        length=_LENGTH,
    ),
    Item(
        name="Figures 7 to 12 (Fashion-MNIST)",
        flagfile="fashion",
        stored="short",
        cells=_FASHION,
        length=_LENGTH,
    ),
    Item(
        name="Figures 13 to 15 (weights of tickets)",
        flagfile="digits",
        stored="rounds_50000",
        length=_LENGTH,
    ),
    *(
        Item(
            name=f"Claim: tickets pruned by 96.4 % stand {attack.upper()} better than dense ones",
            flagfile="digits",
            stored="rounds_50000",
            judge=functools.partial(_outperforms, attack=attack),
            cells={"attack": [attack]},
            length=_LENGTH,
            networks=f"attack={attack}",
        )
        for attack in ("fgsm", "pgd")
    ),
    *(
        Item(
            name=f"Which density stands {attack.upper()} best",
            flagfile="digits",
            stored="rounds_50000",
            judge=functools.partial(_best, attack=attack),
            cells={"attack": [attack]},
            length=_LENGTH,
            networks=f"attack={attack}",
        )
        for attack in ("fgsm", "pgd")
    ),
    Item(
        name="Claim: tickets are better than other strategies on clean images (MNIST)",
        flagfile="digits",
        stored="short",
        judge=functools.partial(_tickets_are_best, dataset="mnist"),
        cells=_MNIST,
        length=_LENGTH,
    ),
]
