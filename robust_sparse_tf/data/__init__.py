"""Named image data sets, held in memory and served as tf.data."""

from etils import epy

from robust_sparse_tf.data.options import AUGMENTATIONS, FORMS, NAMES, DataOptions

with epy.lazy_api_imports(globals()):
    from robust_sparse_tf.data.gather import Gather
    from robust_sparse_tf.data.named import load, load_test
    from robust_sparse_tf.data.split import Split

__all__ = ["AUGMENTATIONS", "FORMS", "NAMES", "DataOptions", "Gather", "Split", "load", "load_test"]


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
