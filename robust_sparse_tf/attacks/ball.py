"""The threat model of attacks: a ball around each input, within the range of inputs."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import check, option
from robust_sparse_tf.tensors import as_tensor
from robust_sparse_tf.values import check_images

with epy.lazy_imports():
    import tensorflow as tf


class Ranged:
    """Base of classes that keep inputs in a range, from `low` to `high`."""

    low: float
    high: float

    @property
    def limits(self) -> tuple[float, float]:
        """The minimum and maximum value of an input."""
        return self.low, self.high

    def clip(self, x: tf.Tensor) -> tf.Tensor:
        """Inputs, float32 of any shape, with entries from low to high; NaN stays.

        Raises:
            InputError: for what are no numbers.
        """
        return tf.clip_by_value(as_tensor("x", x, tf.float32), self.low, self.high)

    def check_range(self) -> None:
        """Raises `InputError` for an empty range."""
        if not self.low < self.high:
            raise InputError(f"high={self.high}: must be above low={self.low}")


@dataclasses.dataclass(frozen=True)
class Ball(Ranged):
    """All inputs within distance epsilon of x in a norm, with entries from low to high.

    "Towards Deep Learning Models Resistant to Adversarial Attacks" (Madry et al., 2018), section 2.
    Immutable; `at` returns a ball of another radius.

    Args:
        norm: "linf", "l2" or "l1".
        epsilon: radius of the ball, in input units; inside a graph it may be a float32 scalar
            tensor.
        low: minimum value of an input.
        high: maximum value of an input.

    Raises:
        InputError: for any other norm, a negative epsilon, or an empty range.
    """

    norm: str = option(dataclasses.MISSING, "norm of the ball", kind=str, choices=norms.NAMES)
    epsilon: float | tf.Tensor = option(
        dataclasses.MISSING, "radius of the ball", unit="input units", kind=float, minimum=0
    )
    low: float = option(0.0, "minimum value of an input", unit="input units")
    high: float = option(1.0, "maximum value of an input", unit="input units")

    def __post_init__(self) -> None:
        check(self)
        self.check_range()

    def at(self, epsilon: float | tf.Tensor) -> Ball:
        """Returns the same ball with another radius."""
        return dataclasses.replace(self, epsilon=epsilon)

    def project(self, x: tf.Tensor, adversarial: tf.Tensor) -> tf.Tensor:
        """Projects onto the ball and then onto the range; the result lies in both.

        Args:
            x: centre of the ball: float32 [batch, ...] from low to high.
            adversarial: any points, shaped as x.

        Returns:
            float32, shaped as x.

        Raises:
            InputError: for other shapes, or values that are not finite.
        """
        found = self.nearest(x, adversarial)
        if tf.executing_eagerly() and tf.size(found):
            for name, value in (("x", x), ("adversarial", adversarial)):
                check_images(as_tensor(name, value, tf.float32).numpy(), None, name)
        return found

    def nearest(self, x: tf.Tensor, adversarial: tf.Tensor) -> tf.Tensor:
        """Like `project`, but lets NaN through; attacks ignore such points.

        Raises:
            InputError: for other shapes and types.
        """
        x = as_tensor("x", x, tf.float32)
        adversarial = as_tensor("adversarial", adversarial, tf.float32)
        flat = x.shape.rank is not None and x.shape.rank < 2
        if flat or not x.shape.is_compatible_with(adversarial.shape):
            raise InputError(
                f"x of shape {x.shape} and adversarial of shape {adversarial.shape}: must be "
                "[batch, ...], and equal"
            )
        return self.clip(x + norms.project(adversarial - x, self.norm, self.epsilon))
