"""The items of "Towards lighter adversarially robust model", for the summary."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable

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

_EPOCHS_50, _EPOCHS_12 = 23_450, 10_000  # iterations in the paper


def _table(report: Report, trained: str) -> Judged:
    own = [entry for entry in report["study"]["scales"] if entry["trained"] == trained]
    return near([entry[attack] for entry in own for attack in ATTACKS], 1.0)


def _least_scale(report: Report, trained: str) -> Judged:
    """The scale from which networks are robust to their training attack on most images."""
    own = [entry for entry in report["study"]["scales"] if entry["trained"] == trained]
    means = {e["scale"]: e[trained]["mean"] for e in own if e[trained]["mean"] is not None}
    known = {e["scale"]: e[trained]["published"]["mean"] for e in own if e[trained]["published"]}
    least, theirs = findings.least_scale(means), findings.least_scale(known)
    words = f"from scale {least} on, published {theirs}"
    return Judged(words, HELD if least == theirs else NOT_HELD)


def _robust_features(report: Report) -> Judged:
    """How many useful features of the naturally trained network are robustly useful."""
    theirs = read().robust_features
    for entry in report["study"]["features"]:
        if theirs and entry["trained"] == "none" and entry["usefulness"]:
            both, useful = findings.robust_features(entry["usefulness"])
            words = f"{both} of {useful} useful features are robust, published {theirs[0]} of "
            return Judged(f"{words}{theirs[1]}", HELD if both == theirs[0] else NOT_HELD)
    return Judged("-", NOT_TESTED)


def _original_is_better(report: Report, trained: str) -> Judged:
    """Whether the original initialisation is better than a new one, in pruned rounds."""
    gains = findings.gains_of_original(_tickets(report, trained), trained)
    told = counted([gain > 0 for gain in gains], "pruned rounds")
    gain = statistics.fmean(gains)
    return Judged(f"{told.agreement}, by {gain:+.1f} points on average", told.verdict)


def _breakpoints(report: Report, trained: str) -> Judged:
    """Down to which fraction of weights clean accuracy holds, for both initialisations."""
    found = findings.broken(_tickets(report, trained), read().holds_down_to)
    return counted([verdict == HELD for _, _, verdict in found], "breakpoints")


def _tickets(report: Report, trained: str) -> list[Ticket]:
    return [
        Ticket(
            **{name: entry[name] for name in ("trained", "strategy", "round", "weights")},
            accuracies={attack: entry[attack] for attack in ATTACKS},
        )
        for entry in report["study"]["tickets"]
        if entry["trained"] == trained
    ]


def _item(
    name: str, flagfile: str, judge: Callable[..., Judged], model: str, attack: str, length: int
) -> Item:
    """An item on the networks of a model trained with an attack."""
    return Item(
        name=name,
        flagfile=flagfile,
        stored="short",
        judge=functools.partial(judge, trained=attack),
        cells={"model": [model], "attack": [attack]},
        length=length,
        networks=f"{model}.*attack={attack}",
    )


_FLAGFILES = {"pgd": "table_2_pgd", "fgsm": "table_3_fgsm"}
ITEMS = [
    *(
        _item(name, _FLAGFILES[attack], judge, "capacity_cnn", attack, _EPOCHS_50)
        for name, attack, judge in (
            ("Table II: trained with PGD", "pgd", _table),
            ("Table III: trained with FGSM", "fgsm", _table),
            ("Fig. 2: the scale from which networks are robust to FGSM", "fgsm", _least_scale),
            ("Fig. 3: the scale from which networks are robust to PGD", "pgd", _least_scale),
        )
    ),
    Item(
        name="Figs. 5 to 8: no feature of a naturally trained network is robust",
        flagfile="features",
        stored="short",
        judge=_robust_features,
        cells={"model": ["binary_cnn"]},
        networks="binary_cnn",
    ),
    *(
        _item(
            f"Figs. 9 to 12, {words}: {claim}",
            "lottery",
            judge,
            "mlp_300_100_100",
            attack,
            _EPOCHS_12,
        )
        for words, attack in (("trained naturally", "none"), ("trained with FGSM", "fgsm"))
        for claim, judge in (
            ("the original initialisation is better", _original_is_better),
            ("where clean accuracy breaks down", _breakpoints),
        )
    ),
]
