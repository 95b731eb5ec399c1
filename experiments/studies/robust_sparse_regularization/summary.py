"""The summary of "Robust Sparse Regularization" (2019): an item per table, figure and claim."""

from experiments.reports import published
from experiments.reports.summary import Item, Judged, Report, near
from experiments.studies import claims
from experiments.studies.robust_sparse_regularization import findings, numbers
from experiments.studies.robust_sparse_regularization.numbers import Networks
from experiments.studies.robust_sparse_regularization.protocol import STUDY

STORED = ""
"""The stored sweep; none yet."""


def _table_1(report: Report) -> Judged:
    compared = [
        {name: own[name] for name in own if name not in ("evaluations", "count")}
        for row in report["study"]["table_1"]
        for column, own in row["numbers"].items()
        if column != "sparsity"
    ]
    judged = near(compared, 1.0)
    return claims.too_short(judged) if report["study"]["short"] else judged


def _claims() -> list[claims.Claim]:
    nets = Networks([], [], published.stored(STUDY))
    own = findings.of_table_1(numbers.table_1(nets), nets)
    return own + findings.of_others(nets, {}, {}, {}, {})


ITEMS = [
    Item(name="Table 1", flagfile="table_1", stored=STORED, judge=_table_1),
    Item(name="Table 2: ResNet-18 by width", flagfile="table_2", stored=STORED),
    Item(name="Table 3: black-box attacks", flagfile="table_3", stored=STORED),
    Item(name="Table 4: other defenses", flagfile="table_1", stored=STORED),
    Item(name="Table 5: noise at inference", flagfile="table_1", stored=STORED),
    Item(name="Figure 1: weights of ResNet-18", flagfile="table_2", stored=STORED),
    Item(name="Figure 2 (a): sparsity", flagfile="table_1", stored=STORED),
    Item(name="Figure 2 (b): lambda", flagfile="figure_2b", stored=STORED),
    Item(name="Figure 2 (c): weights below gamma", flagfile="table_2", stored=STORED),
    *claims.items(_claims(), "table_1", STORED),
]
