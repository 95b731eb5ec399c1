"""Models to evaluate: a run's or a round's, a SavedModel, a `.keras` or a `.tflite` file."""

import functools
import os

import tensorflow as tf
import tf_keras as keras
from ai_edge_litert.interpreter import Interpreter

import robust_sparse_tf.keras_classes  # noqa: F401
from experiments.cli.values import Values
from experiments.runs import config
from robust_sparse_tf import data, export
from robust_sparse_tf.attacks.base import Logits
from robust_sparse_tf.errors import InputError


def load(path: str) -> Logits:
    """The model of a path, as a callable from images to logits.

    Raises:
        InputError: for a path that holds no model that can be read.
    """
    if not os.path.exists(path):
        raise InputError(f"model={path}: does not exist")
    try:
        if path.endswith(".tflite"):
            return _tflite(path)
        path = _of_round(path)
        if os.path.isdir(path):
            return _saved_model(path)
        model = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(path, error) from error
    return lambda x: model(x, training=False)


def network(folder: str) -> keras.Model:
    """The network of a round of a run, whose directory is given.

    Raises:
        InputError: for a directory that holds none that can be read.
    """
    path = os.path.join(folder, "model.keras")
    if not os.path.exists(path):
        raise InputError(f"model={path}: does not exist")
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(path, error) from error


def flags_of(path: str) -> Values:
    """The flags of a run's directory, or of a round in it; none for other paths."""
    for folder in (path, os.path.join(path, "..", "..")):
        if config.exists(folder):
            return config.read(folder)["flags"]
    return {}


def images(path: str, dataset: str | None, data_dir: str | None, examples: int) -> data.Split:
    """The first test images for a model.

    Args:
        path: see `load`.
        dataset: its name; None for that of the model's run, and its classes.
        data_dir: folder of prepared TFDS data.
        examples: how many, 0 for all.

    Raises:
        InputError: where there is no name, and for what `data.load_test` refuses.
    """
    made = {"dataset": dataset} if dataset else flags_of(path)
    if "dataset" not in made:
        raise InputError(f"dataset: must be given, one of {', '.join(data.NAMES)}")
    test = _test(made["dataset"], data_dir, tuple(made.get("classes", ())))
    return test.first(examples or test.size)


@functools.lru_cache(maxsize=1)  # as several commands in one process look at the same images
def _test(dataset: str, data_dir: str | None, classes: tuple[str, ...]) -> data.Split:
    return data.load_test(dataset, data_dir=data_dir, classes=list(classes))


def _unreadable(path: str, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()[0]
    return InputError(f"model={path}: cannot be read ({reason})")


def _of_round(path: str) -> str:
    """The file of a round's network, or the path itself."""
    inner = os.path.join(path, "model.keras")
    return inner if os.path.exists(inner) else path


def _saved_model(path: str) -> Logits:
    inner = os.path.join(path, "saved_model")
    folder = inner if os.path.isdir(inner) else path
    if not os.path.exists(os.path.join(folder, "saved_model.pb")):
        raise InputError(
            f"model={path}: must be the directory of a finished run or of one of its rounds, a "
            "SavedModel, a .keras or a .tflite file"
        )
    loaded = tf.saved_model.load(folder)
    serve = loaded.signatures["serving_default"]
    (entry,) = serve.structured_input_signature[1]
    (exit_,) = serve.structured_outputs

    def logits(x: tf.Tensor) -> tf.Tensor:
        # From `loaded`, whose variables live as long as it does.
        return loaded.signatures["serving_default"](**{entry: x})[exit_]

    return logits


def _tflite(path: str) -> Logits:
    with open(path, "rb") as file:
        content = file.read()

    outputs = export.tflite_function(content)

    def logits(x: tf.Tensor) -> tf.Tensor:
        found = tf.numpy_function(outputs, [x], tf.float32)
        found.set_shape([x.shape[0], classes])
        return found

    classes = int(Interpreter(model_content=content).get_output_details()[0]["shape"][-1])
    return logits
