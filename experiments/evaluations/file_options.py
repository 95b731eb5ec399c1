"""Options of loading model files, for several classes."""

from typing import Any

from robust_sparse_tf.options import option


def trust_option() -> Any:
    """The option of loading files that hold code."""
    return option(
        False, "whether to load a model file that names code, which can do anything that you can"
    )


def modules_option() -> Any:
    """The option of the user's modules."""
    return option([], "your own modules whose layers a model file may name, separated by commas")
