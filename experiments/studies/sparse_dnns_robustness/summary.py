"""The items of "Sparse DNNs with Improved Adversarial Robustness" (2018), for the summary."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
from experiments.studies.sparse_dnns_robustness.findings import falls_first, most_robust
from experiments.studies.sparse_dnns_robustness.numbers import Point
from experiments.studies.sparse_dnns_robustness.protocol import NETWORKS

_LENGTH = 50_000
_GAMMAS = ("gamma_l2", "gamma_linf")
_THREE, _FULL = "three_references", "figures_2_3_tables_1_3"
_LINEAR, _DEEP = ("binary_linear", "linear"), ("mlp", "lenet5")


def _points(report: Report, model: str, measure: str) -> list[Point]:
    """A measure of a network by sparsity; see `numbers.points`."""
    taken = [
        (entry["sparsity"], entry["measures"][measure])
        for entry in report["study"]["rounds"].get(model, [])
        if measure in entry["measures"]
    ]
    return [Point(sparsity, own["mean"], own["std"] or 0) for sparsity, own in taken]


def _gains(report: Report, models: Sequence[str], measure: str) -> Judged:
    """Whether a pruned network is more robust than the dense one, by more than the spread."""
    words, held = [], []
    for model in models:
        found = _points(report, model, measure)
        dense, (best, spread) = found[0].mean, most_robust(found)
        held.append(best.mean - dense > spread)
        words.append(f"{dense:.3f} dense, at best {best.mean:.3f} ({best.sparsity:.1%} pruned)")
    return Judged("; ".join(words), counted(held, "").verdict)


def _never_gains(report: Report, models: Sequence[str], measure: str) -> Judged:
    found = _gains(report, models, measure)
    turned = {HELD: NOT_HELD, NOT_HELD: HELD}
    return Judged(found.agreement, turned.get(found.verdict, found.verdict))


def _over_pruning(report: Report, models: Sequence[str]) -> Judged:
    """Section 4.3: whether r_2 falls below the dense network's before the accuracy does."""
    held = [
        falls_first(*(_points(report, model, name) for name in ("r_2_deepfool", "accuracy")))
        for model in models
    ]
    return counted(held, "networks")


def _bounds(report: Report, measure: str, bound: str) -> Judged:
    """Whether the bound of a theorem is above the measured values, and not vacuous."""
    held, empty = [], 0
    for model in _LINEAR:
        most = {point.sparsity: point.mean for point in _points(report, model, bound)}
        for point in _points(report, model, measure):
            if (limit := most.get(point.sparsity)) is not None:
                held.append(point.mean <= 1.02 * limit)  # DeepFool overshoots by 2 %
                empty += bound == "bound_r_inf" and limit >= 1
    found = counted(held, "rounds are below it")
    told = f", {empty} times it is 1 or more and so vacuous" if empty else ""
    return Judged(found.agreement + told, found.verdict)


def _falls(report: Report, models: Sequence[str], measure: str) -> Judged:
    """Whether a constant falls from the dense network to the first pruned ones."""
    held, words = [], []
    for model in models:
        means = [point.mean for point in _points(report, model, measure)]
        held.append(means[1] < means[0])
        words.append(", ".join(f"{mean:.1f}" for mean in means))
    return Judged("; ".join(words), counted(held, "").verdict)


def _text_numbers(report: Report, models: Sequence[str]) -> Judged:
    names = tuple(NETWORKS[model] for model in models)
    rows = [row for row in report["study"]["dense"] if row["network"].startswith(names)]
    return near([own for row in rows for own in row["measures"].values()], 5, " %")


def _table_1(report: Report, model: str) -> Judged:
    rows = [row for row in report["study"]["table_1"] if row["model"] == model]
    return near([own for row in rows for own in row["measures"].values()], 5, " %")


def _penalty_helps(report: Report, model: str) -> Judged:
    """Whether the norm of the weights makes networks more robust than no norm does."""
    rows = report["study"]["table_1_by_weights"]
    plain, *others = [row for row in rows if row["model"] == model]
    held = []
    for measure in ("r_inf_fgsm", "r_2_deepfool"):
        dense = plain["measures"][measure]
        for row in others:
            own = row["measures"][measure]
            spread = max(each["std"] or 0 for each in (own, dense))
            held.append(own["mean"] - dense["mean"] > spread)
    return counted(held, "numbers are larger than without")


def _table_2(report: Report, measure: str, within: float) -> Judged:
    found = [row["measures"][measure] for row in report["table_2"]]
    return near(found, within, "")


def _gamma(report: Report) -> Judged:
    """Section 3.2: whether sparse networks have the larger gamma."""
    rows = report["table_2"]
    pairs = [
        (dense["measures"], sparse["measures"])
        for dense, sparse in zip(rows[::2], rows[1::2], strict=True)
    ]
    held = [
        sparse[name]["mean"] > dense[name]["mean"]
        for dense, sparse in pairs
        for name in _GAMMAS
        if name in sparse and name in dense
    ]
    return counted(held, "larger than of dense networks") if held else Judged("-", NOT_TESTED)


