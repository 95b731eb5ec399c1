"""What evaluations of a sweep's cells leave, for the reports of studies; nothing is attacked."""

import json
from pathlib import Path

from experiments.evaluations.follow_up import evaluation

EPSILON = 8 / 255


def attacked(text: str, run: Path, accuracies: list[dict[str, float]]) -> None:
    """Writes the reports of an evaluation of a run.

    Args:
        text: flags of the evaluation.
        run: directory of the run.
        accuracies: for each of its rounds, the accuracy by attack, "clean" first.
    """
    for path, own in zip(evaluation(text).files(str(run)), accuracies, strict=True):
        rows = [_row(name, value) for name, value in own.items()]
        Path(path).parent.mkdir(parents=True)
        Path(path).write_text(json.dumps({"rows": rows, "warnings": []}))


def _row(attack: str, accuracy: float) -> dict:
    clean = attack == "clean"
    return {
        "attack": attack,
        "norm": None if clean else "linf",
        "epsilon": None if clean else EPSILON,
        "accuracy": accuracy,
        "distance": None,
        "seconds": None,
    }
