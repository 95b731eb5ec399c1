"""Bounds on the logits over a ball of inputs, at inference and in training."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from robust_sparse_tf.bounds.interval_bounds import logit_bounds, margin_bounds

__all__ = ["logit_bounds", "margin_bounds"]


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
