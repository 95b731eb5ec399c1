"""Named image data sets, held in memory and served as tf.data."""

from etils import epy

from robust_sparse_tf.data.options import FORMS, NAMES, DataOptions

with epy.lazy_api_imports(globals()):
    from robust_sparse_tf.data.named import load, load_test
    from robust_sparse_tf.data.split import Gather, Split

__all__ = ["FORMS", "NAMES", "DataOptions", "Gather", "Split", "load", "load_test"]


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
