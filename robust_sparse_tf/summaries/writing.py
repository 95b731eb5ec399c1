"""Tensors and JSON of the plugin, written to the default summary writer."""

import os
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.histogram import metadata as histograms
from tensorboard.plugins.image import metadata as pictures
from tensorboard.plugins.scalar import metadata as scalars

from robust_sparse_tf import files
from robust_sparse_tf.summaries import log_format

_BINS = 30

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


def write_scalars(values: Mapping[str, Any], step: int) -> None:
    """Writes plain scalars at once, leaving out what is None."""
    plain = scalars.create_summary_metadata(display_name=None, description=None)
    known = {tag: value for tag, value in values.items() if value is not None}
    _write_plain(
        {tag: tf.make_tensor_proto(value, tf.float32, []) for tag, value in known.items()},
        plain,
        step,
    )


def write_images(images: Mapping[str, Sequence[bytes]], shape: Sequence[int], step: int) -> None:
    """Writes PNGs of one shape [height, width, ...] for the tab "Images"."""
    plain = pictures.create_summary_metadata(
        display_name=None, description=None, converted_to_tensor=True
    )
    size = [str(shape[1]).encode(), str(shape[0]).encode()]
    tensors = {tag: tf.make_tensor_proto([*size, *pngs]) for tag, pngs in images.items()}
    _write_plain(tensors, plain, step)


def write_histograms(values: Mapping[str, np.ndarray], step: int) -> None:
    """Writes a histogram of 30 bins of each array; an empty array has none."""
    plain = histograms.create_summary_metadata(display_name=None, description=None)
    tensors = {tag: tf.make_tensor_proto(_bins(array)) for tag, array in values.items()}
    _write_plain(tensors, plain, step)


def _bins(array: np.ndarray) -> np.ndarray:
    """Left and right edge and count of each bin: float64 [bins, 3]."""
    if not array.size:
        return np.zeros([0, 3])
    counts, edges = np.histogram(array.astype(np.float64), bins=_BINS)
    return np.stack([edges[:-1], edges[1:], counts], axis=1)


def _write_plain(tensors: Mapping[str, Any], about: Any, step: int) -> None:
    """Writes tensors of one of TensorBoard's own plugins in one event, which is quicker."""
    summary = tf.compat.v1.Summary()
    known = tf.compat.v1.SummaryMetadata.FromString(about.SerializeToString())
    for tag, tensor in tensors.items():
        summary.value.add(tag=tag, tensor=tensor, metadata=known)
    tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=step)
