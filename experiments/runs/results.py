"""Results of a run: computed from its records, written, read, and shown as tables."""

from __future__ import annotations

import functools
import math
import os
from typing import TYPE_CHECKING, Final, NotRequired, TypedDict

from experiments.cli.values import Values
from experiments.runs import best, config, options
from experiments.runs.old_flags import renamed, with_step_size
from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.texts import markdown_table, percent

if TYPE_CHECKING:  # reading results does not need TensorFlow
    from robust_sparse_tf.evaluation import Figures
    from robust_sparse_tf.procedures.records import Record
    from robust_sparse_tf.sparsity.counting import Statistics

FILE = "results.json"
CERTIFIED: Final = "certified_accuracy"
"""The entry of networks that train on bounds, at the radius of their training."""


class EarlyStopping(TypedDict):
    """The evaluation of a round with the minimum validation loss."""

    iteration: int
    validation_loss: float
    validation: Figures
    test: Figures


class RoundResult(TypedDict):
    """The end of a round, with the names of a `Record`."""

    round: int
    density: float
    layers: dict[str, float]
    sparsity: Statistics
    iteration: int
    validation: Figures
    test: Figures
    early_stopping: EarlyStopping


class Export(TypedDict):
    """The exported model.tflite: its size, and the fraction of test images on which it agrees."""

    tflite_bytes: int
    agreement: float


_NUMBER = (int, float)
_FIGURES = {
    "clean_accuracy": _NUMBER,
    "robust_accuracy": {"*": _NUMBER},
    "certified_accuracy?": _NUMBER,
}
_SHAPE = {
    "name": str,
    "flags": {"method?": str, "attack?": str, "eval_attacks?": [str], "dataset?": str},
    "rounds": [{"density": _NUMBER, "test": _FIGURES, "round?": int, "layers?": {"*": _NUMBER}}],
    "seconds?": _NUMBER,
    "warnings?": [str],
}


class RunResults(TypedDict):
    """The contents of results.json.

    `flags` are those that differ from their defaults. `seconds` is the time of the last process,
    and `resumed` is whether there were earlier ones. `weights` is missing in old files.
    """

    name: str
    flags: Values
    rounds: list[RoundResult]
    weights: NotRequired[list[best.BestAndFinal]]
    export: Export
    seconds: float
    warnings: list[str]
    resumed: bool


def read(folder: str) -> RunResults | None:
    """Reads the results in a run's directory; None if the run is not finished.

    Raises:
        InputError: if the file has no results.
    """
    path = os.path.join(folder, FILE)
    if not os.path.exists(path):
        return None
    try:
        found: RunResults = files.read_json(path, _SHAPE)
        found["flags"] = renamed(found["flags"])
        _check_values(found)
        if config.is_old(folder):
            found["flags"] = with_step_size(found["flags"])
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: holds no results of a run ({error})") from error
    return found


def _check_values(found: RunResults) -> None:
    """Raises ValueError for flags of wrong types, or numbers that are not finite."""
    for name, value in found["flags"].items():
        kind = options.kinds().get(name, object)
        if not isinstance(value, kind | int | None if kind is float else kind | None):
            raise ValueError(f"{name} has the wrong type")
    for entry in found["rounds"]:
        figures = entry["test"]
        numbers = (figures["clean_accuracy"], *figures["robust_accuracy"].values())
        if not all(map(math.isfinite, (entry["density"], *numbers))):
            raise ValueError("a number is not finite")


def write(folder: str, results: RunResults) -> None:
    """Writes results.json, which marks the end of a run."""
    files.write_json(os.path.join(folder, FILE), results)


def of_rounds(
    records: list[Record], attack: str, clean_weight: float | None = None
) -> list[RoundResult]:
    """Computes one entry per round: densities, the last results, and those at early stopping.

    Args:
        records: one per evaluation, from `Rounds.run`.
        attack: training attack, "none" for none. Early stopping is at the minimum of the validation
            loss, under this attack if it is measured, otherwise on clean images.
        clean_weight: see `validation_loss`.
    """
    loss = functools.partial(validation_loss, attack=attack, clean_weight=clean_weight)
    rounds = []
    for number in sorted({record["round"] for record in records}):
        own = [record for record in records if record["round"] == number]
        least, last = min(own, key=loss), own[-1]
        rounds.append(
            RoundResult(
                round=number,
                density=last["density"],
                layers=last["layers"],
                sparsity=last["sparsity"],
                iteration=last["iteration"],
                validation=last["validation"],
                test=last["test"],
                early_stopping=EarlyStopping(
                    iteration=least["iteration"],
                    validation_loss=loss(least),
                    validation=least["validation"],
                    test=least["test"],
                ),
            )
        )
    return rounds


