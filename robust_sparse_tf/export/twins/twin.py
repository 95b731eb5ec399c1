"""The differentiable twin of a TFLite file."""

import dataclasses
import os
from typing import Any

import numpy as np
import tensorflow as tf

from robust_sparse_tf.errors import InputError, reason
from robust_sparse_tf.evaluation.inputs import as_images
from robust_sparse_tf.export.examples import scaled
from robust_sparse_tf.export.reading import tflite_content
from robust_sparse_tf.export.tflite_runner import tflite_function
from robust_sparse_tf.export.twins.node import Node
from robust_sparse_tf.export.twins.operations import function_of
from robust_sparse_tf.export.twins.reading import read
from robust_sparse_tf.export.twins.rounding import quantised
from robust_sparse_tf.options import shown
from robust_sparse_tf.tensors import as_array, as_tensor, check_shape

_BATCH = 500  # images; limits the memory
_ROUNDING = 1e-4  # of the range of logits, in float32
_STEPS = 255  # in a range of eight bits


@dataclasses.dataclass(frozen=True)
class TwinAgreement:
    """A comparison of a twin with its file.

    Attributes:
        images: number of images compared.
        same: on how many of them both predict the same class.
        tied: on how many others the file's two largest logits differ by less than `noise`.
        difference: the largest difference of a logit.
        noise: difference of logits that rounding may cause: one step of a quantised output; 1/255
            of the range of logits if activations are quantised on the fly; otherwise 1/10,000.
    """

    images: int
    same: int
    tied: int
    difference: float
    noise: float

    @property
    def counts(self) -> bool:
        """Whether attacks on the twin are attacks on the file: other predictions are ties."""
        return self.same + self.tied == self.images

    def __str__(self) -> str:
        tied = f" ({self.tied} others are ties)" if self.tied else ""
        return (
            f"predicts what the file predicts on {self.same:,} of {self.images:,} images{tied}; "
            f"logits differ by up to {self.difference:.2g}"
        )


class Twin:
    """A TFLite file as a differentiable function, from its own weights and scales.

    A callable from images float32 [n, ...] to logits float32 [n, classes], for attacks by
    gradients. It rounds as the file does when XNNPACK runs it, which is the default; gradients pass
    straight through.

    Args:
        content: the bytes of the file.

    Attributes:
        file: the file itself, as a function of arrays.
        shape: shape of its inputs, the first size None.
        classes: number of logits.

    Raises:
        InputError: for other bytes, or a file of operations or numbers that have no twin.
    """

    def __init__(self, content: bytes) -> None:
        self.file = tflite_function(content)
        try:
            self._graph = graph = read(content)
            self._constants = {
                number: tf.constant(tensor.real())
                for number, tensor in enumerate(graph.tensors)
                if tensor.stored is not None
            }
            self._steps = [(function_of(Node.of(graph, each)), each) for each in graph.operations]
            entry, exit_ = graph.tensors[graph.input], graph.tensors[graph.output]
            self.shape: tuple[int | None, ...] = (None, *entry.shape[1:])
            if len(exit_.shape) != 2:
                raise InputError(f"outputs of shape {exit_.shape}: must be logits [n, classes]")
            self.classes = exit_.shape[1]
            self(tf.zeros([1, *entry.shape[1:]]))
        except InputError as error:
            raise InputError(f"TFLite model: {error}") from error
        except Exception as error:  # any exception, as any byte may be wrong
            raise InputError(
                f"TFLite model: cannot be read, is damaged or has no twin ({reason(error)})"
            ) from error

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """The logits of images [n, ...] of real numbers, cast to float32."""
        x = as_tensor("x", x, tf.float32)
        check_shape(x, self.shape)
        graph = self._graph
        entry = graph.tensors[graph.input]
        values = self._constants | {graph.input: quantised(x, entry) if entry.is_quantised else x}
        for function, operation in self._steps:
            given = [values[number] for number in operation.inputs if number >= 0]
            values[operation.output] = function(*given)
        return tf.ensure_shape(values[graph.output], [x.shape[0], self.classes])

    def agreement(self, images: Any) -> TwinAgreement:
        """Compares the predictions with the file's.

        Args:
            images: numbers of any type [n, ...]; a thousand show enough. For a file of real inputs
                uint8 is scaled to [0, 1].

        Raises:
            InputError: for other images.
        """
        entry = self._graph.tensors[self._graph.input]
        kind = np.float32 if entry.is_quantised else entry.dtype
        images = as_images(scaled(as_array("images", images), kind))
        expected = self.file(images)
        parts = range(0, len(images), _BATCH)
        found = np.concatenate([self(images[first : first + _BATCH]) for first in parts])
        return compared(found, expected, self._noise(expected))

    def _noise(self, logits: np.ndarray) -> float:
        graph = self._graph
        if step := graph.output_step():
            return step
        share = 1 / _STEPS if graph.quantises_on_the_fly() else _ROUNDING
        return share * float(logits.max() - logits.min())


def compared(found: np.ndarray, expected: np.ndarray, noise: float) -> TwinAgreement:
    """Compares logits of a twin with those of its file, both [n, classes]."""
    same = found.argmax(axis=1) == expected.argmax(axis=1)
    second, first = np.sort(expected, axis=1)[:, -2:].T
    ties = first - second < 0.99 * noise  # a whole step is more, whatever its rounding error
    return TwinAgreement(
        images=len(same),
        same=int(same.sum()),
        tied=int((ties & ~same).sum()),
        difference=float(np.abs(found - expected).max()),
        noise=noise,
    )


def twin(model: str | os.PathLike[str] | bytes) -> Twin:
    """Reads the differentiable twin of a TFLite file.

    Args:
        model: path or bytes of the file.

    Returns:
        A callable from images to logits; `Twin.agreement` compares it with the file.

    Raises:
        InputError: for anything else, a damaged file, or one that has no twin; see `Twin`.
    """
    if isinstance(model, bytes):
        return Twin(model)
    if not isinstance(model, str | os.PathLike):
        raise InputError(f"model={shown(model)}: must be the path or the bytes of a TFLite file")
    return Twin(tflite_content(os.fsdecode(model)))
