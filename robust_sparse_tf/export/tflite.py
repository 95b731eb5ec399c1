"""Export to TFLite; files are compared with the Keras model."""

import math
from typing import Any

import numpy as np
import tf_keras as keras

from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.export import float32
from robust_sparse_tf.export.combinations import refusal
from robust_sparse_tf.export.examples import outputs, random_inputs, require_built, scaled
from robust_sparse_tf.export.formats import QUANTIZATIONS
from robust_sparse_tf.export.plain import plain
from robust_sparse_tf.export.quantization import convert, missing
from robust_sparse_tf.export.quantization_training import is_quantization_aware
from robust_sparse_tf.export.tflite_runner import tflite_logits
from robust_sparse_tf.export.verification import LIMITS, RESOLVERS
from robust_sparse_tf.options import checked, checked_path
from robust_sparse_tf.tensors import as_array
from robust_sparse_tf.values import check_images

_COMPARED = 100  # representative images
_FEWEST = 10


def to_tflite(
    model: keras.Model,
    path: str,
    *,
    quantization: str = "fp32",
    sparse: bool | None = None,
    representative: Any = None,
) -> int:
    """Writes a TFLite model, whose outputs are compared with the Keras model's.

    Inputs and outputs have the type of the model's, float32 of most, whatever the quantisation.
    Networks in float16, mixed precision or float64 are written as those in float32. The file of a
    recurrent network takes one example at a time; call the interpreter's `reset_all_variables`
    before each.

    Args:
        model: the model; one from `quantization_aware` is written as full_int8 only.
        path: path of the file.
        quantization: "fp32"; "fp16" (weights); "int8" or "int4" (weights, one scale per output;
            activations are quantised to 8 bits on the fly); "full_int8" (weights and activations).
        sparse: whether to leave out zeros, of layers with at least 30 % zeros; see
            `combinations.COMBINATIONS`. None does so if the table allows it for the network.
        representative: numbers [n, ...] of the shape and range of the model's inputs, such as 100
            training images; uint8 is scaled to [0, 1] for a model of real inputs. They give the
            ranges of activations, which full_int8 needs unless they were trained. Files of all
            quantisations are compared with the model on up to 100 of them, instead of random
            inputs.

    Returns:
        The size of the file in bytes.

    Raises:
        InputError: for several inputs or outputs, unknown sizes, states kept between calls, wrong
            representative images, a combination that the table refuses, or a model that the
            converter refuses.
        TrainingError: if its outputs differ from the Keras model's.
    """
    path, network = checked_path("path", path), plain(model)
    quantization = checked("quantization", quantization, str, choices=QUANTIZATIONS)
    sparse = None if sparse is None else checked("sparse", sparse, bool)
    _refuse(network)
    images = None if representative is None else _representative(representative, network)
    _refuse_quantization(network, quantization, images)
    if (reason := refusal(quantization, sparse is not False, network)) and sparse:
        raise InputError(
            f"model {network.name}: cannot be written as sparse {quantization}: {reason}"
        )
    given, network = network, float32.rebuilt(network)
    inputs = random_inputs(network) if images is None else images[:_COMPARED]
    expected = outputs(network, inputs)
    if given is not network:
        _require_near(path, outputs(given, inputs), expected)
    fixed = any(isinstance(layer, keras.layers.RNN) for layer in network.submodules)
    ranges = None if is_quantization_aware(network) else images
    # Where the choice is ours, a sparse file that is wrong all the same is written dense.
    encodings = [bool(sparse)] if sparse is not None or reason else [True, False]
    for encoding in encodings:
        content = convert(network, quantization, encoding, ranges, fixed)
        if reason := missing(content, quantization, bool(sparse)):
            kind = "sparse " * bool(sparse) + quantization
            raise InputError(f"model {network.name}: cannot be written as {kind}: {reason}")
        difference = _difference(content, inputs, expected)
        if difference <= LIMITS[quantization].largest_difference(expected):
            break
    else:
        raise TrainingError(f"{path}: TFLite logits differ from Keras' by {difference}")
    with files.complete(path) as file:
        file.write(content)
    return len(content)


def _refuse(network: keras.Model) -> None:
    """Raises InputError for models that cannot be converted."""
    require_built(network)
    counts = len(network.inputs), len(network.outputs)
    reason = ""
    if not network.inputs[0].dtype.is_floating and not network.inputs[0].dtype.is_integer:
        reason = f"has inputs of type {network.inputs[0].dtype.name}; must have numbers"
    elif max(counts) > 1:
        reason = "has {} inputs and {} outputs; must have one of each".format(*counts)
    elif None in network.inputs[0].shape[1:]:
        reason = f"has inputs of shape {network.inputs[0].shape}; all sizes but the batch's must "
        reason += "be known"
    elif network.stateful:
        reason = "keeps states between calls; build it with stateful=False"
    if reason:
        raise InputError(f"model {network.name}: {reason}, to be converted to TFLite")


def _representative(value: Any, network: keras.Model) -> np.ndarray:
    """Representative images, of the type of a network's inputs."""
    (symbol,) = network.inputs
    images, shape = as_array("representative", value), tuple(symbol.shape[1:])
    if images.shape[1:] != shape or len(images) < _FEWEST:
        wanted = ", ".join(map(str, ["n", *shape]))
        raise InputError(
            f"representative of shape {images.shape}: must be [{wanted}], n at least {_FEWEST}"
        )
    check_images(images, None, "representative")
    return scaled(images, symbol.dtype).astype(symbol.dtype.as_numpy_dtype)


def _refuse_quantization(
    network: keras.Model, quantization: str, images: np.ndarray | None
) -> None:
    """Raises InputError for a quantisation that a network, or what is given, does not allow."""
    trained = is_quantization_aware(network)
    if trained and quantization != "full_int8":
        raise InputError(
            f"quantization={quantization}: must be full_int8 for model {network.name}, whose "
            "quantisation was trained"
        )
    if quantization == "full_int8" and not trained and images is None:
        raise InputError(
            "quantization=full_int8: needs representative images, which give the ranges of "
            "activations"
        )


def _require_near(path: str, given: np.ndarray, found: np.ndarray) -> None:
    """Raises TrainingError if outputs differ by more than rounding to half precision."""
    difference = np.abs(given - found).max()
    if not difference <= 0.05 * max(1.0, np.abs(given).max()):
        raise TrainingError(f"{path}: float32 logits differ from the model's by {difference}")


def _difference(content: bytes, inputs: np.ndarray, expected: np.ndarray) -> float:
    """The maximum difference of logits, with and without XNNPACK; NaN if the file does not run."""
    try:
        found = [tflite_logits(content, inputs, resolver) for resolver in RESOLVERS]
    except RuntimeError:
        return math.nan
    return float(np.max([np.abs(each - expected).max() for each in found]))
