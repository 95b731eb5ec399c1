"""Settings that depend on the machine, and that affect the bits of a run."""

import contextlib
from collections.abc import Iterable

from etils import epy

from experiments.cli.cores import cores
from experiments.runs import config
from experiments.runs.config import Resolved
from experiments.runs.options import RunOptions
from robust_sparse_tf import models
from robust_sparse_tf.errors import InputError

with epy.lazy_imports():
    import tensorflow as tf

# Networks with batch normalization, which mixes the examples of a batch in training.
MIXING = (
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet50",
    "strided_cnn",
    "vgg16",
    "vgg_like",
)


def settings(options: RunOptions, folders: Iterable[str]) -> Resolved:
    """The settings that a run was begun with, or those for the current number of cores.

    Args:
        options: options that may set them.
        folders: folders of this run, and of one that it continues; the first counts.
    """
    for folder in filter(config.exists, folders):
        with contextlib.suppress(InputError):  # refused when the directory is checked
            if found := config.read(folder).get("resolved"):
                return found
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    # Two half batches in parallel were fastest on a CPU; GPUs are faster with whole ones.
    branches = options.branches or (2 if cores() > 1 and device == "CPU" else 1)
    # Of networks that mix examples only the attack is split; the rest needs all threads.
    threads = options.intra_op_threads or max(1, cores() // (1 if _whole(options) else branches))
    return Resolved(branches=branches, intra_op_threads=threads, device=device)


def _whole(options: RunOptions) -> bool:
    """Whether the batch of a training step is, or may be, computed as a whole."""
    own = options.model not in models.BY_NAME
    return own or options.model in MIXING or options.noise != "none"


def check(path: str, resolved: Resolved, replicas: int, continued: str | None = None) -> Resolved:
    """The settings with device and replicas, which must not change when a run continues.

    Args:
        path: directory of the run, for the message.
        resolved: the settings, stored ones if any.
        replicas: number of replicas that share a batch now.
        continued: directory of the run that this one continues, whose settings are used.

    Raises:
        InputError: if the devices differ from those that the run was begun on.
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
