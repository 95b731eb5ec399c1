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
    """Sets TensorFlow up; to be called once, before anything else of it runs.

    GPU memory grows as needed. Thread counts of 0 leave TensorFlow's own choice.
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
    """The strategy of a name in `DISTRIBUTIONS`.

    "mirrored" takes all GPUs, or all logical CPUs where there is none; "multiworker" reads the
    variable TF_CONFIG.

    Raises:
        InputError: for another name, or where TF_CONFIG is missing.
    """
    if distribute == "none":
        return tf.distribute.get_strategy()
    if distribute == "mirrored":
        return _mirrored()
    if distribute == "multiworker":
        _check_cluster(os.environ.get("TF_CONFIG", ""))
        options = tf.distribute.experimental.CommunicationOptions(
            implementation=tf.distribute.experimental.CommunicationImplementation.AUTO
            if tf.config.list_physical_devices("GPU")
            else tf.distribute.experimental.CommunicationImplementation.RING
        )
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    raise InputError(f"distribute={distribute}: must be one of {', '.join(DISTRIBUTIONS)}")


@functools.cache
def _mirrored() -> tf.distribute.Strategy:
    """One for the whole process: TensorFlow gives the collectives of all of them the same keys."""
    gpus = tf.config.list_logical_devices("GPU")
    return tf.distribute.MirroredStrategy(gpus or tf.config.list_logical_devices("CPU"))


def is_chief() -> bool:
    """Whether this process is the one that writes results: worker 0, or the only one."""
    if not os.environ.get("TF_CONFIG"):
        return True
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    return resolver.task_type in (None, "chief", "worker") and not resolver.task_id


def _check_cluster(variable: str) -> None:
    if not variable:
        raise InputError("distribute=multiworker: the variable TF_CONFIG must be set")
    try:
        tasks = json.loads(variable)["cluster"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"TF_CONFIG={variable}: must be JSON with the cluster, for distribute=multiworker"
        ) from error
    if not tasks:
        raise InputError(f"TF_CONFIG={variable}: must name the tasks of the cluster")
