"""Tensors and JSON of the plugin, written to the default summary writer."""

import os
import weakref
from typing import Any

import tensorflow as tf
from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.scalar import metadata

from robust_sparse_tf import files
from robust_sparse_tf.summaries import log_format

_writers: "weakref.WeakValueDictionary[str, Any]" = weakref.WeakValueDictionary()


def writer_of(folder: str) -> Any:
    """The writer of a folder: the same for all who hold it, as TensorBoard reads file by file.

    Raises:
        WriteError: for a folder that cannot be written.
    """
    path = os.path.abspath(folder)
    found = _writers.get(path)
    if found is None or not os.path.isdir(path):  # it may have been removed
        with files.naming(folder):
            found = tf.summary.create_file_writer(folder)
        _writers[path] = found
    return found


def write_tensor(tag: str, tensor: Any, step: int, **known: Any) -> None:
    """Writes a tensor of the plugin.

    Args:
        tag: see `log_format`.
        tensor: its value.
        step: steps of training done.
        **known: what the plugin data say of the tag beside the version.
    """
    about = tf.compat.v1.SummaryMetadata()
    about.plugin_data.plugin_name = log_format.PLUGIN
    about.plugin_data.content = log_format.content(**known)
    about.data_class = summary_pb2.DATA_CLASS_TENSOR
    tf.summary.write(tag, tensor, step=step, metadata=about)


def write_json(tag: str, value: Any, step: int) -> None:
    """Writes a value as a string of JSON; see `write_tensor`."""
    write_tensor(tag, tf.constant(log_format.to_json(value)), step)


def write_scalars(values: dict[str, Any], step: int) -> None:
    """Writes plain scalars at once, leaving out what is None."""
    plain = metadata.create_summary_metadata(display_name=None, description=None)
    about = tf.compat.v1.SummaryMetadata.FromString(plain.SerializeToString())
    summary = tf.compat.v1.Summary()
    for tag, value in values.items():
        if value is not None:
            tensor = tf.make_tensor_proto(value, tf.float32, shape=[])
            summary.value.add(tag=tag, tensor=tensor, metadata=about)
    tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=step)
