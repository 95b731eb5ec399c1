"""Runs attacks on a model for tests for gradient masking, and judges it as the evaluation does."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from robust_sparse_tf.attacks import Attack, losses
from robust_sparse_tf.attacks.base import Logits
from robust_sparse_tf.evaluation.inputs import graph
from robust_sparse_tf.evaluation.report import mostly

BATCH = 200  # examples attacked at a time, unless fewer fit
_LOOKS = 20  # forward passes over which margins of a model with noise are averaged


@dataclasses.dataclass(frozen=True)
class Judge:
    """Attacks a model and judges it, with the same draws whatever the attack is.

    Attributes:
        logits: the model, from images to logits.
        seed: seed of everything random.
        draws: forward passes per query of an attack: attacks by gradients average gradients over
            them, attacks by scores see their mean logits.
        passes: forward passes that decide by majority whether an example is correct.
        noisy: whether the model has noise at inference.
        batch_size: examples attacked at a time.
    """

    logits: Logits
    seed: int
    draws: int = 1
    passes: int = 1
    noisy: bool = False
    batch_size: int = BATCH

    def stands(self, attack: Attack | None, x: tf.Tensor, y: tf.Tensor) -> np.ndarray:
        """The examples that are correct in most passes: bool [n].

        Args:
            attack: the attack; None for the clean examples.
            x: float32 [n, ...].
            y: integers [n].
        """

        def correct(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            def once(_: tf.Tensor) -> tf.Tensor:
                return tf.equal(tf.argmax(self.logits(x), axis=1), y)

            drawn = tf.map_fn(once, tf.range(self.passes), fn_output_signature=tf.bool)
            return tf.transpose(drawn)

        return mostly(self._under(attack, x, y, correct))

    def margins(self, attack: Attack | None, x: tf.Tensor, y: tf.Tensor) -> np.ndarray:
        """The margins of `losses.margin` under an attack, of mean logits: float32 [n]."""
        looks = _LOOKS if self.noisy else 1

        def margin(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            return losses.margin(losses.averaged_logits(self.logits, x, looks), y)

        return self._under(attack, x, y, margin)

    def gradients(self, x: tf.Tensor, y: tf.Tensor) -> np.ndarray:
        """Gradients of the cross-entropy at the examples: float32 [n, ...]."""

        def gradient(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            given = losses.cross_entropy, self.logits, x, y, self.draws
            return losses.value_and_gradient(*given)[2]

        return self._under(None, x, y, gradient)

    def _under(
        self,
        attack: Attack | None,
        x: tf.Tensor,
        y: tf.Tensor,
        result: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    ) -> np.ndarray:
        """The results of attacked images and labels, in parts, which limits the memory."""

        def run(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            return result(x if attack is None else self._attacked(attack, x, y), y)

        specs = [tf.TensorSpec([None, *v.shape[1:]], v.dtype) for v in (x, y)]
        traced, size = graph(run, *specs), self.batch_size
        parts = [traced(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]
        return np.concatenate([part.numpy() for part in parts])

    def _attacked(self, attack: Attack, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        model = self.logits
        if not attack.uses_gradients and self.draws > 1:
            model = lambda x: losses.averaged_logits(self.logits, x, self.draws)  # noqa: E731
        return with_draws(attack, self.draws)(model, x, y, seed=(self.seed, 0))


def draws_of(attack: Attack) -> int:
    """The gradients that an attack averages per step; 1 for an attack without this option."""
    return int(getattr(attack, "draws", 1)) if attack.uses_gradients else 1


def with_draws(attack: Attack, draws: int) -> Attack:
    """The attack with another number of draws, unchanged if it has no such option.

    Noise has draws of another kind.
    """
    if attack.uses_gradients and hasattr(attack, "draws"):
        changed: dict[str, Any] = {"draws": draws}
        return dataclasses.replace(attack, **changed)
    return attack
