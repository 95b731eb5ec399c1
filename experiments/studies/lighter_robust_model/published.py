"""The published numbers of "Towards lighter adversarially robust model"."""

import dataclasses

from experiments.reports import published
from experiments.reports.published import Figure
from experiments.studies.lighter_robust_model.protocol import ATTACKS, SCALES, STUDY

_TABLES = {"pgd": "table_2_pgd_trained", "fgsm": "table_3_fgsm_trained"}
_TRAININGS = {"none": "normal", "fgsm": "fgsm"}  # the file's names of trainings
_ROUNDS_DRAWN = 20  # if the file does not have it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """The paper's printed numbers, as far as known.

    Attributes:
        title: title of the paper.
        parameters: numbers of parameters by scale.
        accuracies: percent, by training attack, test attack ("none" for clean images) and scale.
        rounds_drawn: rounds of lottery tickets that its figures show.
        holds_down_to: the weights (percent) down to which clean accuracy is about that of the dense
            network, by training attack and strategy (section V-B).
        robust_features: how many of the naturally trained network's features are robust, and of how
            many (figure 8); None where that is not known.
        beside: whether there are numbers to compare with.
    """

    title: str
    parameters: dict[int, str]
    accuracies: dict[tuple[str, str, int], Figure]
    rounds_drawn: int
    holds_down_to: dict[tuple[str, str], float] = dataclasses.field(default_factory=dict)
    robust_features: tuple[int, int] | None = None
    beside: bool = True

    def without_numbers(self) -> "Published":
        """No numbers, for networks with other settings than the paper's."""
        return dataclasses.replace(
            self,
            parameters={},
            accuracies={},
            holds_down_to={},
            robust_features=None,
            beside=False,
        )


def read() -> Published:
    """The numbers of published.json.

    Raises:
        InputError: if the file is missing or cannot be read.
    """
    content = published.load(STUDY)
    accuracies: dict[tuple[str, str, int], Figure] = {}
    for trained, name in _TABLES.items():
        table = content.get(name, {})
        for attack, title in ATTACKS.items():
            means = published.aligned(table.get("scales", []), table.get(title.lower(), []))
            for scale, mean in means.items():
                if mean is not None:
                    accuracies[trained, attack, scale] = {"mean": mean}
    lottery, robust = content.get("lottery", {}), content.get("robust_features")
    breaks = lottery.get("holds_down_to_percent", {})
    known = content.get("capacity_scales", {}).get("parameters", [])
    return Published(
        title=content.get("study", STUDY),
        parameters=published.aligned(SCALES, known),
        accuracies=accuracies,
        rounds_drawn=lottery.get("rounds_drawn", _ROUNDS_DRAWN),
        holds_down_to={
            (attack, strategy): percent
            for attack, name in _TRAININGS.items()
            for strategy, percent in breaks.get(name, {}).items()
        },
        robust_features=(robust["naturally_trained"], robust["of"]) if robust else None,
    )
