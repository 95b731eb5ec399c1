"""The published numbers of "The Search for Sparse, Robust Neural Networks" (2019)."""

import dataclasses
from typing import NamedTuple

from experiments.reports import published
from experiments.reports.published import Figure
from experiments.studies.search_sparse_robust.protocol import ATTACKS, STUDY

_TABLES = {"mnist": "table_1_digits", "fashion_mnist": "table_2_fashion"}
_KINDS = {"natural": "natural", "robust": "attack"}  # the file's names
_TRAINED = ("normally", "adversarially")


class Place(NamedTuple):
    """The networks of a number in a table.

    Attributes:
        dataset: the flag.
        density: percentage of weights left.
        attack: attack of the test, and of adversarial training.
        trained: "normally" or "adversarially".
        kind: "natural" or "robust".
    """

    dataset: str
    density: float
    attack: str
    trained: str
    kind: str


@dataclasses.dataclass(frozen=True)
class Published:
    """The paper's title, and its printed accuracies in percent."""

    title: str
    accuracies: dict[Place, Figure]


def read() -> Published:
    """The numbers of published.json.

    Raises:
        InputError: if the file is missing or cannot be read.
    """
    content = published.load(STUDY)
    accuracies: dict[Place, Figure] = {}
    for dataset, table in _TABLES.items():
        for row in content.get(table, []):
            for attack in ATTACKS:
                for kind, name in _KINDS.items():
                    for trained in _TRAINED:
                        found = row.get(f"{attack}_{name}", {}).get(f"{trained}_trained")
                        if found:
                            place = Place(dataset, row["P_m_percent"], attack, trained, kind)
                            accuracies[place] = found
    return Published(content.get("study", STUDY), accuracies)
