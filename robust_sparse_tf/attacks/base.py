"""What all attacks share: threat model, labels, the random start."""

import abc
import dataclasses
import warnings
from collections.abc import Callable

import tensorflow as tf
from cleverhans.tf2.utils import optimize_linear

from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.options import check, option

Logits = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attack(abc.ABC):
    """An untargeted attack in the linf ball, as a value: `x_adv = attack(model, x, y)`.

    Subclasses implement `ascend`. Everything runs inside `tf.function` as well as eagerly.
    """

    epsilon: float = option(0.3, "radius of the linf ball", unit="input units", minimum=0)
    clip_min: float = option(0.0, "least value of an input", unit="input units")
    clip_max: float = option(1.0, "largest value of an input", unit="input units")
    attack_labels: str = option(
        "true",
        "labels the attack moves away from: the true ones or the model's own prediction",
        choices=("true", "predicted"),
    )

    def __post_init__(self) -> None:
        check(self)
        if not self.clip_min < self.clip_max:
            raise InputError(f"clip_max={self.clip_max}: must be above clip_min={self.clip_min}")
        step_size = getattr(self, "step_size", 0.0)
        if step_size > self.epsilon:
            warnings.warn(
                f"step_size={step_size} is above epsilon={self.epsilon}: each step leaves the ball "
                "and is projected back",
                RunWarning,
                stacklevel=3,
            )

    def __call__(
        self, model: Logits, x: tf.Tensor, y: tf.Tensor, *, seed: tf.Tensor | tuple = (0, 0)
    ) -> tf.Tensor:
        """Adversarial examples for a batch.

        Args:
            model: any callable from inputs to logits [batch, classes]. Pass the same object each
                time: CleverHans traces a graph for each callable it sees.
            x: float32 [batch, ...] in [clip_min, clip_max].
            y: integers [batch], the true labels; not looked at when `attack_labels="predicted"`.
            seed: two integers for the random start.

        Returns:
            float32, shaped as x, within epsilon of x and within the clip range; no gradient flows
            through it.
        """
        x = tf.convert_to_tensor(x, tf.float32)
        labels = y if self.attack_labels == "true" else tf.argmax(model(x), axis=1)
        return self.ascend(model, x, labels, self.noise(tf.shape(x), seed))

    def noise(self, shape: tf.Tensor, seed: tf.Tensor | tuple) -> tf.Tensor | None:
        """The perturbation to start from, of a given shape, or None to start at x."""
        del shape, seed
        return None

    @abc.abstractmethod
    def ascend(
        self,
        model: Logits,
        x: tf.Tensor,
        labels: tf.Tensor,
        noise: tf.Tensor | None,
        gradient_at_x: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Runs the attack on given labels.

        Args:
            model: as in `__call__`.
            x: clean inputs.
            labels: integers [batch] to move away from.
            noise: start of the perturbation, or None for x itself.
            gradient_at_x: gradient of the cross-entropy of `labels` with respect to x, where the
                caller has it already; used only when the attack starts at x.
        """


def sign_step(attack: Attack, x: tf.Tensor, gradient: tf.Tensor, size: float) -> tf.Tensor:
    """CleverHans' fast gradient step from a gradient that is already known."""
    stepped = x + optimize_linear(gradient, size, float("inf"))
    return tf.clip_by_value(stepped, attack.clip_min, attack.clip_max)
