"""Claims of "Dynamic Sparse Adversarial Training", from our numbers."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.reports.summary import HELD, NOT_HELD, Judged
from experiments.studies.claims import UNTESTED, Claim, above, all_of, gain
from experiments.studies.dynamic_sparse_adversarial import attention
from experiments.studies.dynamic_sparse_adversarial.numbers import Curve, Row
from experiments.studies.dynamic_sparse_adversarial.protocol import DATASETS, METHODS, TRAININGS
from experiments.studies.overfitting import Gap

_SPARSE = ("set", "rigl")
_SIMILAR = -1.0  # points: "similar" is at most so far below
_CHANCE = {"cifar10": 10.0, "cifar100": 1.0}
_HIGH = ("pgd", "0.3, 0.3")


def of_table_1(rows: Sequence[Row], published: Mapping[str, float]) -> list[Claim]:
    """The text's claims on table I.

    Args:
        rows: see `numbers.table_1`.
        published: the text's largest gains in points, by data set.
    """
    known = {(r.training, r.attack, r.method, r.dataset): r.accuracy.mean for r in rows}

    def each(training: str, attack: str, margin: float = 0.0) -> list[Judged]:
        return [
            above(
                known[training, attack, method, dataset],
                known[training, attack, "dense", dataset],
                margin,
            )
            for dataset in DATASETS
            for method in _SPARSE
        ]

    names = [f"{METHODS[method]}, {title}" for title in DATASETS.values() for method in _SPARSE]
    robust = [*each("fgsm", "fgsm", _SIMILAR), *each("pgd", "pgd", _SIMILAR)]
    both = [f"{name}, {attack}" for attack in ("FGSM", "PGD") for name in names]
    chance = [
        above(known["none", "fgsm", method, dataset], _CHANCE[dataset])
        for dataset in DATASETS
        for method in METHODS
    ]
    none_left = [
        above(_CHANCE[dataset] + 1, known["none", "pgd", method, dataset])
        for dataset in DATASETS
        for method in METHODS
    ]
    all_names = [f"{m}, {title}" for title in DATASETS.values() for m in METHODS.values()]
    order = [
        above(known[t, attack, "set", dataset], known[t, attack, "rigl", dataset])
        for dataset in DATASETS
        for t in TRAININGS
        for attack in dict.fromkeys(("none", t))
    ]
    titles = [
        f"{title}, trained {t}, attack {attack}"
        for title in DATASETS.values()
        for t in TRAININGS
        for attack in dict.fromkeys(("none", t))
    ]
    found = [
        Claim(
            "Sparse networks are at least as robust as FC (within 1 point)", all_of(robust, both)
        ),
        Claim(
            "Clean training gives some robustness to FGSM (above chance)", all_of(chance, all_names)
        ),
        Claim(
            "After clean training, sparse networks resist FGSM better",
            all_of(each("none", "fgsm"), names),
        ),
        Claim("Clean training gives none to PGD (at most chance)", all_of(none_left, all_names)),
        Claim("SET is above RigL", all_of(order, titles)),
    ]
    for dataset, title in DATASETS.items():
        best = [known["fgsm", "fgsm", method, dataset] for method in _SPARSE]
        most = max((value for value in best if value is not None), default=None)
        pair = (most, known["fgsm", "fgsm", "dense", dataset])
        found.append(
            Claim(
                f"{title}: the largest gain of sparse networks under FGSM",
                gain(*pair, published[dataset]),
            )
        )
    return found


def of_figure_3(curves: Sequence[Curve]) -> list[Claim]:
    """The text's claims on figure 3, at the end of training."""
    ends = {(c.attack, c.epsilon, c.method): (c.clean[-1], c.robust[-1]) for c in curves if c.clean}
    usual = [key for key in ends if key[:2] != _HIGH]
    high = [key for key in ends if key[:2] == _HIGH]
    name = {key: ", ".join((TRAININGS[key[0]], key[1], METHODS[key[2]])) for key in ends}

    def apart(keys: Sequence[tuple[str, str, str]], reverse: bool) -> Judged:
        pairs = [ends[key][::-1] if reverse else ends[key] for key in keys]
        return all_of([above(*pair) for pair in pairs], [name[key] for key in keys])

    low = ("fgsm", "0.3, 0.1")
    best = [ends[*low, m][1] for m in _SPARSE if (*low, m) in ends]
    dense = ends[*low, "dense"][1] if (*low, "dense") in ends else None
    return [
        Claim("Clean accuracy is above that under attack, except for PGD 0.3", apart(usual, False)),
        Claim("PGD 0.3: accuracy under attack is above the clean one", apart(high, True)),
        Claim("FGSM 0.3, attacked at 0.1: FC is best", above(dense, max(best, default=None))),
    ]


def of_explanations(content: Mapping[str, Any]) -> list[Claim]:
    """Whether attacks shift the attention of sparse networks less, and whether maps explain."""
    text = "Attacks shift the attention of sparse networks less (overlap of maps above FC's)"
    control = "Maps differ from those of redrawn weights (rank correlation below 0.5)"
    if not content:
        return [Claim(text, UNTESTED), Claim(control, UNTESTED)]
    found = [each for each in attention.shifts(content["numbers"]) if not np.isnan(each.mean)]
    more = sum(each.low > 0 for each in found)
    less = sum(each.high < 0 for each in found)
    words = f"{more} of {len(found)} intervals of the paired difference are above 0, {less} below"
    verdict = (
        HELD if found and more == len(found) else f"{HELD} in part" if more > less else NOT_HELD
    )
    same = {
        f"{key} {kind}": statistics.fmean(v for v in own["redrawn"] if v is not None)
        for key, kinds in content["numbers"].items()
        for kind, own in kinds.items()
        if any(v is not None for v in own["redrawn"])
    }
    judged = [above(0.5, value) for value in same.values()]
    return [
        Claim(text, Judged(words, verdict) if found else UNTESTED),
        Claim(control, _counted(judged)),
    ]


def of_overfitting(gaps: Sequence[Gap]) -> list[Claim]:
    """Whether sparse networks overfit less, which the paper takes for granted."""
    last = {gap.network: 100 * list(gap.gaps.values())[-1] for gap in gaps if gap.gaps}
    judged, names = [], []
    for network, value in last.items():
        dense = network.replace(", SET", ", FC").replace(", RigL", ", FC")
        if dense != network and dense in last:
            judged.append(above(last[dense], value))
            names.append(network)
    return [
        Claim("Sparse networks overfit less (gap below FC's, in points)", all_of(judged, names))
    ]


def _counted(judged: Sequence[Judged]) -> Judged:
    held = sum(each.verdict == HELD for each in judged)
    if not judged:
        return UNTESTED
    words = f"{held} of {len(judged)} networks and maps"
    return Judged(words, HELD if held == len(judged) else f"{HELD} in part" if held else NOT_HELD)
