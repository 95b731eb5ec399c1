"""Numbers for "Robust Sparse Regularization" (2019), from our runs."""

import dataclasses
import statistics
from collections.abc import Callable, Sequence

from experiments.evaluations.follow_up import Evaluation
from experiments.reports import published, robustness
from experiments.reports.published import Comparison, Figure, Stored, compare
from experiments.studies import cells as of_cells
from experiments.studies.cells import robust_round, select
from experiments.studies.robust_sparse_regularization.protocol import (
    ATTACKS,
    LAMBDA,
    NETWORKS,
    PHASES,
    SCHEMES,
    scheme,
)
from experiments.sweeps.directory import Cell
from robust_sparse_tf.method_table import deviation

RoundOf = Callable[[Cell], int | None]
"""The round of a cell that counts; None if the cell has none."""


@dataclasses.dataclass(frozen=True)
class Number:
    """An accuracy or a sparsity in percent.

    Attributes:
        comparison: means of each training compared with the published number.
        evaluations: standard deviation over the evaluations of one training, the mean of all
            trainings; None for one evaluation.
        count: the number of evaluations of each training.
    """

    comparison: Comparison
    evaluations: float | None = None
    count: int = 1

    @property
    def mean(self) -> float | None:
        """Our mean."""
        return self.comparison.mean

    def text(self) -> str:
        """A cell of a table: ours, its deviations, and the published number in brackets."""
        text = published.beside(self.comparison)
        if self.evaluations is None:
            return text
        first, *rest = text.split(" (", 1)
        return " (".join([f"{first} [{self.evaluations:.2f}]", *rest])

    def as_json(self) -> dict[str, object]:
        """The entry in report.json."""
        own = {"evaluations": self.evaluations, "count": self.count}
        return self.comparison.as_json() | own


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table: a network, and its numbers by column."""

    network: str
    numbers: dict[str, Number]

    def as_json(self) -> dict[str, object]:
        """The entry in report.json."""
        numbers = {name: own.as_json() for name, own in self.numbers.items()}
        return {"network": self.network, "numbers": numbers}


@dataclasses.dataclass(frozen=True)
class Networks:
    """The networks of cells with the same settings, and where their numbers come from."""

    cells: Sequence[Cell]
    evaluations: Sequence[Evaluation]
    known: Stored

    def of(self, model: str, kind: str, width: float = 1.0) -> list[Cell]:
        """The trainings of a network that differ in their seeds; [] if there are none.

        Args:
            model: a model of `NETWORKS`.
            kind: see `scheme`; "rsr" is of the paper's lambda alone, if any network has it.
            width: relative to `base`.
        """
        found = [
            cell
            for cell in select(self.cells, model=model)
            if scheme(cell) == kind and abs(cell.flag("width") / self.base(model) - width) < 1e-6
        ]
        if kind not in ("rsr", "lasso"):
            return found
        usual = [cell for cell in found if cell.flag("weight_l1") == LAMBDA[model]]
        return usual or found

    def base(self, model: str) -> float:
        """The largest width of a model in table 1."""
        own = [c.flag("width") for c in select(self.cells, model=model) if scheme(c) in SCHEMES]
        return max(own, default=1.0)

    def accuracy(
        self,
        cells: Sequence[Cell],
        round_of: RoundOf,
        attack: str,
        theirs: Figure | None = None,
        noise: str | None = None,
    ) -> Number:
        """The accuracy of trainings of a network.

        It is of the sweep's evaluations under PGD and FGSM, and of the run's own test if there are
        none.

        Args:
            cells: see `of`.
            round_of: the round that counts.
            attack: a key of `ATTACKS`.
            theirs: the published number.
            noise: "off" for evaluations without noise; None for the network as it is.
        """
        by_seed = []
        for cell in cells:
            number = round_of(cell)
            if number is not None and (own := self._evaluated(cell, number, attack, noise)):
                by_seed.append(own)
        spreads = [spread for own in by_seed if (spread := deviation(own)) is not None]
        return Number(
            compare([statistics.fmean(own) for own in by_seed], theirs),
            statistics.fmean(spreads) if spreads else None,
            max(map(len, by_seed), default=0),
        )

    def _evaluated(self, cell: Cell, number: int, attack: str, noise: str | None) -> list[float]:
        """Accuracies (percent) of each evaluation of a round."""
        found = []
        title = "clean" if attack == "none" else attack
        last = len(cell.rounds) - 1
        for evaluation in self.evaluations:
            options = evaluation.options
            if set(options.attacks) != {"pgd", "fgsm"} or options.noise != noise:
                continue
            for place, report in robustness.of_cell(evaluation, cell).items():
                if place == number or (place == -1 and number == last):
                    rows = [row for row in report["rows"] if row["attack"] == title]
                    found += [100 * row["accuracy"] for row in rows]
        if found or noise is not None:
            return found
        own = of_cells.accuracy(cell.rounds[number]["test"], attack)
        return [] if own is None else [own]

    def sparsity(
        self, cells: Sequence[Cell], round_of: RoundOf, theirs: Figure | None = None
    ) -> Number:
        """The share of prunable weights that are 0, in percent."""
        places = [(cell, round_of(cell)) for cell in cells]
        own = [100 * (1 - cell.rounds[n]["density"]) for cell, n in places if n is not None]
        return Number(compare(own, theirs))


def pruned_to(sparsity: float | None) -> RoundOf:
    """The round that was pruned to a sparsity in percent."""
    return lambda cell: None if sparsity is None else of_cells.pruned_round(cell, sparsity)


def at(number: int) -> RoundOf:
    """The round of this number, in any cell."""
    return lambda cell: number


def printed(known: Stored, *place: str) -> float:
    """A published number, also where networks have other settings than the paper's."""
    figure = dataclasses.replace(known, beside=True).figure(*place)
    return figure["mean"] if figure else 0.0


