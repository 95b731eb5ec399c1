"""Explanations of predictions: which pixels a network's logits depend on."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from robust_sparse_tf.explain.class_activation import grad_cam
    from robust_sparse_tf.explain.guided_gradients import guided_backprop
    from robust_sparse_tf.explain.similarity import Similarity, compare

__all__ = ["Similarity", "compare", "grad_cam", "guided_backprop"]


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
