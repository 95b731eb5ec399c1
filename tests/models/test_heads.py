"""What networks end in is found, however it is written."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models.heads import require_logits, squashed_by
from robust_sparse_tf.models.layers import BinaryLogits

layers = keras.layers


@keras.saving.register_keras_serializable("test_heads")
class Odds(layers.Layer):
    """A sigmoid in a layer of its own."""

    def call(self, inputs):
        return 1 / (1 + tf.exp(-inputs))


@keras.saving.register_keras_serializable("test_heads")
class Chances(layers.Dense):
    """A softmax that is no activation."""

    def call(self, inputs):
        return tf.nn.softmax(super().call(inputs))


def ending(*last, units=3) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([layers.Input((4,)), layers.Dense(units), *last], "mine")


def functional(head, units=3) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = layers.Input((4,))
    return keras.Model(inputs, head(layers.Dense(units)(inputs)), name="mine")


def by_hand(logits):
    powers = tf.exp(logits)
    return powers / tf.reduce_sum(powers, axis=1, keepdims=True)


def nested(activation) -> keras.Model:
    inner = keras.Sequential([layers.Input((3,)), layers.Dense(3, activation)], "inner")
    return ending(inner, layers.Reshape((3,)))


def mean_of_two(activation) -> keras.Model:
    inputs = layers.Input((4,))
    both = [layers.Dense(3, activation)(inputs) for _ in range(2)]
    return keras.Model(inputs, layers.Average()(both), name="mine")


def half() -> keras.Model:
    return ending(layers.Dense(3, "softmax", dtype="mixed_float16"), layers.Activation("linear"))


def zeros() -> keras.Model:
    return ending(layers.Dense(3, lambda z: tf.nn.sigmoid(z), kernel_initializer="zeros"))


SQUASHED = {
    "softmax": (lambda: ending(layers.Dense(3, "softmax", name="p")), r"softmax \(layer p\)"),
    "softmax layer": (lambda: ending(layers.Softmax()), "softmax"),
    "tf.nn.softmax": (lambda: ending(layers.Dense(3, tf.nn.softmax)), "softmax"),
    "lambda softmax": (lambda: ending(layers.Dense(3, lambda z: tf.nn.softmax(z))), "softmax"),
    "Lambda softmax": (lambda: ending(layers.Lambda(lambda z: tf.nn.softmax(z))), "softmax"),
    "softmax of a tensor": (lambda: functional(tf.nn.softmax), "softmax"),
    "softmax by hand": (lambda: functional(by_hand), "softmax"),
    "softmax in float16": (half, "softmax"),
    "nested softmax": (lambda: nested("softmax"), "softmax"),
    "mean of softmaxes": (lambda: mean_of_two("softmax"), "softmax"),
    "sparse softmax": (lambda: sparsify(ending(layers.Dense(3, "softmax"))), "softmax"),
    "softmax after a mask": (lambda: sparsify(functional(tf.nn.softmax)), "softmax"),
    "dropped softmax": (lambda: ending(layers.Softmax(), layers.Dropout(0.1)), "softmax"),
    "scaled softmax": (lambda: ending(layers.Softmax(), layers.Rescaling(100.0)), "softmax"),
    "sum of softmaxes": (lambda: functional(lambda z: by_hand(z) + by_hand(-z)), "softmax"),
    "a subclass": (lambda: ending(Chances(3)), "softmax"),
    "sigmoid": (lambda: ending(layers.Dense(3, "sigmoid")), "sigmoid"),
    "sigmoid activation": (lambda: ending(layers.Activation("sigmoid")), "sigmoid"),
    "sigmoid of a tensor": (lambda: functional(tf.sigmoid), "sigmoid"),
    "a layer of its own": (lambda: ending(Odds()), "sigmoid"),
    "hard sigmoid": (lambda: ending(layers.Dense(3, "hard_sigmoid")), "sigmoid"),
    "lambda sigmoid of zeros": (zeros, "sigmoid"),
    "nested sigmoid": (lambda: nested("sigmoid"), "sigmoid"),
    "mean of sigmoids": (lambda: mean_of_two("sigmoid"), "sigmoid"),
    "tanh": (lambda: ending(layers.Dense(3, "tanh", name="p")), r"tanh \(layer p\)"),
    "lambda tanh": (lambda: ending(layers.Dense(3, lambda z: tf.tanh(z))), "tanh"),
    "tanh of a tensor": (lambda: functional(tf.tanh), "tanh"),
    "sparse tanh": (lambda: sparsify(ending(layers.Dense(3, "tanh"))), "tanh"),
    "softsign": (lambda: ending(layers.Activation("softsign")), "tanh"),
    "clipped": (lambda: functional(lambda z: tf.clip_by_value(z, -1, 1)), "tanh"),
    "mean of tanhs": (lambda: mean_of_two("tanh"), "tanh"),
    "two of one sigmoid": (lambda: ending(layers.Dense(1, "sigmoid"), BinaryLogits()), "sigmoid"),
}


@pytest.mark.parametrize("case", SQUASHED)
def test_squashed_outputs_are_refused(case):
    make, kind = SQUASHED[case]
    with pytest.raises(InputError, match=f"^model mine: ends in {kind}.*; it must return logits$"):
        require_logits(make())


OTHERS = {
    "one output": (lambda: ending(units=1), r"returns shape \(None, 1\); .*BinaryLogits"),
    "one probability": (lambda: ending(layers.Dense(1, "sigmoid")), ".*BinaryLogits makes"),
    "a sequence": (lambda: ending(layers.Reshape((3, 1))), r"returns shape \(None, 3, 1\); must"),
    "two outputs": (lambda: functional(lambda z: [z, z]), "has 2 outputs; must have one"),
    "outputs in a tuple": (lambda: functional(lambda z: (z, z)), "has 2 outputs; must have one"),
    "a dictionary": (
        lambda: keras.Model({"x": (x := layers.Input((4,)))}, layers.Dense(3)(x), name="mine"),
        "has its inputs in a dictionary; must have one",
    ),
    "not built": (lambda: keras.Sequential([layers.Dense(3)], "mine"), "must be built"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_shapes_are_refused(case):
    make, words = OTHERS[case]
    with pytest.raises(InputError, match=f"^model mine: {words}"):
        require_logits(make())


LOGITS = {
    "dense": lambda: ending(),
    "zeros": lambda: ending(layers.Dense(3, kernel_initializer="zeros")),
    "tensor of zeros": lambda: functional(lambda z: 0 * z),
    "relu": lambda: ending(layers.Dense(3, "relu")),
    "tensor of ones": lambda: functional(lambda z: 0 * z + 1),
    "votes": lambda: functional(lambda z: 5 * tf.one_hot(tf.argmax(z, axis=-1), 3)),
    "votes against": (lambda: functional(lambda z: 2 * tf.one_hot(tf.argmax(z, -1), 3) - 1)),
    "cosines": lambda: functional(lambda z: tf.math.l2_normalize(z, -1)),
    "hidden tanh": lambda: functional(lambda z: 0.4 * tf.tanh(z)),
    "log softmax": lambda: functional(tf.nn.log_softmax),
    "hidden sigmoid": lambda: ending(layers.Dense(3, "sigmoid"), layers.Dense(3)),
    "in float32": lambda: ending(layers.Activation("linear", dtype="float32")),
    "scaled": lambda: functional(lambda z: 0.001 * z),
    "normalised": lambda: ending(layers.BatchNormalization()),
    "sparse": lambda: sparsify(ending()),
    "binary": lambda: models.binary_linear((4, 4, 1)),
    "embedded": lambda: keras.Sequential(
        [layers.Input((4,), dtype="int32"), layers.Embedding(5, 3), layers.GlobalMaxPooling1D()]
    ),
    "any size": lambda: keras.Sequential(
        [layers.Input((None, None, 1)), layers.Conv2D(3, 3), layers.GlobalAveragePooling2D()]
    ),
}


@pytest.mark.parametrize("case", LOGITS)
def test_logits_are_taken(case):
    require_logits(LOGITS[case]())


def test_outputs_tell():
    """Those of a few inputs may lie in [0, 1] by chance; those of larger ones then do not."""
    inputs = np.eye(3, dtype=np.float32)
    kinds = {
        "softmax": tf.nn.softmax,
        "sigmoid": tf.sigmoid,
        "": lambda x: x,  # adds up to 1 here
    }
    for kind, function in kinds.items():
        assert squashed_by(function, inputs, function(inputs).numpy() if kind else inputs) == kind

    def only_these(x):
        if np.max(x) > 1 or np.min(x) < 0:
            raise ValueError("out of range")
        return tf.nn.softmax(x)

    assert squashed_by(only_these, inputs, only_these(inputs).numpy()) == "softmax"
