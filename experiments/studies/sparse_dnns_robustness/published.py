"""The published numbers of "Sparse DNNs with Improved Adversarial Robustness" (2018)."""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

from experiments.reports import published
from experiments.reports.published import Figure
from experiments.studies.sparse_dnns_robustness.protocol import DEEP, L1, STUDY, TABLE_1, TABLE_2

_Key = TypeVar("_Key")
_Stored = Figure | Sequence[float] | float | None


@dataclasses.dataclass(frozen=True)
class OverPruned:
    """A row of the paper's table 2: percentage of weights pruned, and measures."""

    pruned: float | None
    measures: dict[str, Figure]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """The paper's printed numbers, as far as known.

    Attributes:
        title: title of the paper.
        dense: numbers in its text, by our model, round and measure.
        table_1: dense networks, by model, weight of the norm of activations, and measure.
        table_2: by model, and "dense" or "sparse".
        beside: whether there are numbers to compare with.
    """

    title: str
    dense: dict[tuple[str, int, str], Figure]
    table_1: dict[tuple[str, float, str], Figure]
    table_2: dict[tuple[str, str], OverPruned]
    beside: bool = True

    def without_numbers(self) -> "Published":
        """No numbers, for networks with other settings than the paper's."""
        nothing = {key: OverPruned(None, {}) for key in self.table_2}
        return Published(title=self.title, dense={}, table_1={}, table_2=nothing, beside=False)


def read() -> Published:
    """The numbers of published.json.

    Raises:
        InputError: if the file is missing or cannot be read.
    """
    content = published.load(STUDY)
    linear, references = content.get("linear", {}), content.get("references", {})
    dense: dict[tuple[str, int, str], _Stored] = {
        ("binary_linear", 0, "accuracy"): linear.get("binary_1_vs_7_accuracy"),
        ("linear", 0, "accuracy"): linear.get("ten_class_accuracy"),
    }
    for name in ("deepfool", "carlini_wagner"):
        theirs = linear.get(f"binary_r2_{name}", {})
        for number, key in enumerate(("dense", "after_one_round")):
            dense["binary_linear", number, f"r_2_{name}"] = theirs.get(key)
    table_1: dict[tuple[str, float, str], _Stored] = {}
    table_2 = {}
    for model, name in DEEP.items():
        dense[model, 0, "accuracy"] = references.get(f"{name}_accuracy")
        rows = published.aligned(L1[model], content.get("table_1_l1", {}).get(name, []))
        for weight, row in rows.items():
            for measure, value in published.aligned(TABLE_1, row).items():
                table_1[model, weight, measure] = value
        for kind in ("dense", "sparse"):
            row = content.get("table_2_over_pruning", {}).get(f"{name}_{kind}", [])
            known = published.aligned((*TABLE_2, "pruned"), row)
            table_2[model, kind] = OverPruned(known.pop("pruned", None), _figures(known))
    return Published(
        title=content.get("study", STUDY),
        dense=_figures(dense),
        table_1=_figures(table_1),
        table_2=table_2,
    )


def _figures(stored: dict[_Key, _Stored]) -> dict[_Key, Figure]:
    """The values that are known."""
    return {key: figure for key, value in stored.items() if (figure := _figure(value))}


def _figure(value: _Stored) -> Figure | None:
    """Converts a published number: null, [mean, deviation], or a number."""
    if isinstance(value, int | float):
        return {"mean": value}
    if isinstance(value, Sequence):
        return {"mean": value[0], "std": value[1]} if len(value) > 1 else {"mean": value[0]}
    return value
