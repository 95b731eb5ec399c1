"""Pruning structures: single weights, blocks, whole channels, or n of each m neighbours.

Kernels are treated as matrices [inputs, outputs]; positions of a kernel count as inputs.
"""

from __future__ import annotations

import abc
import dataclasses
import math
import re

from etils import epy

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity.selection import keep_largest

with epy.lazy_imports():
    import tensorflow as tf

SYNTAX = "'weights', 'channels', 'block:4x1' (inputs x outputs), '2:4' or '2:4@outputs'"


@dataclasses.dataclass(frozen=True)
class Structure(abc.ABC):
    """Divides a matrix into units of equal size, which are kept or pruned as a whole."""

    @abc.abstractmethod
    def unit(self, shape: tuple[int, int]) -> tuple[int, int]:
        """The numbers of inputs and outputs of a unit."""

    def check(self, name: str, shape: tuple[int, int]) -> None:
        """Raises InputError unless units fit into the matrix of a layer."""
        rows, columns = self.unit(shape)
        if shape[0] % rows or shape[1] % columns:
            raise InputError(
                f"structure={self}: {shape[0]} inputs x {shape[1]} outputs of layer {name} must be "
                f"multiples of {rows} x {columns}"
            )

    def pool(self, scores: tf.Tensor) -> tf.Tensor:
        """The score of each unit, the mean over its weights: float32 [unit rows, unit columns]."""
        return tf.reduce_mean(self._cut(scores), [1, 3])

    def units(self, matrix: tf.Tensor) -> tf.Tensor:
        """Converts a mask of whole units to units: bool [unit rows, unit columns]."""
        return self._cut(matrix)[:, 0, :, 0]

    def spread(self, units: tf.Tensor, shape: tuple[int, int]) -> tf.Tensor:
        """Converts units to a mask with the shape of the matrix."""
        rows, columns = self.unit(shape)
        return tf.repeat(tf.repeat(units, rows, axis=0), columns, axis=1)

    def keep(self, scores: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
        """Marks the best units: bool, shaped as the scores.

        Args:
            scores: float32 [inputs, outputs].
            count: weights to keep, rounded to whole units; at least one unit if it is above 0.
        """
        whole = self._units_of(count, tuple(scores.shape))
        return self.spread(keep_largest(self.pool(scores), whole), tuple(scores.shape))

    def swap(
        self,
        active: tf.Tensor,
        drop: tf.Tensor,
        grow: tf.Tensor,
        dropped: tf.Tensor,
        grown: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Drops the worst active units and grows the best others.

        Units that were just dropped may grow again.

        Args:
            active: bool [inputs, outputs], of whole units.
            drop: float32 score of each weight, at least 0; the lowest are dropped.
            grow: float32 score of each weight, at least 0; the highest grow.
            dropped: number of weights to drop, rounded down to whole units.
            grown: number of weights to grow, rounded down to whole units, as far as there is room.

        Returns:
            (kept, grown): bool of the same shape, disjoint.
        """
        shape = tuple(active.shape)
        size, units = math.prod(self.unit(shape)), self.units(active)
        present = tf.math.count_nonzero(units, dtype=tf.int32)
        stay = tf.maximum(present - dropped // size, 0)
        kept = keep_largest(tf.where(units, self.pool(drop), -1.0), stay)
        come = tf.minimum(grown // size, units.shape.num_elements() - stay)
        risen = keep_largest(tf.where(kept, -1.0, self.pool(grow)), come)
        return self.spread(kept, shape), self.spread(risen, shape)

    def _cut(self, matrix: tf.Tensor) -> tf.Tensor:
        inputs, outputs = matrix.shape
        rows, columns = self.unit((inputs, outputs))
        return tf.reshape(matrix, [inputs // rows, rows, outputs // columns, columns])

    def _units_of(self, count: int | tf.Tensor, shape: tuple[int, int]) -> tf.Tensor:
        size = math.prod(self.unit(shape))
        whole = tf.cast(tf.round(tf.cast(count, tf.float64) / size), tf.int32)
        least = tf.cast(tf.cast(count, tf.int32) > 0, tf.int32)
        return tf.clip_by_value(whole, least, math.prod(shape) // size)


@dataclasses.dataclass(frozen=True)
class Weights(Structure):
    """Each weight by itself."""

    def unit(self, shape: tuple[int, int]) -> tuple[int, int]:
        return 1, 1

    # Each weight is its own unit, so skip the reshaping.

    def pool(self, scores: tf.Tensor) -> tf.Tensor:
        """The scores themselves."""
        return scores

    def units(self, matrix: tf.Tensor) -> tf.Tensor:
        """The mask itself."""
        return matrix

    def spread(self, units: tf.Tensor, shape: tuple[int, int]) -> tf.Tensor:
        """The mask itself."""
        return units

    def __str__(self) -> str:
        return "weights"


@dataclasses.dataclass(frozen=True)
class Blocks(Structure):
    """Blocks of `inputs` x `outputs` weights; 4x1 is tfmot's `block_size=(4, 1)`."""

    inputs: int
    outputs: int

    def unit(self, shape: tuple[int, int]) -> tuple[int, int]:
        return self.inputs, self.outputs

    def __str__(self) -> str:
        return f"block:{self.inputs}x{self.outputs}"


@dataclasses.dataclass(frozen=True)
class Channels(Structure):
    """Whole output channels, by the l2 norm of their weights.

    "Learning Structured Sparsity in Deep Neural Networks" (Wen et al., 2016).
    """

    def unit(self, shape: tuple[int, int]) -> tuple[int, int]:
        return shape[0], 1

    def pool(self, scores: tf.Tensor) -> tf.Tensor:
        """The l2 norm of each channel, where scores are negative of their sign: [1, outputs]."""
        squares = tf.reduce_sum(scores * tf.abs(scores), axis=0, keepdims=True)
        return tf.sign(squares) * tf.sqrt(tf.abs(squares))

    def __str__(self) -> str:
        return "channels"


@dataclasses.dataclass(frozen=True)
class NOfM(Structure):
    """At most n of each m neighbours along an axis stay.

    "Learning N:M Fine-grained Structured Sparse Neural Networks From Scratch" (Zhou et al., 2021).
    """

    n: int
    m: int
    axis: str = "inputs"

    @property
    def density(self) -> float:
        """The fraction of weights that is kept."""
        return self.n / self.m

    def unit(self, shape: tuple[int, int]) -> tuple[int, int]:
        """One group of neighbours."""
        return (self.m, 1) if self.axis == "inputs" else (1, self.m)

    def keep(self, scores: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
        """Marks the best n of each group, for any count."""
        del count
        groups = self._groups(scores)
        best = tf.math.top_k(groups, self.n).indices
        flags = tf.reduce_any(tf.one_hot(best, self.m, on_value=True, off_value=False), axis=1)
        return self._matrix(flags, tuple(scores.shape))

    def swap(
        self,
        active: tf.Tensor,
        drop: tf.Tensor,
        grow: tf.Tensor,
        dropped: tf.Tensor,
        grown: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """In the groups with the smallest worst weight, exchanges it for the best other."""
        del grown  # as many as are dropped
        shape = tuple(active.shape)
        present = self._groups(active)
        worth = tf.where(present, self._groups(drop), float("inf"))
        chosen = keep_largest(-tf.reduce_min(worth, axis=1), tf.minimum(dropped, present.shape[0]))
        gone = self._first(tf.argmin(worth, axis=1)) & present & chosen[:, None]
        kept = present & ~gone
        rise = tf.where(kept, -1.0, self._groups(grow))
        risen = self._first(tf.argmax(rise, axis=1)) & tf.reduce_any(gone, 1, keepdims=True)
        return self._matrix(kept, shape), self._matrix(risen, shape)

    def _first(self, places: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(places, self.m, on_value=True, off_value=False)

    def _groups(self, matrix: tf.Tensor) -> tf.Tensor:
        """The matrix as [groups, m]."""
        turned = tf.transpose(matrix) if self.axis == "inputs" else matrix
        return tf.reshape(turned, [-1, self.m])

    def _matrix(self, groups: tf.Tensor, shape: tuple[int, int]) -> tf.Tensor:
        if self.axis == "inputs":
            return tf.transpose(tf.reshape(groups, shape[::-1]))
        return tf.reshape(groups, shape)

    def __str__(self) -> str:
        return f"{self.n}:{self.m}" + ("" if self.axis == "inputs" else "@outputs")


def parse(text: str, name: str = "structure") -> Structure:
    """Parses a structure such as "weights", "channels", "block:4x1" or "2:4@outputs".

    Args:
        text: the structure.
        name: of the option that has it, for the message.

    Raises:
        InputError: for anything else.
    """
    if text in ("weights", "channels"):
        return {"weights": Weights, "channels": Channels}[text]()
    if found := re.fullmatch(r"block:([1-9]\d*)x([1-9]\d*)", text):
        return Blocks(int(found[1]), int(found[2]))
    found = re.fullmatch(r"([1-9]\d*):([1-9]\d*)(?:@(inputs|outputs))?", text)
    if found and int(found[1]) <= int(found[2]):
        return NOfM(int(found[1]), int(found[2]), found[3] or "inputs")
    raise InputError(f"{name}={text}: must be {SYNTAX}")
