"""A study's networks under stronger attacks than the paper's, with warnings."""

import dataclasses
from collections.abc import Sequence

from experiments.evaluations.follow_up import Evaluation
from experiments.reports import robustness
from experiments.reports.robustness import AttackedNetwork, MeanRow
from experiments.sweeps.directory import Cell
from robust_sparse_tf.texts import markdown_table

STRONG = "standard"
"""The ensemble that figures show beside the paper's own attack."""

_ILLUSION = 0.3  # difference between FGSM and the strongest attack that is reported


@dataclasses.dataclass(frozen=True)
class Strength:
    """The accuracies of a network under all attacks.

    Attributes:
        network: its name.
        accuracies: fractions, by attack and epsilon.
        warnings: of all evaluations.
    """

    network: str
    accuracies: dict[str, float]
    warnings: list[str]

    def as_json(self) -> dict[str, object]:
        """Its entry of report.json."""
        return dataclasses.asdict(self)


def table(attacked: Sequence[AttackedNetwork]) -> tuple[str, list[Strength]]:
    """Each network under each attack of the sweep's `--evaluate`, side by side.

    Args:
        attacked: see `robustness.attacked`.

    Returns:
        Markdown ("" where nothing was attacked), and what was left of each network.
    """
    networks: dict[str, Strength] = {}
    for each in attacked:
        own = networks.setdefault(each.network, Strength(each.network, {}, []))
        for row in filter(_is_column, each.rows):
            own.accuracies.setdefault(_title(each, row), row.accuracy)
        own.warnings.extend(w for w in each.warnings if w not in own.warnings)
    found = list(networks.values())
    if not found:
        return "", []
    titles = _titles(attacked)
    rows = [["network", *titles, "warnings"]]
    for own in found:
        shown = [own.accuracies.get(title) for title in titles]
        words = ["" if value is None else f"{100 * value:.1f}" for value in shown]
        rows.append([own.network, *words, str(len(own.warnings))])
    lines = ["## Beyond the paper: stronger attacks", "", _note(attacked), ""]
    lines += [*markdown_table(rows), "", _illusions(found), ""]
    lines += [f"**Warning**, {own.network}: {text}\n" for own in found for text in own.warnings]
    return "\n".join(lines), found


def left_of_dense(
    evaluations: Sequence[Evaluation], cells: Sequence[Cell], epsilon: float
) -> float | None:
    """Accuracy of a dense network under the ensemble `standard`, averaged over seeds (a fraction).

    Args:
        evaluations: of the sweep.
        cells: that differ in nothing but their seeds.
        epsilon: the radius.

    Returns:
        None if it was not run.
    """
    strong = [each for each in evaluations if each.options.attacks == [STRONG]]
    found = [
        row.accuracy
        for network in robustness.attacked(strong, cells)
        for row in network.rows
        if network.density == 1.0 and row.attack == "worst" and row.epsilon == epsilon
    ]
    return found[0] if found else None


def _titles(attacked: Sequence[AttackedNetwork]) -> list[str]:
    """All columns, in the order of the evaluations' attacks.

    Networks may lack some of them, which need more than two classes.
    """
    titles: dict[str, None] = {}
    for text in dict.fromkeys(each.evaluation.text for each in attacked):
        places: dict[str, int] = {}
        for each in (each for each in attacked if each.evaluation.text == text):
            for place, row in enumerate(filter(_is_column, each.rows)):
                title = _title(each, row)
                places[title] = max(place, places.get(title, 0))
        titles |= dict.fromkeys(sorted(places, key=places.__getitem__))
    return list(titles)


def _is_column(row: MeanRow) -> bool:
    return row.epsilon is not None or row.attack == "clean"


def _note(attacked: Sequence[AttackedNetwork]) -> str:
    """The note on the number of images, and on attacks of an ensemble being cumulative."""
    counts = {}
    for options in (each.evaluation.options for each in attacked):
        counts[", ".join(options.attacks)] = options.examples
    words = [f"{name}: {f'{count:,}' if count else 'all'}" for name, count in counts.items()]
    return (
        f"Accuracy in percent of the first test images ({'; '.join(words)}). The attacks of an "
        "ensemble are cumulative: each column is the accuracy under its attack and all before it."
    )


def _title(attacked: AttackedNetwork, row: MeanRow) -> str:
    """The attack with its radius; the worst case by the name of the ensemble, or "worst"."""
    if row.attack == "clean":
        return f"clean{_how(attacked)}"
    ensemble = attacked.evaluation.options.attacks
    name = ensemble[0] if row.attack == "worst" and len(ensemble) == 1 else row.attack
    return f"{name} {row.epsilon:g}{_how(attacked)}"


def _how(attacked: AttackedNetwork) -> str:
    """The settings of an evaluation that change its meaning, in words; "" for the usual ones."""
    options = attacked.evaluation.options
    words = [f"noise {options.noise}"] if options.noise else []
    words += [f"{options.eot_draws} draws"] if options.eot_draws else []
    words += [f"majority of {options.passes}"] if options.passes > 1 else []
    words += ["best weights"] if options.weights == "best" else []
    return f" ({', '.join(words)})" if words else ""


def _illusions(found: Sequence[Strength]) -> str:
    """The networks whose accuracy under FGSM is far above that under the strongest attack."""
    seen, far = 0, []
    for own in found:
        single = [value for title, value in own.accuracies.items() if title.startswith("fgsm ")]
        if single:
            seen += 1
            least = min(own.accuracies.values())
            if single[0] - least >= _ILLUSION:
                far.append(f"{own.network} ({100 * single[0]:.1f} and {100 * least:.1f})")
    if not seen:
        return ""
    text = (
        f"FGSM leaves at least {100 * _ILLUSION:.0f} points more than the strongest attack of "
        f"{len(far)} of {seen} networks"
    )
    return f"{text}: {', '.join(far)}." if far else f"{text}."
