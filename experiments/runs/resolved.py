"""Settings that are taken from the machine, and on which the bits of a run depend."""

import contextlib
from collections.abc import Iterable

from etils import epy

from experiments.cli.cores import cores
from experiments.runs import config
from experiments.runs.config import Resolved
from experiments.runs.options import RunOptions
from robust_sparse_tf.errors import InputError

with epy.lazy_imports():
    import tensorflow as tf


def settings(options: RunOptions, folders: Iterable[str]) -> Resolved:
    """Those that the first of some runs was begun with, else those of the cores of the moment.

    Args:
        options: in which settings may be given.
        folders: of this run, and of one that it continues.
    """
    for folder in filter(config.exists, folders):
        with contextlib.suppress(InputError):  # which is refused when the directory is looked at
            if found := config.read(folder).get("resolved"):
                return found
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    # Halves of a batch side by side were fastest on a CPU; a GPU wants whole ones.
    branches = options.branches or (2 if cores() > 1 and device == "CPU" else 1)
    threads = options.intra_op_threads or max(1, cores() // branches)
    return Resolved(branches=branches, intra_op_threads=threads, device=device)


def check(path: str, resolved: Resolved, replicas: int, continued: str | None = None) -> Resolved:
    """The settings with the number of replicas, which a run that continues must have as before.

    Args:
        path: the run's directory, for the message.
        resolved: the settings, those stored if there are any.
        replicas: that share a batch now.
        continued: the directory of the run that this one continues, as its settings are used.

    Raises:
        InputError: for other devices than the run was begun on.
    """
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    now: Resolved = {**resolved, "device": device, "replicas": replicas}
    before: Resolved = {**now, **resolved}
    if now != before:
        otherwise = "use --overwrite or another --output_dir"
        if continued:
            otherwise = "continue it there, or run the whole without --continue_from"
        raise InputError(
            f"{continued or path}: was begun on {before['replicas']} x {before['device']}, and "
            f"would not be bit-identical on {replicas} x {device}; {otherwise}"
        )
    return now
