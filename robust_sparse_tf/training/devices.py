"""Devices, threads and distribution strategies."""

from __future__ import annotations

import functools
import json
import os

from etils import epy

from robust_sparse_tf.errors import InputError

with epy.lazy_imports():
    import tensorflow as tf

DISTRIBUTIONS = ("none", "mirrored", "multiworker")


def configure(
    *, logical_cpus: int = 1, intra_op_threads: int = 0, inter_op_threads: int = 0
) -> None:
    """Configures TensorFlow; call it once, before TensorFlow runs anything else.

    GPU memory grows as needed. 0 threads: TensorFlow's own choice.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.threading.set_intra_op_parallelism_threads(intra_op_threads)
    tf.config.threading.set_inter_op_parallelism_threads(inter_op_threads)
    if logical_cpus > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        configurations = [tf.config.LogicalDeviceConfiguration()] * logical_cpus
        tf.config.set_logical_device_configuration(cpu, configurations)


def strategy(distribute: str) -> tf.distribute.Strategy:
    """The strategy with a name in `DISTRIBUTIONS`.

    "mirrored" uses all GPUs, or all logical CPUs if there are none; "multiworker" reads the
    variable TF_CONFIG.

    Raises:
        InputError: for another name, or if TF_CONFIG is missing.
    """
    if distribute == "none":
        return tf.distribute.get_strategy()
    if distribute == "mirrored":
        return _mirrored()
    if distribute == "multiworker":
        cluster, *_ = check_cluster()
        if sum(map(len, cluster.values())) == 1:  # a single worker trains without the strategy
            return _mirrored() if tf.config.list_logical_devices("GPU") else strategy("none")
        options = tf.distribute.experimental.CommunicationOptions(
            implementation=tf.distribute.experimental.CommunicationImplementation.AUTO
            if tf.config.list_physical_devices("GPU")
            else tf.distribute.experimental.CommunicationImplementation.RING
        )
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    raise InputError(f"distribute={distribute}: must be one of {', '.join(DISTRIBUTIONS)}")


@functools.cache
def _mirrored() -> tf.distribute.Strategy:
    """One per process: TensorFlow gives the collectives of all such strategies the same keys."""
    gpus = tf.config.list_logical_devices("GPU")
    return tf.distribute.MirroredStrategy(  # noqa: TID251
        gpus or tf.config.list_logical_devices("CPU")
    )


def is_chief() -> bool:
    """Whether this process writes results: the chief, otherwise worker 0, or a single process."""
    if not os.environ.get("TF_CONFIG"):
        return True
    cluster, kind, index = check_cluster()
    return kind == "chief" or (index == 0 and "chief" not in cluster)


def check_cluster() -> tuple[dict[str, list[str]], str, int]:
    """Parses the variable TF_CONFIG: addresses by kind, and this worker's kind and index.

    Raises:
        InputError: if it is missing or has another form.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        raise InputError("distribute=multiworker: the variable TF_CONFIG must be set")
    try:
        found = json.loads(text)
        cluster, task = found["cluster"], found["task"]
        kind, index = task["type"], task["index"]
        addresses = [each for kind in _KINDS for each in cluster.get(kind, [])]
        right = (
            set(cluster) <= set(_KINDS)
            and all(isinstance(own, list) for own in cluster.values())
            and all(map(_is_address, addresses))
            and len(set(addresses)) == len(addresses)
            and len(cluster.get("chief", [])) <= 1
            and type(index) is int
            and 0 <= index < len(cluster[kind])
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        right = False
    if not right:
        raise InputError(
            f"TF_CONFIG={text[:300]}: must be like {_EXAMPLE}, for distribute=multiworker"
        )
    return cluster, kind, index


_KINDS = ("chief", "worker")
_EXAMPLE = (
    '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}, '
    "with all workers (and at most one chief) once, and an index from 0"
)


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isascii() and port.isdecimal() and 0 < int(port) < 65536
