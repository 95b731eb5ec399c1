"""Small TFLite files of all kinds of numbers and operations, for tests."""

import contextlib
import io

import numpy as np
import tensorflow as tf
import tf_keras as keras
from ai_edge_quantizer import quantizer, recipe

layers = keras.layers

KINDS = ("fp32", "fp16", "int8", "int4", "full_int8", "full_int8_inputs")


def converted(model: keras.Model, kind: str, images: np.ndarray) -> bytes:
    """The bytes of a file with numbers of a kind; `images` calibrate full int8."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if kind == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if kind in ("sparse", "sparse_fp16"):
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    elif kind in ("fp16", "full_int8", "full_int8_inputs"):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind.startswith("full_int8"):
        converter.representative_dataset = lambda: ([image[None]] for image in images[:100])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if kind == "full_int8_inputs":
        converter.inference_input_type = converter.inference_output_type = tf.int8
    content = converter.convert()
    recipes = {"int8": recipe.dynamic_wi8_afp32, "int4": recipe.dynamic_wi4_afp32}
    return quantised(content, recipes[kind]()) if kind in recipes else content


def quantised(content: bytes, asked: object) -> bytes:
    """The file with quantised weights."""
    with contextlib.redirect_stdout(io.StringIO()):
        found = quantizer.Quantizer(content)
        found.load_quantization_recipe(asked)
        return bytes(found.quantize(None).quantized_model)


def convolutional() -> keras.Model:
    """A small network of the usual layers."""
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu", padding="same"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, activation="relu", strides=2, padding="same"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def mixed() -> keras.Model:
    """A network of most operations that have a twin."""
    inputs = layers.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, strides=2)(layers.ZeroPadding2D(1)(inputs))
    x = residual = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.LeakyReLU(0.1)(layers.DepthwiseConv2D(3, padding="same")(x))
    x = layers.Activation("relu")(layers.Add()([layers.Conv2D(8, 1)(x), residual]))
    x = layers.Concatenate()([layers.AveragePooling2D()(x), layers.MaxPooling2D()(x)])
    x = layers.Conv2D(8, 1, activation="sigmoid")(x)
    x = layers.Multiply()([x, layers.GlobalAveragePooling2D(keepdims=True)(x)])
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.Flatten()(x)])
    x = layers.Dense(24, activation="tanh")(x)
    x = layers.Flatten()(layers.Permute((2, 1, 3))(layers.Reshape((2, 3, 4))(x)))
    parts = [layers.Dense(16, activation=name)(x) for name in ("relu", "softmax")]
    return keras.Model(inputs, layers.Dense(10)(layers.Subtract()(parts)))