def table_1(nets: Networks) -> dict[tuple[str, str, str], Row]:
    """Table 1 by model, phase and scheme."""
    found = {}
    for model, name in NETWORKS.items():
        for phase in PHASES:
            for kind, title in SCHEMES.items():
                place = ("table_1", model, phase, kind)
                to = printed(nets.known, *place, "sparsity")
                round_of = pruned_to(to) if phase == "after_pruning" else robust_round
                own = nets.of(model, kind)
                numbers = {
                    shown: nets.accuracy(own, round_of, attack, nets.known.figure(*place, shown))
                    for attack, shown in (("none", "clean"), ("pgd", "pgd"), ("fgsm", "fgsm"))
                }
                theirs = nets.known.figure(*place, "sparsity")
                numbers["sparsity"] = nets.sparsity(own, round_of, theirs)
                found[model, phase, kind] = Row(f"{name}, {PHASES[phase]}, {title}", numbers)
    return found


def by_sparsity(nets: Networks, model: str) -> list[tuple[float, float]]:
    """Sparsity and PGD accuracy (percent) of the rounds of RSR: figure 2 (a)."""
    own = nets.of(model, "rsr")
    if not own:
        return []
    first = robust_round(own[0])
    points = []
    for number in range(first, len(own[0].rounds)):
        mean = nets.accuracy(own, at(number), "pgd").mean
        sparse = nets.sparsity(own, at(number)).mean
        if mean is not None and sparse is not None:
            points.append((sparse, mean))
    return points


def by_lambda(nets: Networks) -> dict[float, dict[str, float]]:
    """Accuracies (percent) of ResNet-20 with noise, by lambda and attack: figure 2 (b)."""
    base = nets.base("resnet20")
    own = [c for c in select(nets.cells, model="resnet20", width=base) if c.flag("noise") != "none"]
    found = {}
    for weight in sorted({c.flag("weight_l1") for c in own if scheme(c) in ("rsr", "cni")}):
        same = [c for c in own if c.flag("weight_l1") == weight and scheme(c) in ("rsr", "cni")]
        numbers = {a: nets.accuracy(same, robust_round, a).mean for a in ATTACKS}
        found[weight] = {a: mean for a, mean in numbers.items() if mean is not None}
    return found