def _theorem_3_3(report: Report) -> Judged:
    """Whether every constant is below the theorem's bound, and if that depends on sparsity."""
    rows = report["rows"]
    found = counted([row["largest"] <= 1 for row in rows], "shares are below the bound")
    bounds = {(row["constant"], row["bound"]) for row in rows}
    same = len(bounds) == len({row["constant"] for row in rows})
    told = ", which is the same for all of them" if same else ""
    return Judged(found.agreement + told, found.verdict)


_PLAIN: Mapping[str, Sequence[object]] = {"activity_l1": [0.0], "weight_l1": [0.0], "rounds": [17]}
_LINEAR_CELLS = {**_PLAIN, "model": _LINEAR}


def _deep(name: str, judge: Callable[..., Judged], **given: Any) -> list[Item]:
    """An item per deep network, as their training lengths differ."""
    return [
        Item(
            name=f"{name}, {NETWORKS[model]}",
            flagfile=_FULL,
            stored=_THREE,
            judge=functools.partial(judge, models=[model], **given),
            cells={**_PLAIN, "model": [model]},
            length=_LENGTH,
            networks=f"model={model}, activity_l1=0$",
        )
        for model in _DEEP
    ]


def _linear(name: str, judge: Callable[..., Judged], **given: Any) -> Item:
    return Item(
        name=name,
        flagfile="figure_1",
        stored=_THREE,
        judge=functools.partial(judge, **given),
        cells=_LINEAR_CELLS,
        length=_LENGTH,
        networks="model=(binary_)?linear",
    )


ITEMS = [
    _linear("Numbers of the text, linear networks", _text_numbers, models=_LINEAR),
    *_deep("Numbers of the text", _text_numbers),
    _linear(
        "Figure 1: pruned networks are more robust by r_inf",
        _gains,
        models=_LINEAR,
        measure="r_inf_fgsm",
    ),
    _linear(
        "Figure 1: none is more robust by r_2",
        _never_gains,
        models=_LINEAR,
        measure="r_2_deepfool",
    ),
    *_deep("Figure 2: some are more robust by r_inf of FGS", _gains, measure="r_inf_fgsm"),
    *_deep("Figure 2: some are more robust by r_2 of DeepFool", _gains, measure="r_2_deepfool"),
    Item(name="Figure 2 (e) to (h): VGG-like and ResNet-32 on CIFAR-10", flagfile="figure_2_cifar"),
    *_deep("Figure 3: some are more robust by r_inf of rFGS", _gains, measure="r_inf_rfgsm"),
    *_deep(
        "Figure 3: some are more robust by r_2 of Carlini-Wagner",
        _gains,
        measure="r_2_carlini_wagner",
    ),
    *(
        Item(
            name=f"Table 1 by the norm of activations, {NETWORKS[model]}",
            flagfile=_FULL,
            stored=_THREE,
            judge=functools.partial(_table_1, model=model),
            cells={"model": [model]},
            length=_LENGTH,
            networks=f"100 %, model={model}",
        )
        for model in _DEEP
    ),
    *(
        Item(
            name=f"Table 1 by the norm of weights: it makes robust, {NETWORKS[model]}",
            flagfile="table_1",
            stored="table_1",
            judge=functools.partial(_penalty_helps, model=model),
            cells={"model": [model]},
            length=_LENGTH,
        )
        for model in _DEEP
    ),
    Item(
        name="Table 2: r_inf of networks from the Internet",
        stored="table_2",
        judge=functools.partial(_table_2, measure="r_inf_fgsm", within=3.05e-4),
    ),
    Item(
        name="Table 2: r_2 of networks from the Internet",
        stored="table_2",
        judge=functools.partial(_table_2, measure="r_2_deepfool", within=0.05),
    ),
    *_deep("Table 3: some are more robust by CLEVER", _gains, measure="clever"),
    _linear("Theorem 3.1: the bound on r_inf", _bounds, measure="r_inf_fgsm", bound="bound_r_inf"),
    _linear("Theorem 3.2: the bound on r_2", _bounds, measure="r_2_deepfool", bound="bound_r_2"),
    Item(
        name="Proposition 3.1: a higher sparsity implies a larger gamma",
        stored="table_2",
        judge=_gamma,
    ),
    Item(
        name="Theorem 3.3: constants of networks masked at random",
        stored="theorem_3_3",
        judge=_theorem_3_3,
    ),
    *_deep("Lemma 3.1: the constant falls with pruning", _falls, measure="lipschitz_l2"),
    *_deep("Section 4.3: over-pruning lowers r_2 before the accuracy", _over_pruning),
]
