"""Robust accuracy of a TFLite file itself, under the strongest attacks that files allow."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from robust_sparse_tf.attacks import APGD, PGD, Attack, Ball, Square, Transfer
from robust_sparse_tf.attacks.base import Logits
from robust_sparse_tf.errors import InputError, reason
from robust_sparse_tf.evaluation.inputs import Data, as_logits, images_and_labels
from robust_sparse_tf.evaluation.report import Report
from robust_sparse_tf.evaluation.robustness import evaluate
from robust_sparse_tf.export.forms import digest
from robust_sparse_tf.export.reading import tflite_content
from robust_sparse_tf.export.tflite_runner import tflite_function, tflite_graph
from robust_sparse_tf.export.twins.twin import Twin, TwinAgreement
from robust_sparse_tf.options import checked, checked_path, require

_COMPARED = 1000  # images on which a twin must predict what its file predicts
_TRIED = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileRobustness:
    """The robust accuracy of a TFLite file.

    Attributes:
        ball: the threat model.
        report: accuracies by attack, example by example, as of the file itself.
        agreement: comparison of the file's twin with the file; None if it has no twin.
        left_out: the reason why there are no attacks through the twin; "" if there are.
    """

    ball: Ball
    report: Report
    agreement: TwinAgreement | None
    left_out: str

    @property
    def accuracies(self) -> dict[str, float]:
        """The accuracy without attack ("clean") and under each attack, as fractions."""
        clean = {"clean": float(self.report.right.mean())}
        return clean | {each.attack: float(each.stands.mean()) for each in self.report.outcomes}

    @property
    def accuracy(self) -> float:
        """The fraction of examples that are robust to all attacks."""
        return float(self.worst.mean())

    @property
    def worst(self) -> np.ndarray:
        """Which examples are robust to all attacks: bool [n]."""
        return worst(self.report)

    def as_json(self) -> dict[str, Any]:
        """The figures as JSON."""
        agreement = self.agreement
        return {
            "examples": len(self.report.labels),
            "norm": self.ball.norm,
            "epsilon": float(self.ball.epsilon),
            "accuracies": self.accuracies,
            "accuracy": self.accuracy,
            "twin": None if agreement is None else dataclasses.asdict(agreement),
            "twin_left_out": self.left_out,
        }

    def to_markdown(self) -> str:
        """The table of the report, and whether the twin counts."""
        line = f"Attacks through the twin are left out: {self.left_out}"
        if not self.left_out:
            line = f"The twin {self.agreement}."
        return f"{self.report.to_markdown()}\n{line}\n"

    def __repr__(self) -> str:
        return self.to_markdown()


def worst(report: Report) -> np.ndarray:
    """Which examples are robust to all attacks of a report: bool [n]."""
    return np.logical_and.reduce([report.right, *(outcome.stands for outcome in report.outcomes)])


def robust_accuracy(
    path: str | os.PathLike[str],
    data: Data,
    *,
    ball: Ball,
    model: Any = None,
    compared: Any = None,
    queries: int = 5000,
    seed: int = 0,
    batch_size: int = 500,
    on_batch: Callable[[str, int, int], None] = lambda name, done, size: None,
    verbose: bool = True,
) -> FileRobustness:
    """Attacks a TFLite file; an example counts as robust if no attack fools the file.

    The attacks are adversarial examples of the Keras model (transfer: PGD and APGD), a search by
    scores on the file (Square), and attacks that follow the gradients of the file's differentiable
    twin (PGD with restarts, APGD with two losses). These see the logits of the file at each step;
    they count only if the twin predicts what the file predicts, see `TwinAgreement.counts`.

    Args:
        path: the file.
        data: a `Split`, (images, labels), or a `tf.data.Dataset` of such pairs; see
            `inputs.images_and_labels`.
        ball: the threat model, in linf or l2.
        model: the tf_keras model that was exported, or a function from images to logits; None for
            no transfer attacks.
        compared: images [n, ...] on which the twin is compared with the file; the default is the
            first 1,000 of those that are attacked.
        queries: maximum forward passes per example of the search by scores.
        seed: of everything random.
        batch_size: examples attacked at a time; limits the memory.
        on_batch: called with progress: (name, examples done, all examples).
        verbose: whether to print a line as each attack ends.

    Raises:
        InputError: for a file that cannot be read or run, or data or model that do not fit it.
    """
    path = checked_path("path", path)
    require("ball", ball, Ball)
    queries = checked("queries", queries, int, minimum=1)
    if ball.norm == "l1":
        raise InputError("ball: in l1; must be in linf or l2")
    content = tflite_content(path)
    images, labels = images_and_labels(data, ball.limits)
    file = _file(path, content, images)
    twin, agreement, left_out = _twin(content, images[:_COMPARED] if compared is None else compared)
    attacks = dict(_transfers(ball, model, images))
    attacks["square"] = Square(queries=queries, **dataclasses.asdict(ball))
    if twin is not None:
        file = with_gradients(file, twin)
        through = gradient_attacks(ball, twin.classes)
        attacks |= {f"twin_{name}": attack for name, attack in through.items()}
    report = evaluate(
        file,
        (images, labels),
        attacks,
        ball=ball,
        seed=seed,
        batch_size=batch_size,
        identity=digest(path),
        check_masking=False,
        on_batch=on_batch,
        verbose=verbose,
    )
    return FileRobustness(ball=ball, report=report, agreement=agreement, left_out=left_out)


def with_gradients(file: Logits, twin: Logits) -> Logits:
    """A file's own logits, with the gradients of its twin.

    "Obfuscated Gradients Give a False Sense of Security" (Athalye et al., 2018), section 4.1.
    """

    @tf.custom_gradient
    def logits(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def backward(upstream: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                found = twin(x)
            return tape.gradient(found, x, upstream)

        return file(x), backward

    return logits


def _file(path: str, content: bytes, images: np.ndarray) -> Logits:
    """The file, tried on a few images."""
    try:
        tflite_function(content)(images[:_TRIED])
        return tflite_graph(content)
    except (InputError, RuntimeError) as error:
        raise InputError(f"model={path}: {reason(error)}") from error


def _twin(content: bytes, images: np.ndarray) -> tuple[Twin | None, TwinAgreement | None, str]:
    """The twin if it counts, its comparison with the file, and the reason if it does not count."""
    try:
        twin = Twin(content)
    except InputError as error:
        return None, None, str(error)
    agreement = twin.agreement(images)
    if not agreement.counts:
        return None, agreement, f"it {agreement}"
    return twin, agreement, ""


def _transfers(ball: Ball, model: Any, images: np.ndarray) -> Iterator[tuple[str, Attack]]:
    """Attacks on the model, whose results are tried on the file."""
    if model is None:
        return
    source = as_logits(model, images)
    # PGD does not stop at the model's boundary, as the file's may be a little further.
    for name, attack in (("pgd", _pgd(ball)), ("apgd", APGD(**dataclasses.asdict(ball)))):
        yield f"transfer_{name}", Transfer(attack=attack, sources=(source,))


def gradient_attacks(ball: Ball, classes: int) -> dict[str, Attack]:
    """The attacks by gradients: those through a twin, and the same for a Keras model."""
    same = dataclasses.asdict(ball)
    found: dict[str, Attack] = {
        "pgd": dataclasses.replace(_pgd(ball), stop_when_fooled=True),
        "apgd_ce": APGD(**same),
    }
    if classes >= 4:
        others = min(9, classes - 1)
        found["apgd_t"] = APGD(loss="targeted_dlr", target_classes=others, **same)
    return found


def _pgd(ball: Ball) -> PGD:
    size = 0.1 * ball.epsilon or None  # at epsilon 0 no step size is given
    same = dataclasses.asdict(ball)
    return PGD(steps=40, step_size=size, restarts=5, random_start=True, **same)
