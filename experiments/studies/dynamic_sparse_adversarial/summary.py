"""The summary of "Dynamic Sparse Adversarial Training": an item per table, figure and claim."""

from experiments.reports import published
from experiments.reports.summary import Item, Judged, Report, near
from experiments.studies import claims
from experiments.studies.dynamic_sparse_adversarial import findings, numbers
from experiments.studies.dynamic_sparse_adversarial.protocol import DATASETS, STUDY

STORED = ""
"""The stored sweep; none yet."""


def _table_1(report: Report) -> Judged:
    judged = near((row["accuracy"] for row in report["study"]["table_1"]), 1.0)
    return claims.too_short(judged) if report["study"]["short"] else judged


def _claims() -> dict[str, list[claims.Claim]]:
    """The claims by flagfile."""
    known = published.stored(STUDY)
    rows = numbers.table_1([], known, {})
    return {
        "table_1": [
            *findings.of_table_1(rows, dict.fromkeys(DATASETS, 0.0)),
            *findings.of_explanations({}),
            *findings.of_overfitting([]),
        ],
        "part_1": findings.of_figure_3([]),
    }


ITEMS = [
    Item(name="Table I: ResNet-34", flagfile="table_1", stored=STORED, judge=_table_1),
    Item(name="Figure 3: ResNet-50", flagfile="part_1", stored=STORED),
    Item(name="Figure 4: guided backpropagation", flagfile="table_1", stored=STORED),
    Item(name="Figure 5: Grad-CAM", flagfile="table_1", stored=STORED),
    *(item for flagfile, own in _claims().items() for item in claims.items(own, flagfile, STORED)),
]
