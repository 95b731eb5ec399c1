"""The items of "The Search for Sparse, Robust Neural Networks" (2019), for the summary."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Mapping, Sequence
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
from experiments.studies.search_sparse_robust.protocol import ATTACKS

_LENGTH = 50_000
_DENSE, _SPARSE = 100.0, 3.6
_MNIST, _FASHION = {"dataset": ["mnist"]}, {"dataset": ["fashion_mnist"]}


def _table(report: Report, dataset: str) -> Judged:
    found = [each for each in report["study"]["tables"] if each["dataset"] == dataset]
    return near([row[kind] for row in found[0]["rows"] for kind in ("natural", "robust")], 1.0)


def _robust(report: Report, attack: str) -> dict[float, Mapping[str, Any]]:
    """Networks under their training attack, by density."""
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
    """On clean images, at every density below 100 %, averaged over trainings."""
    by_density: dict[float, dict[str, list[float]]] = {}
    for entry in report["study"]["strategies"]:
        if entry["dataset"] == dataset and entry["density"] < _DENSE:
            own = by_density.setdefault(entry["density"], {})
            own.setdefault(entry["strategy"].split()[0], []).append(entry["none"])
    means = [{n: statistics.fmean(v) for n, v in own.items()} for own in by_density.values()]
    if not means:
        return Judged("-", NOT_TESTED)
    return counted([max(own, key=own.__getitem__) == "original" for own in means], "densities")


def _item(
    name: str,
    stored: str = "rounds_50000",
    judge: Callable[..., Judged] | None = None,
    *,
    flagfile: str = "digits",
    cells: Mapping[str, Sequence[object]] = _MNIST,
    networks: str = "a^",
    **given: str,
) -> Item:
    return Item(
        name=name,
        flagfile=flagfile,
        stored=stored,
        judge=judge and functools.partial(judge, **given),
        cells=cells,
        length=_LENGTH,
        networks=networks,
    )


_ANY = "attack=(fgsm|pgd)"
ITEMS = [
    _item(
        "Table 1 (MNIST), trained with FGSM and PGD", judge=_table, dataset="mnist", networks=_ANY
    ),
    _item("Table 1 (MNIST), all trainings", "digits_30000", _table, dataset="mnist", networks=_ANY),
    _item(
        "Table 2 (Fashion-MNIST)",
        "short",
        _table,
        flagfile="fashion",
        cells=_FASHION,
        dataset="fashion_mnist",
    ),
    _item("Figures 1, 2, 4 and 6 (MNIST, by iteration)"),
    _item("Figures 3 and 5 (MNIST, at early stopping)"),
    _item("Figures 7 to 12 (Fashion-MNIST)", "short", flagfile="fashion", cells=_FASHION),
    _item("Figures 13 to 15 (weights of tickets)"),
    *(
        _item(
            f"Claim: tickets pruned by 96.4 % are more robust to {attack.upper()} than dense ones",
            judge=_outperforms,
            attack=attack,
            cells={"attack": [attack]},
            networks=f"attack={attack}",
        )
        for attack in ATTACKS
    ),
    *(
        _item(
            f"Which density is most robust to {attack.upper()}",
            judge=_best,
            attack=attack,
            cells={"attack": [attack]},
            networks=f"attack={attack}",
        )
        for attack in ATTACKS
    ),
    _item(
        "Claim: tickets are better than other strategies on clean images (MNIST)",
        "short",
        _tickets_are_best,
        dataset="mnist",
    ),
]
