"""The numbers of "Towards lighter adversarially robust model", of our runs.

Accuracies are in percent, by attack, "none" for clean images.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from experiments.evaluations.stored import Usefulness
from experiments.reports import measures
from experiments.reports.measures import Measured
from experiments.reports.published import Comparison, compare
from experiments.studies.cells import accuracies, select, values_of
from experiments.studies.lighter_robust_model.protocol import ATTACKS, FEATURES, SCALES, TABLES
from experiments.studies.lighter_robust_model.published import Published
from experiments.sweeps.directory import Cell
from robust_sparse_tf.attacks import PGD
from robust_sparse_tf.options import make

Accuracies = dict[str, float | None]
"""The mean over trials, by attack; None if not measured."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """A scale of capacity trained with an attack, beside the published numbers."""

    trained: str
    scale: int
    accuracies: dict[str, Comparison]

    def as_json(self) -> dict[str, object]:
        """The entry in report.json."""
        accuracies = {attack: found.as_json() for attack, found in self.accuracies.items()}
        return {"trained": self.trained, "scale": self.scale} | accuracies


@dataclasses.dataclass(frozen=True, kw_only=True)
class Features:
    """The binary network trained with an attack, before its features are pruned."""

    trained: str
    accuracies: Accuracies
    usefulness: Usefulness | None

    def as_json(self) -> dict[str, object]:
        """The entry in report.json."""
        return {"trained": self.trained} | self.accuracies | {"usefulness": self.usefulness}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pruned:
    """A round of a binary network whose features are pruned, and the number left.

    `share` is the fraction of features pruned per round. With 0 the network is the control: trained
    equally long, and not pruned, for any measure.
    """

    trained: str
    measure: str
    share: float
    round: int
    features: int
    accuracies: Accuracies

    def as_json(self) -> dict[str, object]:
        """The entry in report.json."""
        return _flat(self) | self.accuracies


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ticket:
    """A round of lottery tickets, and the percentage of weights left."""

    trained: str
    strategy: str
    round: int
    weights: float
    accuracies: Accuracies

    def as_json(self) -> dict[str, object]:
        """The entry in report.json."""
        return _flat(self) | self.accuracies


def scales(cells: Sequence[Cell], known: Published) -> list[Scale]:
    """Each scale and training, whether run or not."""
    found = []
    for trained in TABLES:
        for scale in SCALES:
            tests = [cell.rounds[0]["test"] for cell in of_scale(cells, scale, attack=trained)]
            compared = {
                attack: compare(
                    accuracies(tests, attack), known.accuracies.get((trained, attack, scale))
                )
                for attack in ATTACKS
            }
            found.append(Scale(trained=trained, scale=scale, accuracies=compared))
    return found


def of_scale(cells: Sequence[Cell], scale: int, **values: str) -> list[Cell]:
    """The cells with a scale and these values of flags."""
    return select(cells, width=float(2**scale), **values)


def features(cells: Sequence[Cell], measured: Mapping[str, Measured]) -> list[Features]:
    """Each training of the binary networks, with measured features if any."""
    found = []
    for trained in values_of(cells, "attack"):
        own = select(cells, attack=trained)
        found_of = (measures.usefulness(measured[cell.name]).get(0) for cell in own)
        use = next((each for each in found_of if each), None)
        found.append(Features(trained=trained, accuracies=_mean(own, 0), usefulness=use))
    return found


def pruned(cells: Sequence[Cell]) -> list[Pruned]:
    """Each round of the binary networks with feature pruning, and of their controls."""
    found = []
    names = ("attack", "prune_measure", "prune_features")
    for trained, measure, share in itertools.product(*(values_of(cells, name) for name in names)):
        own = select(
            cells,
            attack=trained,
            prune_measure=measure,
            prune_features=share,
            prune="features",
        )
        for entry in own[0].rounds if own else []:
            left = entry["layers"].get("output", 1.0)
            found.append(
                Pruned(
                    trained=trained,
                    measure=measure,
                    share=share,
                    round=entry["round"],
                    features=round(left * FEATURES * own[0].flag("width")),
                    accuracies=_mean(own, entry["round"]),
                )
            )
    return found


def tickets(cells: Sequence[Cell], known: Published) -> list[Ticket]:
    """Each round of lottery tickets that the paper draws."""
    found = []
    for trained in values_of(cells, "attack"):
        for strategy in values_of(cells, "strategy"):
            own = select(cells, attack=trained, strategy=strategy)
            for entry in own[0].rounds[: known.rounds_drawn] if own else []:
                found.append(
                    Ticket(
                        trained=trained,
                        strategy=strategy,
                        round=entry["round"],
                        weights=100 * entry["density"],
                        accuracies=_mean(own, entry["round"]),
                    )
                )
    return found


def step_size(cell: Cell) -> float:
    """The step size of PGD, given or default."""
    names = ("epsilon", "step_size", "steps")
    attack: PGD = make(PGD, {name: cell.flag(f"attack.{name}") for name in names})
    return attack.step_length


def _mean(cells: Sequence[Cell], number: int) -> Accuracies:
    """The accuracies in a round, over the trials that have it."""
    tests = [cell.rounds[number]["test"] for cell in cells if number < len(cell.rounds)]
    means: Accuracies = {}
    for attack in ATTACKS:
        found = accuracies(tests, attack)
        means[attack] = sum(found) / len(found) if found else None
    return means


def _flat(entry: Pruned | Ticket) -> dict[str, object]:
    return {name: value for name, value in vars(entry).items() if name != "accuracies"}
