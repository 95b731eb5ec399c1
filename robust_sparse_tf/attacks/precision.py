"""Models of other precisions than float32, with float32 logits for attacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

from etils import epy

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.errors import InputError

with epy.lazy_imports():
    import tensorflow as tf

Logits: TypeAlias = "Callable[[tf.Tensor], tf.Tensor]"


@dataclasses.dataclass(frozen=True)
class Float32:
    """A model with float32 logits, whatever it computes in.

    Args:
        model: from float32 inputs to logits, a tensor or array of any floating type.
        half: whether it computes in float16, where gradients of confident predictions underflow:
            the loss is scaled up in the backward pass, and the gradient down again after it.
    """

    model: Logits
    half: bool = False

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Logits, float32 [batch, classes]."""
        return self._enlarging(x) if self.half else self._cast(x)

    def _cast(self, x: tf.Tensor) -> tf.Tensor:
        found = self.model(x)
        require_one(found)
        return tf.cast(found, tf.float32)

    def _enlarging(self, x: tf.Tensor) -> tf.Tensor:
        @tf.custom_gradient
        def logits(x: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
            with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
                tape.watch(x)
                found = self._cast(x)

            def gradient(upstream: tf.Tensor, variables: Any = None) -> Any:
                scale = norms.to_one(upstream)
                back = tape.gradient(found, x, upstream * scale, unconnected_gradients="zero")
                back /= norms.spread(scale[:, 0], back)
                return back if variables is None else (back, [None] * len(variables))

            return found, gradient

        return logits(x)


def require_one(returned: Any) -> None:
    """Raises InputError if a model has several outputs."""
    if isinstance(returned, list | tuple | dict):
        raise InputError(
            f"model: returns a {type(returned).__name__} of {len(returned)} outputs; must return "
            "one tensor of logits [batch, classes]"
        )


def is_half(model: Any) -> bool:
    """Whether some layer of a tf_keras model computes in float16; False for functions."""
    parts = (model, *getattr(model, "submodules", ()))
    return any(getattr(part, "compute_dtype", None) == "float16" for part in parts)
