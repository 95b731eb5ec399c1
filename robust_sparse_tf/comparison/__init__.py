"""Comparison of methods over several seeds."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from robust_sparse_tf.comparison.comparing import compare
    from robust_sparse_tf.comparison.comparison import Comparison, Row, Trial


__all__ = ["Comparison", "Row", "Trial", "compare"]


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
