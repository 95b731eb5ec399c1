"""What a user's own model and data are, for the names of runs: the same file may change."""

import functools

from experiments.runs import networks
from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models import BY_NAME as MODELS


@functools.cache  # for as long as a command runs: sweeps ask for each cell
def of_data(dataset: str) -> str:
    """A name of the content of own data; "" for data sets of others, and where there are none."""
    form, _, path = dataset.partition(":")
    return _digest(path) if form in ("npz", "folder") else ""


@functools.cache
def of_model(model: str) -> str:
    """A name of a model's file, or of the module of a function; "" for ours, and for none."""
    if model in MODELS:
        return ""
    try:
        return _digest(networks.module_file(model) if ":" in model else model)
    except InputError:  # which `networks.builder` refuses
        return ""


def _digest(path: str) -> str:
    try:
        return files.digest(path)[:16]
    except OSError:  # which is refused where it is read
        return ""
