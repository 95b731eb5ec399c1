"""Export to SavedModel, with signatures, class names and a model card."""

import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.examples import require_built
from robust_sparse_tf.export.model_card import ModelCard
from robust_sparse_tf.export.plain import plain
from robust_sparse_tf.export.storage import sizes
from robust_sparse_tf.models.heads import require_logits
from robust_sparse_tf.options import checked_path, require

# A folder that TensorFlow leaves to users: it serves and copies it, and never reads it.
_ASSETS = "assets.extra"


def to_saved_model(
    model: keras.Model,
    path: str,
    *,
    class_names: Sequence[str] = (),
    card: ModelCard | None = None,
) -> int:
    """Writes the stripped model as a SavedModel; `path` appears once it is complete.

    A classifier with one input of numbers and logits as its output has these signatures, for any
    batch size, which take `images` and return what they are named after:

    - `serving_default`: images [batch, ...] of the model's values, usually float32 in [0, 1], to
      `logits` float32 [batch, classes].
    - `probabilities`: the same, to `probabilities` in [0, 1], the softmax of the logits.
    - `uint8_logits`, `uint8_probabilities`: images uint8 in 0 to 255, which are divided by 255. Not
      for models with integer inputs.

    Other models have Keras' own `serving_default` only. The folder `assets.extra` holds
    `model_card.md`, `model_card.json` and, if they are known, `class_names.txt`; no program is
    needed to read them, and copies of the folder keep them.

    Args:
        model: a Sequential or functional tf_keras model.
        path: of the folder; one that exists is replaced.
        class_names: names of the classes, in the order of the logits; those of the card by default.
        card: the model card; one with what can be read from the model by default.

    Returns:
        The size of all files in bytes.

    Raises:
        InputError: unless it is a built Sequential or functional tf_keras model, or if the number
            of names is not that of the classes.
        WriteError: naming the path, if it cannot be written.
    """
    path = checked_path("path", path)
    network, partial = plain(model), path + ".partial"
    require_built(network)
    card = _card(network, class_names, card)
    shutil.rmtree(partial, ignore_errors=True)
    with files.naming(path), files.discarding(partial):
        network.save(
            partial, save_format="tf", include_optimizer=False, signatures=_signatures(network)
        )
        os.mkdir(os.path.join(partial, _ASSETS))
        card.write(os.path.join(partial, _ASSETS))
        shutil.rmtree(path, ignore_errors=True)
        os.replace(partial, path)
    return sizes(path).bytes


def _card(network: keras.Model, class_names: Sequence[str], card: ModelCard | None) -> ModelCard:
    own = ModelCard.of(network, class_names=class_names)
    if card is None:
        return own
    require("card", card, ModelCard)
    if own.class_names and own.class_names != tuple(card.class_names):
        raise InputError("class_names: differ from those of the card; give one of them")
    return card


def _signatures(network: keras.Model) -> dict[str, Callable[..., Any]] | None:
    """The signatures of a classifier; None for other models, which get Keras' own."""
    try:
        require_logits(network)
    except InputError:
        return None
    (symbol,) = network.inputs
    kind = symbol.dtype
    if not kind.is_floating and not kind.is_integer:
        return None
    given = tf.float32 if kind.is_floating and kind.size < 4 else kind

    def logits(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(network(tf.cast(images, kind), training=False), tf.float32)

    def scaled(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(images, tf.float32) / 255

    def signature(call: Callable[[tf.Tensor], tf.Tensor], dtype: tf.DType, output: str) -> Any:
        spec = tf.TensorSpec(symbol.shape, dtype, "images")
        return tf.function(lambda images: {output: call(images)}, input_signature=[spec])

    def probabilities(images: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(logits(images))

    found = {
        "serving_default": signature(logits, given, "logits"),
        "probabilities": signature(probabilities, given, "probabilities"),
    }
    if kind.is_floating:
        found["uint8_logits"] = signature(lambda x: logits(scaled(x)), tf.uint8, "logits")
        found["uint8_probabilities"] = signature(
            lambda x: probabilities(scaled(x)), tf.uint8, "probabilities"
        )
    return found
