"""The items of "Towards lighter adversarially robust model", for the summary."""

from __future__ import annotations

import functools
import statistics

from experiments.reports.summary import (
    HELD,
    NOT_HELD,
    NOT_TESTED,
    Item,
    Judged,
    Report,
    counted,
    near,
)
from experiments.studies.lighter_robust_model import findings
from experiments.studies.lighter_robust_model.numbers import Ticket
from experiments.studies.lighter_robust_model.protocol import ATTACKS
from experiments.studies.lighter_robust_model.published import read

_SHORT = "short"
_ROBUST = 50.0  # percent; a network that stands its attack more often than not
_CAPACITY = {"model": ["capacity_cnn"]}
_TICKETS = {"model": ["mlp_300_100_100"]}
_EPOCHS_50, _EPOCHS_12 = 23_450, 10_000  # iterations of the study


def _table(report: Report, trained: str) -> Judged:
    own = [entry for entry in report["study"]["scales"] if entry["trained"] == trained]
    return near([entry[attack] for entry in own for attack in ATTACKS], 1.0)


def _least_scale(report: Report, trained: str) -> Judged:
    """From which scale networks stand the attack of their training on most images."""
    own = [entry for entry in report["study"]["scales"] if entry["trained"] == trained]
    ran = [entry for entry in own if entry[trained]["mean"] is not None]
    ours = [entry["scale"] for entry in ran if entry[trained]["mean"] > _ROBUST]
    theirs = [e["scale"] for e in own if (e[trained]["published"] or {"mean": 0})["mean"] > _ROBUST]
    least, known = min(ours, default=None), min(theirs, default=None)
    words = f"from scale {least} on, published {known}"
    return Judged(words, HELD if least == known else NOT_HELD)


def _robust_features(report: Report) -> Judged:
    """Of the naturally trained network's useful features, how many are robustly useful."""
    for entry in report["study"]["features"]:
        if entry["trained"] == "none" and (use := entry["usefulness"]):
            pairs = zip(use["weighted"], use["weighted_robust"], strict=True)
            useful = [robust > 0 for clean, robust in pairs if clean > 0]
            words = f"{sum(useful)} of {len(useful)} useful features are robust, published 0 of 100"
            return Judged(words, NOT_HELD if any(useful) else HELD)
    return Judged("-", NOT_TESTED)


def _original_is_better(report: Report, trained: str) -> Judged:
    """Whether the original initialisation is better than another one, in pruned rounds."""
    own = [e for e in report["study"]["tickets"] if e["trained"] == trained and e["round"]]
    found = {(entry["strategy"], entry["round"]): entry[trained] for entry in own}
    pairs = [
        (value, found["random", number])
        for (strategy, number), value in found.items()
        if strategy == "original" and ("random", number) in found
    ]
    told = counted([ours > other for ours, other in pairs], "pruned rounds")
    gain = statistics.fmean(ours - other for ours, other in pairs)
    return Judged(f"{told.agreement}, by {gain:+.1f} points in the mean", told.verdict)


def _breakpoints(report: Report, trained: str) -> Judged:
    """Down to which weights clean accuracy holds, as the study says of both initialisations."""
    rounds = [
        Ticket(
            **{name: entry[name] for name in ("trained", "strategy", "round", "weights")},
            accuracies={attack: entry[attack] for attack in ATTACKS},
        )
        for entry in report["study"]["tickets"]
        if entry["trained"] == trained
    ]
    lines = findings.breakpoints(rounds, read().holds_down_to)
    return counted([line.endswith(": held.") for line in lines], "breakpoints")


ITEMS = [
    *(
        Item(
            name=f"Table {number}: trained with {attack.upper()}",
            flagfile=flagfile,
            stored=_SHORT,
            judge=functools.partial(_table, trained=attack),
            cells=_CAPACITY | {"attack": [attack]},
            length=_EPOCHS_50,
            networks=f"capacity_cnn.*attack={attack}",
        )
        for number, attack, flagfile in (
            ("II", "pgd", "table_2_pgd"),
            ("III", "fgsm", "table_3_fgsm"),
        )
    ),
    *(
        Item(
            name=f"Fig. {number}: the scale from which networks stand {attack.upper()}",
            flagfile=flagfile,
            stored=_SHORT,
            judge=functools.partial(_least_scale, trained=attack),
            cells=_CAPACITY | {"attack": [attack]},
            length=_EPOCHS_50,
            networks=f"capacity_cnn.*attack={attack}",
        )
        for number, attack, flagfile in (("2", "fgsm", "table_3_fgsm"), ("3", "pgd", "table_2_pgd"))
    ),
    Item(
        name="Figs. 5 to 8: no feature of a naturally trained network is robust",
        flagfile="features",
        stored=_SHORT,
        judge=_robust_features,
        cells={"model": ["binary_cnn"]},
        networks="binary_cnn",
    ),
    *(
        Item(
            name=f"Figs. 9 to 12, {words}: {claim}",
            flagfile="lottery",
            stored=_SHORT,
            judge=functools.partial(judge, trained=attack),
            cells=_TICKETS | {"attack": [attack]},
            length=_EPOCHS_12,
            networks=f"mlp_300_100_100.*attack={attack}",
        )
        for words, attack in (("trained naturally", "none"), ("trained with FGSM", "fgsm"))
        for claim, judge in (
            ("the original initialisation is better", _original_is_better),
            ("where clean accuracy breaks down", _breakpoints),
        )
    ),
]
