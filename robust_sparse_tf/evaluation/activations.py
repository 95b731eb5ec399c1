"""Activation sparsity: the fraction of silent hidden units."""

from typing import Any

import numpy as np
import tensorflow as tf

from robust_sparse_tf.evaluation.inputs import Data, batches, examples, unwrapped
from robust_sparse_tf.tensors import check_shape
from robust_sparse_tf.training.activations import with_activations

_BATCH = 500  # images; limits the memory for any size of data set


def activation_sparsity(model: Any, data: Data) -> dict[str, float]:
    """The fraction of zeros among the outputs of each layer with a ReLU, averaged over examples.

    "Sparse DNNs with Improved Adversarial Robustness" (Guo, Zhang, Zhang and Chen, 2018), table 1,
    has it for the last of them, the input of the last layer.

    Args:
        model: a Sequential or functional tf_keras model, wrapped or not.
        data: labelled images, see `inputs.images_and_labels`.

    Returns:
        Fractions by layer name, from the first layer to the last.

    Raises:
        InputError: if the model has no such layer, or the data do not fit.
    """
    split, plain = examples(data), unwrapped(model)
    check_shape(split.images, plain.input_shape)
    network, names = with_activations(plain)

    @tf.function(reduce_retracing=True)
    def zeros(x: tf.Tensor) -> tf.Tensor:
        _, *activations = network(x, training=False)
        return tf.stack([tf.reduce_sum(tf.cast(each == 0, tf.float64)) for each in activations])

    found = sum(zeros(x).numpy() for _, x, _ in batches(split, _BATCH))
    units = [np.prod(output.shape[1:]) for output in network.outputs[1:]]
    return dict(zip(names, (found / (split.size * np.array(units))).tolist(), strict=True))
