"""The threat model of attacks: a ball around each input, within what inputs can be."""

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
    """What keeps to the range of inputs: `low`, their minimum value, to `high`, their largest."""

    low: float
    high: float

    @property
    def limits(self) -> tuple[float, float]:
        """Minimum and maximum value of an input."""
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
    """All inputs within distance epsilon of x in a norm, and with entries from low to high.

    "Towards Deep Learning Models Resistant to Adversarial Attacks" (Madry et al., 2018), section 2.
    A value: it never changes, `at` makes another one.

    Args:
        norm: "linf", "l2" or "l1".
        epsilon: radius of the ball, in input units; inside a graph it may be a float32 scalar.
        low: minimum value of an input.
        high: largest value of an input.

    Raises:
        InputError: for another norm, an epsilon below 0, and an empty range.
    """

    norm: str = option(dataclasses.MISSING, "norm of the ball", kind=str, choices=norms.NAMES)
    epsilon: float | tf.Tensor = option(
        dataclasses.MISSING, "radius of the ball", unit="input units", kind=float, minimum=0
    )
    low: float = option(0.0, "minimum value of an input", unit="input units")
    high: float = option(1.0, "largest value of an input", unit="input units")

    def __post_init__(self) -> None:
        check(self)
        self.check_range()

    def at(self, epsilon: float | tf.Tensor) -> Ball:
        """The same with another radius."""
        return dataclasses.replace(self, epsilon=epsilon)

    def project(self, x: tf.Tensor, adversarial: tf.Tensor) -> tf.Tensor:
        """The nearest point of the ball, then of the range, which lies in the ball, too.

        Args:
            x: the ball's middle: float32 [batch, ...] from low to high.
            adversarial: any points, shaped as x.

        Returns:
            float32, shaped as x.

        Raises:
            InputError: for other shapes, and what are no finite numbers.
        """
        found = self.nearest(x, adversarial)
        if tf.executing_eagerly() and tf.size(found):
            for name, value in (("x", x), ("adversarial", adversarial)):
                check_images(as_tensor(name, value, tf.float32).numpy(), None, name)
        return found

    def nearest(self, x: tf.Tensor, adversarial: tf.Tensor) -> tf.Tensor:
        """As `project`, with points that may be NaN, which they stay; attacks pass over these.

        Raises:
            InputError: for other shapes, and what are no numbers.
        """
        x = as_tensor("x", x, tf.float32)
        adversarial = as_tensor("adversarial", adversarial, tf.float32)
        flat = x.shape.rank is not None and x.shape.rank < 2
        if flat or not x.shape.is_compatible_with(adversarial.shape):
            raise InputError(
                f"x of shape {x.shape} and adversarial of shape {adversarial.shape}: must be "
                "[batch, ...], both alike"
            )
        return self.clip(x + norms.project(adversarial - x, self.norm, self.epsilon))
