"""Quantisation-aware training that keeps zeros; the only module that uses tfmot's quantisation."""

import numpy as np
import tf_keras as keras
from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize,
    quantize_layer,
    quantize_wrapper,
)
from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.prune_preserve import (  # noqa: E501
    default_8bit_prune_preserve_quantize_scheme as scheme,
)
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
    default_8bit_quantize_registry,
)

from robust_sparse_tf.errors import InputError, reason
from robust_sparse_tf.evaluation.inputs import unwrapped
from robust_sparse_tf.export import float32
from robust_sparse_tf.export.plain import plain

# Layers that tfmot's registry lacks, but replaces or folds.
_HANDLED = (
    keras.layers.InputLayer,
    keras.layers.BatchNormalization,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)


def quantization_aware(model: keras.Model) -> keras.Model:
    """Returns a network that computes as with 8 bits, and learns weights and ranges for it.

    Weights that are zero stay zero. Train it for an epoch or more with a small learning rate, by
    its `fit` or in a `rst.AdversarialModel`; `to_tflite` then writes it with
    `quantization="full_int8"`, with the trained ranges. Batch normalisation that follows a
    convolution is folded as in the file. "PQAT" of the TensorFlow Model Optimization Toolkit.

    Args:
        model: trained model with one input and one output; it is not changed.

    Returns:
        A functional tf_keras model from the same inputs to logits, with copies of the weights.

    Raises:
        InputError: for a model with layers that the toolkit cannot quantise, naming the layer.
    """
    network = float32.rebuilt(plain(unwrapped(model)))
    if is_quantization_aware(network):
        raise InputError(f"model {network.name}: is quantisation-aware already")
    registry = default_8bit_quantize_registry.Default8BitQuantizeRegistry()
    for layer in network.layers:
        if not isinstance(layer, _HANDLED) and not registry.supports(layer):
            kind = type(layer).__name__
            raise InputError(
                f"model {network.name}: layer {layer.name} ({kind}) cannot be trained quantised; "
                "tensorflow-model-optimization knows no 8-bit computation of it"
            )
    try:
        annotated = quantize.quantize_annotate_model(network)
        found = quantize.quantize_apply(annotated, scheme.Default8BitPrunePreserveQuantizeScheme())
    except Exception as error:  # of several types
        told = reason(error).split(" You can quantize")[0]
        raise InputError(f"model {network.name}: cannot be trained quantised ({told})") from error
    _set_ranges(found)
    return found


def is_quantization_aware(network: keras.Model) -> bool:
    """Whether a network is one of `quantization_aware`."""
    return any(isinstance(layer, quantize_wrapper.QuantizeWrapper) for layer in network.layers)


def _set_ranges(network: keras.Model) -> None:
    """Sets ranges so that the network computes right before it is trained.

    tfmot's begin at -6 to 6 for weights, and at 0 for inputs, whose range grows with their values.
    """
    for layer in network.layers:
        if isinstance(layer, quantize_layer.QuantizeLayer):
            layer.quantizer_vars["max_var"].assign(1.0)  # of images
        for weight, quantizer, ranges in getattr(layer, "_weight_vars", ()):
            axes = tuple(range(weight.shape.rank - 1)) if quantizer.per_axis else None
            largest = np.abs(weight.numpy()).max(axis=axes)
            ranges["min_var"].assign(-largest)
            ranges["max_var"].assign(largest)
