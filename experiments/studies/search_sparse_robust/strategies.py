"""Compares the strategies of "The Search for Sparse, Robust Neural Networks" (2019)."""

import dataclasses
import statistics
from collections.abc import Sequence

from experiments.studies.cells import accuracies, how, nearest_round, select, values_of
from experiments.studies.protocol import Names
from experiments.studies.search_sparse_robust.protocol import DENSITIES
from experiments.sweeps.directory import Cell
from robust_sparse_tf.texts import markdown_table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A strategy at a density, for a data set and a training.

    Attributes:
        dataset: the flag.
        trained: training attack, "none" for none.
        strategy: with what it rewinds to, where it does, and how it is unlike the published.
        density: percentage of weights left.
        accuracies: at the end of a round by attack ("none" for clean images), the mean over trials
            in percent.
    """

    dataset: str
    trained: str
    strategy: str
    density: float
    accuracies: dict[str, float]

    def as_json(self) -> dict[str, object]:
        """The entry in report.json."""
        own = {name: value for name, value in vars(self).items() if name != "accuracies"}
        return own | self.accuracies


def compare(cells: Sequence[Cell], unlike: Names) -> list[Entry]:
    """One entry per data set, training, strategy and density of the cells.

    Trainings with a single strategy are left out.

    Args:
        cells: that are finished.
        unlike: see `Protocol.names`.
    """
    found = []
    for dataset in values_of(cells, "dataset"):
        for trained in values_of(cells, "attack"):
            nets = select(cells, dataset=dataset, attack=trained)
            names = {cell.name: _name(cell, unlike) for cell in nets}
            strategies = list(dict.fromkeys(names.values()))
            for strategy in strategies if len(strategies) > 1 else []:
                trials = [cell for cell in nets if names[cell.name] == strategy]
                for percent in DENSITIES:
                    if means := _means(trials, percent):
                        found.append(
                            Entry(
                                dataset=dataset,
                                trained=trained,
                                strategy=strategy,
                                density=percent,
                                accuracies=means,
                            )
                        )
    return found


def markdown(found: Sequence[Entry]) -> list[str]:
    """A table per data set and training, and a comparison with random initialisation."""
    lines = []
    for dataset, trained in dict.fromkeys((e.dataset, e.trained) for e in found):
        own = [e for e in found if (e.dataset, e.trained) == (dataset, trained)]
        lines += [f"## {dataset}, trained {how(trained)}: strategies", ""]
        lines += ["Test accuracy in percent at the end of a round.", ""]
        lines += [*markdown_table(_table(own, trained)), "", *_held(own, trained)]
    return lines


def _name(cell: Cell, unlike: Names) -> str:
    strategy = cell.flag("strategy")
    rewound = f" ({cell.flag('rewind_to')})" if strategy == "original" else ""
    return ", ".join((f"{strategy}{rewound}", *unlike[cell.name]))


def _means(trials: Sequence[Cell], percent: float) -> dict[str, float]:
    """The mean accuracy over trials by attack; {} if none has the density."""
    tests = [
        cell.rounds[number]["test"]
        for cell in trials
        if (number := nearest_round(cell, percent)) is not None
    ]
    attacks = ["none", *(tests[0]["robust_accuracy"] if tests else [])]
    return {
        attack: statistics.fmean(values)
        for attack in attacks
        if (values := accuracies(tests, attack))
    }


def _table(own: Sequence[Entry], trained: str) -> list[list[str]]:
    strategies = list(dict.fromkeys(entry.strategy for entry in own))
    attacks = dict.fromkeys(("none", trained))
    titles = [
        ("natural" if attack == "none" else f"under {attack.upper()}") + f": {strategy}"
        for attack in attacks
        for strategy in strategies
    ]
    rows = [["weights (%)", *titles]]
    for percent in dict.fromkeys(entry.density for entry in own):
        at = {entry.strategy: entry for entry in own if entry.density == percent}
        accuracies = {strategy: entry.accuracies for strategy, entry in at.items()}
        values = [accuracies.get(name, {}).get(attack) for attack in attacks for name in strategies]
        words = ["-" if value is None else f"{value:.2f}" for value in values]
        rows.append([f"{percent:g}", *words])
    return rows


def _held(own: Sequence[Entry], trained: str) -> list[str]:
    """The gain of each strategy over `random`, over the pruned densities."""
    measured = [entry for entry in own if trained in entry.accuracies]
    drawn = {e.density: e.accuracies[trained] for e in measured if e.strategy == "random"}
    words = []
    for strategy in dict.fromkeys(entry.strategy for entry in own):
        gains = [
            entry.accuracies[trained] - drawn[entry.density]
            for entry in measured
            if entry.strategy == strategy != "random"
            and entry.density in drawn
            and entry.density < DENSITIES[0]
        ]
        if gains:
            better = sum(gain > 0 for gain in gains)
            words.append(
                f"{strategy} is better in {better} of {len(gains)} densities, by "
                f"{statistics.fmean(gains):+.2f} points on average"
            )
    under = "on clean images" if trained == "none" else f"under {trained.upper()}"
    return [f"Than random, {under}: {'; '.join(words)}.", ""] if words else []
