"""The best weights of a round beside its final ones, by robust or certified accuracy.

Robust accuracy falls late in training while training accuracy still rises: "Overfitting in
Adversarially Robust Deep Learning" (Rice, Wong and Kolter, 2020).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypedDict

from robust_sparse_tf.texts import percent

if TYPE_CHECKING:  # results are read without TensorFlow
    from robust_sparse_tf.evaluation import Figures
    from robust_sparse_tf.procedures.records import Record

FILE = "best.keras"


class Weights(TypedDict):
    """An evaluation of a round whose weights are kept, and its gap, see `accuracy_gap`."""

    iteration: int
    density: float
    validation: Figures
    test: Figures
    gap: float


class BestAndFinal(TypedDict):
    """The best and the final weights of a round, and the gap at each evaluation by iteration."""

    round: int
    best: Weights
    final: Weights
    gaps: dict[str, float]


def accuracy(validation: Figures, attack: str) -> float:
    """The accuracy that decides which weights are best.

    It is the certified one after training on bounds, else that under the training attack, and the
    clean one if neither was measured.
    """
    clean = validation["clean_accuracy"]
    return validation.get("certified_accuracy", validation["robust_accuracy"].get(attack, clean))


def is_better(validation: Figures, earlier: Iterable[Record], attack: str) -> bool:
    """Whether an evaluation is better than all earlier ones of its round."""
    now = accuracy(validation, attack)
    return all(now > accuracy(record["validation"], attack) for record in earlier)


def of_rounds(records: list[Record], attack: str) -> list[BestAndFinal]:
    """The best and the final weights of each round.

    Args:
        records: one per evaluation, from `Rounds.run`.
        attack: training attack, "none" for none.
    """
    found = []
    for number in sorted({record["round"] for record in records}):
        own = [record for record in records if record["round"] == number]
        best = max(own, key=lambda record: accuracy(record["validation"], attack))  # the first
        found.append(
            BestAndFinal(
                round=number,
                best=_weights(best, attack),
                final=_weights(own[-1], attack),
                gaps={str(each["iteration"]): accuracy_gap(each, attack) for each in own},
            )
        )
    return found


def table(found: list[BestAndFinal]) -> list[list[str]]:
    """Best and final weights, header first; test accuracies and gaps in percent."""
    attacks = list(found[0]["final"]["test"]["robust_accuracy"])
    rows = [["round", "weights", "iteration", "density", "clean", *attacks, "gap"]]
    for entry in found:
        for name, weights in (("best", entry["best"]), ("final", entry["final"])):
            test = weights["test"]
            accuracies = (test["clean_accuracy"], *test["robust_accuracy"].values())
            rows.append(
                [
                    str(entry["round"]),
                    name,
                    str(weights["iteration"]),
                    percent(weights["density"]),
                    *map(percent, accuracies),
                    percent(weights["gap"]),
                ]
            )
    return rows


def accuracy_gap(record: Record, attack: str) -> float:
    """Training minus validation accuracy; robust if training is adversarial and it is measured."""
    of_train, of_validation = record["train"], record["validation"]
    robust = of_validation["robust_accuracy"].get(attack)
    if robust is None or "robust_accuracy" not in of_train:
        return of_train["accuracy"] - of_validation["clean_accuracy"]
    return of_train["robust_accuracy"] - robust


def _weights(record: Record, attack: str) -> Weights:
    return Weights(
        iteration=record["iteration"],
        density=record["density"],
        validation=record["validation"],
        test=record["test"],
        gap=accuracy_gap(record, attack),
    )
