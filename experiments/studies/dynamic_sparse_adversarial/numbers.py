"""Numbers for "Dynamic Sparse Adversarial Training", from our runs."""

import dataclasses
from collections.abc import Mapping, Sequence

from experiments.reports.published import Comparison, Stored, compare
from experiments.studies.cells import accuracies, robust_round, select
from experiments.studies.dynamic_sparse_adversarial.protocol import (
    DATASETS,
    EPSILONS,
    METHODS,
    TRAININGS,
    is_of_table_1,
)
from experiments.sweeps.directory import Cell

Connections = Mapping[str, Mapping[int, float]]
"""Measured connections by cell and round."""

_MILLION = 1e6


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of table I on a data set.

    Attributes:
        training: robust training, a key of `TRAININGS`.
        attack: attack in the test, likewise.
        method: a key of `METHODS`.
        dataset: a key of `DATASETS`.
        accuracy: in percent.
        connections: in millions.
    """

    training: str
    attack: str
    method: str
    dataset: str
    accuracy: Comparison
    connections: Comparison

    def as_json(self) -> dict[str, object]:
        """The entry in report.json."""
        return dataclasses.asdict(self)


def of_training(cells: Sequence[Cell], training: str, method: str) -> list[tuple[Cell, int]]:
    """The trainings of a network, and the round that counts.

    Without robust training it is the network after the clean phase, of which the controls are the
    only cells that are sure to have been trained in the same way.
    """
    own = [cell for cell in select(cells, method=method, attack=training) if is_of_table_1(cell)]
    if training != "none":
        return [(cell, robust_round(cell)) for cell in own]
    return [(cell, 0) for cell in own if len(cell.rounds) > 1]


def table_1(cells: Sequence[Cell], known: Stored, connections: Connections) -> list[Row]:
    """The 21 rows of table I, for each data set."""
    rows = []
    for dataset in DATASETS:
        own = select(cells, model="resnet34", dataset=dataset)
        for training in TRAININGS:
            for attack in TRAININGS if training == "none" else ("none", training):
                for method in METHODS:
                    name = {"dense": "fc"}.get(method, method)
                    place = ("table_1_resnet34", f"{training}/{attack}/{name}")
                    theirs = known.figure(*place, f"{dataset}_accuracy")
                    count = known.figure(*place, f"{dataset}_connections")
                    if count:
                        count = {"mean": count["mean"] / _MILLION}
                    found = of_training(own, training, method)
                    tests = [cell.rounds[number]["test"] for cell, number in found]
                    counts = [
                        connections[cell.name][number] / _MILLION
                        for cell, number in found
                        if number in connections.get(cell.name, {})
                    ]
                    rows.append(
                        Row(
                            training,
                            attack,
                            method,
                            dataset,
                            compare(accuracies(tests, attack), theirs),
                            compare(counts, count),
                        )
                    )
    return rows


def controls(cells: Sequence[Cell]) -> dict[tuple[str, str], dict[str, list[float]]]:
    """Accuracies (percent) after as many more clean epochs, by data set, method and attack."""
    found = {}
    for dataset in DATASETS:
        own = select(cells, model="resnet34", dataset=dataset, attack="none")
        for method in METHODS:
            nets = [cell for cell in select(own, method=method) if len(cell.rounds) > 1]
            tests = [cell.rounds[robust_round(cell)]["test"] for cell in nets]
            if tests:
                found[dataset, method] = {name: accuracies(tests, name) for name in TRAININGS}
    return found


@dataclasses.dataclass(frozen=True)
class Curve:
    """Validation accuracy (percent) of part I against epochs of a network.

    Attributes:
        attack: attack in training and in evaluation.
        epsilon: a key of `EPSILONS`.
        method: a key of `METHODS`.
        epochs: epoch of each evaluation.
        change: epoch at which robust training begins.
        clean: accuracy on clean images.
        robust: accuracy under the attack.
    """

    attack: str
    epsilon: str
    method: str
    epochs: list[float]
    change: float
    clean: list[float]
    robust: list[float]

    def after_clean(self) -> float | None:
        """The last accuracy under attack of the clean phase."""
        own = [y for x, y in zip(self.epochs, self.robust, strict=True) if x <= self.change]
        return own[-1] if own else None


def curves(cells: Sequence[Cell]) -> list[Curve]:
    """The lines of figure 3, of the first seed of each network."""
    found: dict[tuple[str, str, str], Curve] = {}
    for cell in select(cells, model="resnet50"):
        attack, epsilon = cell.flag("attack"), epsilon_of(cell)
        if attack == "none" or epsilon is None:
            continue
        key = (attack, epsilon, cell.flag("method"))
        if key not in found and (own := _curve(cell, *key)):
            found[key] = own
    return list(found.values())


def epsilon_of(cell: Cell) -> str | None:
    """The row of figure 3 of a cell; None for another epsilon."""
    names = ("attack.epsilon", "epsilon_std", "eval.epsilon", "eval_epsilon_std")
    own = [cell.flag(name) for name in names]
    for title, wanted in EPSILONS.items():
        if all(w is None or w == value for w, value in zip(wanted, own, strict=True)):
            return title
    return None


def _curve(cell: Cell, attack: str, epsilon: str, method: str) -> Curve | None:
    clean_epochs, first = cell.flag("clean_epochs"), cell.rounds[0].get("iteration", 0)
    if not clean_epochs or not first:
        return None
    records = [r for r in cell.records if attack in r["validation"]["robust_accuracy"]]
    places = [record["iteration"] + first * min(record["round"], 1) for record in records]
    return Curve(
        attack,
        epsilon,
        method,
        [place * clean_epochs / first for place in places],
        float(clean_epochs),
        [100 * record["validation"]["clean_accuracy"] for record in records],
        [100 * record["validation"]["robust_accuracy"][attack] for record in records],
    )


@dataclasses.dataclass(frozen=True)
class Trained:
    """A RigL network of another epsilon in training: which is that of table I?

    Attributes:
        epsilon: the epsilon in words.
        reach: how far all steps go together, in epsilons; None for a drawn epsilon.
        clean: accuracy in percent.
        pgd: the same under PGD as in training.
        distance: sum of the absolute differences from the published accuracies.
    """

    epsilon: str
    reach: float | None
    clean: float
    pgd: float
    distance: float


def by_epsilon(cells: Sequence[Cell], known: Stored) -> list[Trained]:
    """RigL networks of part II, trained with PGD, by epsilon; [] unless there are several."""
    published = dataclasses.replace(known, beside=True)
    theirs = [
        published.figure("table_1_resnet34", f"pgd/{name}/rigl", "cifar10_accuracy")
        for name in ("none", "pgd")
    ]
    found: dict[str, Trained] = {}
    for cell in select(cells, model="resnet34", dataset="cifar10", method="rigl", attack="pgd"):
        test = cell.rounds[robust_round(cell)]["test"]
        (clean,), pgd = accuracies([test], "none"), accuracies([test], "pgd")
        if not pgd:
            continue
        epsilon, steps = cell.flag("attack.epsilon"), cell.flag("attack.steps")
        step = cell.flag("attack.step_size") or 2.5 * epsilon / steps
        std = cell.flag("epsilon_std")
        words = f"|Norm(0, {std:g})|" if std else f"{epsilon:.4g}, steps of {step:.4g}"
        apart = [abs(o - t["mean"]) for o, t in zip((clean, pgd[0]), theirs, strict=True) if t]
        reach = None if std else steps * step / epsilon
        found.setdefault(words, Trained(words, reach, clean, pgd[0], sum(apart)))
    return list(found.values()) if len(found) > 1 else []
