"""Exports a model in several formats, and compares every file with the Keras model."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tf_keras as keras

from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.export import keras3, onnx_file, packed, saved_model, tflite
from robust_sparse_tf.export.compaction.compacting import compact as compacted
from robust_sparse_tf.export.formats import Format, format_of
from robust_sparse_tf.export.model_card import ModelCard
from robust_sparse_tf.export.plain import plain
from robust_sparse_tf.export.storage import sizes
from robust_sparse_tf.export.verification import Verification, verify
from robust_sparse_tf.options import checked, checked_path, require, require_function
from robust_sparse_tf.training.noise_layers import WeightNoise

_NOISE = (
    keras.layers.GaussianNoise,
    keras.layers.GaussianDropout,
    keras.layers.AlphaDropout,
    WeightNoise,
)
Writer = Callable[[str], int]


@dataclasses.dataclass(frozen=True)
class Exported:
    """A file that was written, and predicts what the Keras model predicts.

    Attributes:
        format: its format.
        path: of the file, or of a SavedModel's folder.
        compacted: whether it holds the compacted network.
        bytes: its size.
        gzip_bytes: its size after gzip.
        verification: the comparison with the Keras model.
    """

    format: Format
    path: str
    compacted: bool
    bytes: int
    gzip_bytes: int
    verification: Verification


@dataclasses.dataclass(frozen=True)
class Exports:
    """The files of a model.

    Attributes:
        written: files that were written.
        refused: reasons by the names of formats that were not.
        notes: lines on what was done to the model.
    """

    written: tuple[Exported, ...]
    refused: Mapping[str, str]
    notes: tuple[str, ...]


def to_formats(
    model: keras.Model,
    folder: str,
    formats: Sequence[str],
    images: np.ndarray,
    *,
    representative: np.ndarray | None = None,
    quantized: keras.Model | None = None,
    card: ModelCard | None = None,
    compact: bool = True,
    on_file: Callable[[str, int, int], None] = lambda work, done, total: None,
) -> Exports:
    """Writes a model in several formats, and compares each file with it.

    A file that cannot be written, or whose predictions differ from the model's, is left out with
    the reason. Noise layers are off, as in any inference.

    Args:
        model: Sequential or functional tf_keras classifier, sparse or not.
        folder: for the files, which are named by their formats; made if it does not exist.
        formats: names of `formats.FORMATS`.
        images: float32 [n, ...] for the comparison; at least 1,000 tell small differences.
        representative: training images [n, ...] for the ranges of activations, for full_int8.
        quantized: the model after training with quantised weights and activations, for full_int8;
            see `quantization_aware`.
        card: the model card of a SavedModel.
        compact: whether to remove units that do not matter; see `compact`. A sparse file holds the
            compacted network only where that is smaller, as compaction breaks blocks of weights;
            packed files never do.
        on_file: called with progress: (work, files done, all files).

    Raises:
        InputError: for unknown formats, or a model that no format can hold.
        WriteError: if a file cannot be written.
    """
    folder, compact = checked_path("folder", folder), checked("compact", compact, bool)
    chosen = [format_of(name) for name in checked("formats", list(formats), list)]
    require("images", images, np.ndarray)
    require_function("on_file", on_file, 3)
    network = plain(model)
    small, notes = _compacted(network) if compact else (None, [])
    os.makedirs(folder, exist_ok=True)
    written, refused = [], {}
    for number, each in enumerate(chosen):
        on_file("exporting", number, len(chosen))
        path = os.path.join(folder, each.file_name)
        wanted = network
        if each.quantization == "full_int8" and quantized is not None:
            wanted, candidates = quantized, [quantized]
        elif small is None or each.name == "packed":
            candidates = [network]
        else:
            candidates = [network, small] if each.sparse else [small]
        try:
            writers = [_writer(each, own, representative, card) for own in candidates]
            best, count = _smallest(writers, path)
            found = verify(path, wanted, images)
        except (InputError, TrainingError) as error:
            refused[each.name] = str(error)
            continue
        gzipped = sizes(path).gzip_bytes
        written.append(Exported(each, path, candidates[best] is small, count, gzipped, found))
    return Exports(tuple(written), refused, (*_noise(model), *notes))


def _smallest(writers: Sequence[Writer], path: str) -> tuple[int, int]:
    """Writes the smallest of several files: its place in the list, and its bytes.

    Raises:
        InputError: of the first one, if none can be written.
        TrainingError: the same.
    """
    best: tuple[int, int] | None = None
    errors: list[InputError | TrainingError] = []
    other = f"{path}.other"
    for place, write in enumerate(writers):
        try:
            count = write(other if best else path)
        except (InputError, TrainingError) as error:
            errors.append(error)
            continue
        if best is None:
            best = place, count
        elif count < best[1]:
            os.replace(other, path)
            best = place, count
        else:
            os.remove(other)
    if best is None:
        raise errors[0]
    return best


def _writer(
    chosen: Format,
    network: keras.Model,
    representative: np.ndarray | None,
    card: ModelCard | None,
) -> Writer:
    """The function that writes a network to a path, and returns the number of bytes."""
    if chosen.quantization:
        return functools.partial(
            tflite.to_tflite,
            network,
            quantization=chosen.quantization,
            sparse=chosen.sparse,
            representative=representative if chosen.quantization == "full_int8" else None,
        )
    writers: dict[str, Writer] = {
        "saved_model": functools.partial(saved_model.to_saved_model, network, card=card),
        "keras3": functools.partial(keras3.to_keras3, network),
        "onnx": functools.partial(onnx_file.to_onnx, network),
        "packed": functools.partial(packed.to_packed, network),
    }
    return writers[chosen.name]


def _compacted(network: keras.Model) -> tuple[keras.Model | None, list[str]]:
    """The compacted network and lines about it; no network if nothing was removed."""
    try:
        found = compacted(network)
    except (InputError, TrainingError) as error:
        return None, [f"not compacted: {error}"]
    before, after = network.count_params(), found.model.count_params()
    stopped = [f"compaction stopped at {name}: {reason}" for name, reason in found.stopped]
    if before == after:
        return None, ["compaction found nothing to remove", *stopped]
    return found.model, [f"compacted from {before:,} to {after:,} weights", *stopped]


def _noise(network: keras.Model) -> list[str]:
    names = [layer.name for layer in network.submodules if isinstance(layer, _NOISE)]
    return [f"noise layers are off in the files: {', '.join(names)}"] if names else []
