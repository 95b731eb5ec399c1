"""An operation of a file with its tensors; what builders of functions are given."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import tensorflow as tf

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.twins.reading import Graph, Operation, Tensor

Function: TypeAlias = Callable[..., tf.Tensor]
"""From the values of an operation's inputs to that of its output."""


@dataclasses.dataclass(frozen=True)
class Node:
    """An operation and its tensors.

    Attributes:
        name: name of the operation.
        options: its options, see the schema.
        inputs: its inputs; None for one that is left out.
        output: its output.
        batch: the only batch size of the file; 0 for any.
    """

    name: str
    options: Any
    inputs: list[Tensor | None]
    output: Tensor
    batch: int

    @classmethod
    def of(cls, graph: Graph, operation: Operation) -> "Node":
        """An operation of a graph."""
        tensors = graph.tensors
        inputs = [tensors[number] if number >= 0 else None for number in operation.inputs]
        output = tensors[operation.output]
        return cls(operation.name, operation.options, inputs, output, graph.batch)

    def source(self, number: int) -> Tensor:
        """An input that must be there."""
        found = self.inputs[number]
        if found is None:
            raise InputError(f"{self.name} lacks input {number}")
        return found

    @property
    def padding(self) -> str:
        """The padding of windows, as TensorFlow calls it."""
        return "SAME" if self.options.padding == 0 else "VALID"

    @property
    def strides(self) -> list[int]:
        """The steps of windows, per axis of images."""
        return [1, self.options.strideH, self.options.strideW, 1]

    def activated(self, x: tf.Tensor) -> tf.Tensor:
        """Applies the activation that is fused with the operation."""
        number = getattr(self.options, "fusedActivationFunction", 0)
        if number not in _ACTIVATIONS:
            raise InputError(f"{self.name} with the unknown activation {number} has no twin")
        return _ACTIVATIONS[number](x)


_ACTIVATIONS: dict[int, Function] = {
    0: lambda x: x,
    1: tf.nn.relu,
    2: lambda x: tf.clip_by_value(x, -1.0, 1.0),
    3: tf.nn.relu6,
    4: tf.tanh,
}
