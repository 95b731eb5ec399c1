"""Guided backpropagation: gradients of a logit along paths that raise it."""

from typing import Any

import numpy as np
import tensorflow as tf

from robust_sparse_tf.explain.inputs import by_batches, network_in, of_labels

_GUIDED = "RobustSparseTfGuided"
# The operations of ReLUs in all layers, with the operations of their gradients.
_RECTIFIERS = {"Relu": tf.raw_ops.ReluGrad, "Relu6": tf.raw_ops.Relu6Grad}


def _register(name: str) -> None:
    backward = _RECTIFIERS[name]

    @tf.RegisterGradient(_GUIDED + name)
    def _(operation: tf.Operation, gradient: tf.Tensor) -> tf.Tensor:
        return backward(gradients=tf.nn.relu(gradient), features=operation.outputs[0])


for _name in _RECTIFIERS:
    _register(_name)


def guided_backprop(model: Any, images: Any, labels: Any) -> np.ndarray:
    """Gradients of a label's logit with respect to the image, through guided ReLUs.

    "Striving for Simplicity: The All Convolutional Net" (Springenberg et al., 2015), section 3.4:
    each ReLU passes only positive gradients, and only where its input is positive. This holds for
    every ReLU in the network: layers, activations of layers, dense or masked, nested models, and
    `tf.nn.relu` in code; also for the two ReLUs that make up a PReLU. Other activations pass their
    ordinary gradients. Computed in inference mode: random layers are off, and noise on weights,
    too.

    Args:
        model: tf_keras model that returns logits, dense or sparse, or an `AdversarialModel`.
        images: [n, height, width, channels], in the range of the network's inputs.
        labels: class numbers [n], whose logits are explained.

    Returns:
        float32 [n, height, width, channels], in logits per unit of the input.

    Raises:
        InputError: for other models, images or labels.
    """
    network = network_in(model)

    @tf.function(autograph=False, reduce_retracing=True)
    def explain(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        # By the operations of the graph, as `tf.gradients` looks there for replacements.
        with tf.compat.v1.get_default_graph().gradient_override_map(
            {name: _GUIDED + name for name in _RECTIFIERS}
        ):
            score = of_labels(network, x, y)
        return tf.gradients(score, x, unconnected_gradients=tf.UnconnectedGradients.ZERO)[0]

    return by_batches(network, images, labels, explain)
