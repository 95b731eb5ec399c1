"""Digests of users' own models and data, for the names of runs, as files may change."""

import functools

from experiments.runs import networks
from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models import BY_NAME as MODELS


@functools.cache  # cached per process, as sweeps ask for each cell
def of_data(dataset: str) -> str:
    """A digest of the user's own data; "" for named data sets, or without data."""
    form, _, path = dataset.partition(":")
    return _digest(path) if form in ("npz", "folder") else ""


@functools.cache
def of_model(model: str) -> str:
    """A digest of a model file, or of the module of a function; "" for our networks, or none."""
    if model in MODELS:
        return ""
    try:
        return _digest(networks.module_file(model) if ":" in model else model)
    except InputError:  # `networks.builder` refuses it
        return ""


def _digest(path: str) -> str:
    try:
        return files.digest(path)[:16]
    except OSError:  # refused when it is read
        return ""