def table(results: RunResults) -> list[list[str]]:
    """The rows of the table of results, header first; accuracies in percent."""
    attacks = list(results["rounds"][0]["test"]["robust_accuracy"])
    if CERTIFIED in results["rounds"][0]["test"]:
        attacks.append("certified")
    header = ["round", "density", "clean", *attacks]
    header += ["stop", "clean there", *[f"{name} there" for name in attacks]]
    rows = [header]
    for entry in results["rounds"]:
        early = entry["early_stopping"]
        rows.append(
            [
                str(entry["round"]),
                percent(entry["density"]),
                *_accuracies(entry["test"]),
                str(early["iteration"]),
                *_accuracies(told_there(early, results["flags"])),
            ]
        )
    return rows


def cost_table(results: RunResults) -> list[list[str]]:
    """The table of what each round's network costs, header first; fractions in percent."""
    rows = [["round", "weights", "explored", "units cut off", "multiply-adds", "KB", "KB dense"]]
    for entry in results["rounds"]:
        found = entry["sparsity"]
        rows.append(
            [
                str(entry["round"]),
                f"{found['active']:,}",
                percent(found["exploration"]),
                str(found["no_input"] + found["no_output"]),
                "" if found["flops"] is None else percent(found["flops"]),
                f"{found['bytes'] / 1000:.0f}",
                f"{found['dense_bytes'] / 1000:.0f}",
            ]
        )
    return rows


def markdown(results: RunResults) -> str:
    """The text of results.md: tables, flags, and the exported model."""
    there = "validation accuracy " if is_mixed(results["flags"]) else ""
    lines = [
        f"# {results['name']}",
        "",
        f"Test accuracy (%) at the end of each round, and {there}where the validation loss was "
        "least.",
        "",
        *markdown_table(table(results)),
        "",
        *[f"**Warning:** {warning}\n" for warning in results["warnings"]],
        *_weights(results),
        "What the networks cost: weights that are active, weights ever active (%), units without "
        "inputs or outputs in a layer, multiply-adds (% of dense), parameters in the smallest "
        "encoding.",
        "",
        *markdown_table(cost_table(results)),
    ]
    exported, resumed = results["export"], " since it was resumed" if results["resumed"] else ""
    lines += [
        "",
        f"`model.tflite`: {exported['tflite_bytes']:,} bytes; predicts what the Keras model "
        f"predicts on {100 * exported['agreement']:.2f} % of the test images.",
        "",
        "Flags: `" + " ".join(f"--{k}={v}" for k, v in results["flags"].items()) + "`",
        "",
        f"Seconds: {results['seconds']:.0f}{resumed}.",
        "",
    ]
    return "\n".join(lines)


def _weights(results: RunResults) -> list[str]:
    """The lines about best and final weights; none for results that have none."""
    if "weights" not in results:
        return []
    return [
        "Test accuracy (%) of the best weights (`best.keras`) by robust validation accuracy, or by "
        "the certified one if it is measured, and of the final ones; and the gap between robust "
        "accuracy in training and in validation.",
        "",
        *markdown_table(best.table(results["weights"])),
        "",
    ]


def validation_loss(record: Record, attack: str, clean_weight: float | None = None) -> float:
    """The validation loss under the attack if it is measured, otherwise on clean images.

    Args:
        record: record of an evaluation.
        attack: training attack.
        clean_weight: weight of the clean loss beside that under attack. The 50/50 loss of "The
            Search for Sparse, Robust Neural Networks" (Cosentino et al., 2019, sections 4.2 and 5,
            https://arxiv.org/abs/1912.02386) has 0.5. None: without the clean loss.
    """
    figures = record["validation"]
    robust = figures["robust_loss"].get(attack, figures["clean_loss"])
    if clean_weight is None:
        return robust
    return clean_weight * figures["clean_loss"] + (1 - clean_weight) * robust


def is_mixed(flags: Values) -> bool:
    """Whether early stopping uses the mixed loss, given a run's flags that are not defaults."""
    return flags.get("early_stopping") == "mixed"


def stopping_weight(flags: Values) -> float | None:
    """The `clean_weight` of the loss of early stopping, from the same flags."""
    return options.value_of(flags, "clean_weight") if is_mixed(flags) else None


def told_there(early: EarlyStopping, flags: Values) -> Figures:
    """The split whose accuracies are reported at early stopping, from the same flags."""
    return early["validation"] if is_mixed(flags) else early["test"]


def _accuracies(figures: Figures) -> list[str]:
    found = [figures["clean_accuracy"], *figures["robust_accuracy"].values()]
    certified = [figures[CERTIFIED]] if CERTIFIED in figures else []
    return [percent(value) for value in found + certified]
