"""Accuracy and loss, clean and under attack, step by step."""

from collections.abc import Mapping

from robust_sparse_tf.attacks import Attack, Bounded, RandomIntensity
from robust_sparse_tf.evaluation.accuracy import Figures
from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.summaries.writing import write_json, write_scalars


def write_accuracy(
    splits: Mapping[str, tuple[Figures, int]],
    attacks: Mapping[str, Attack],
    step: int,
    *,
    train: Mapping[str, float] | None = None,
    round: int | None = None,
    first_step: int = 0,
    phase: str = "",
) -> None:
    """Writes figures of a step, for the plugin and as plain scalars.

    The scalars are `<split>/clean_loss`, `<split>/clean_accuracy`, `<split>/<attack>_loss` and
    `<split>/<attack>_accuracy`, and `<split>/certified_accuracy` if it was measured; for those of
    `train` see `write_metrics`.

    Args:
        splits: figures and the number of examples, by the name of the split ("validation").
        attacks: those of the figures, by name.
        step: steps of training done, in the round.
        train: metrics of training since the step before.
        round: of several.
        first_step: steps of the rounds before.
        phase: name of the phase of training.
    """
    measured = {name: {"examples": count, **figures} for name, (figures, count) in splits.items()}
    record = {
        "round": round,
        "step": first_step + step,
        "phase": phase,
        "attacks": {name: _threat(attack) for name, attack in attacks.items()},
        "splits": ({"train": dict(train)} if train else {}) | measured,
    }
    write_json(log_format.ACCURACY, record, step)
    scalars: dict[str, float] = {}
    for split, (figures, _) in splits.items():
        scalars |= _scalars(split, figures)
    write_scalars(scalars, step)


def write_metrics(logs: Mapping[str, float], step: int) -> None:
    """Writes metrics as plain scalars `train/<metric>`, and `val_` ones as `validation/<metric>`.

    Args:
        logs: metrics by name, as Keras has them.
        step: steps of training done.
    """
    write_scalars(
        {
            f"validation/{name[4:]}" if name.startswith("val_") else f"train/{name}": value
            for name, value in logs.items()
        },
        step,
    )


def _scalars(split: str, figures: Figures) -> dict[str, float]:
    of_clean = {"loss": figures["clean_loss"], "accuracy": figures["clean_accuracy"]}
    of_attacks = {"loss": figures["robust_loss"], "accuracy": figures["robust_accuracy"]}
    found = {f"{split}/clean_{kind}": value for kind, value in of_clean.items()}
    for kind, values in of_attacks.items():
        found |= {f"{split}/{attack}_{kind}": value for attack, value in values.items()}
    if "certified_accuracy" in figures:
        found[f"{split}/certified_accuracy"] = figures["certified_accuracy"]
    return found


def _threat(attack: Attack) -> dict[str, float | str | None]:
    if isinstance(attack, RandomIntensity):
        attack = attack.attack
    return {"norm": attack.norm, "epsilon": attack.epsilon if isinstance(attack, Bounded) else None}
