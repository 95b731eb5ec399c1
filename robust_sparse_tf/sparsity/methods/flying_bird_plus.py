"""Flying Bird+: Flying Bird with an adaptive density."""

from __future__ import annotations

import dataclasses
import itertools

from etils import epy

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import option
from robust_sparse_tf.sparsity.methods.base import LayerState
from robust_sparse_tf.sparsity.methods.flying_bird import FlyingBird
from robust_sparse_tf.sparsity.structure import NOfM, parse

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class FlyingBirdPlus(FlyingBird):
    """Flying Bird with a density that adapts during training.

    If the validation loss does not fall, an update grows more weights than it drops; if the gap
    between training and validation accuracy widens, it drops more than it grows. The callback
    `FlyingBirdFeedback` passes both to the model at the end of each epoch. The defaults are those
    of the authors' published code.
    """

    feedbacks = 2

    _: dataclasses.KW_ONLY
    extra_growth: float = option(
        0.05, "additional weights to grow, as a fraction of those dropped", minimum=0
    )
    extra_drop: float = option(
        0.4, "additional weights to drop, as a fraction of those grown", minimum=0
    )
    feedback_window: int = option(
        4, "number of validations, each compared with the one before", unit="validations", minimum=1
    )
    feedback_threshold: float = option(
        0.5, "fraction of them that must agree before the density changes", minimum=0, maximum=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, text in self.structure_texts().items():
            if isinstance(parse(text, name), NOfM):
                raise InputError(f"{name}={text}: must not be n:m, as layers change their density")

    def feedback_from(self, losses: list[float], gaps: list[float]) -> tuple[float, float]:
        """See `Method.feedback_from`: (grow more, drop more), each 0 or 1, for the next updates."""
        stands = self._share([b >= a for a, b in itertools.pairwise(losses)])
        widens = self._share([b > a for a, b in itertools.pairwise(gaps)])
        return stands, widens

    def _share(self, signs: list[bool]) -> float:
        recent = signs[-self.feedback_window :]
        return float(bool(recent) and sum(recent) >= self.feedback_threshold * len(recent))

    def numbers(
        self, layers: list[LayerState], drops: list[tf.Tensor], feedback: tf.Tensor | None
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """See `Dynamic.numbers`; feedback is (grow more, drop more), each 0 or 1."""
        if feedback is None:
            raise InputError("feedback: must be given: (grow more, drop more), each 0 or 1")
        more_growth, more_drop = tf.unstack(feedback * [self.extra_growth, self.extra_drop])
        swaps = super().numbers(layers, drops, feedback)
        numbers = []
        for layer, number, (dropped, grown) in zip(layers, drops, swaps, strict=True):
            active = tf.math.count_nonzero(layer.active, dtype=tf.int32)
            dropped = tf.minimum(dropped + _scaled(number, more_drop), active - 1)
            numbers.append((dropped, grown + _scaled(number, more_growth)))
        return numbers


def _scaled(number: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(tf.cast(number, tf.float32) * factor), tf.int32)
