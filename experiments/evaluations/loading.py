"""Loads models: of a run or round, a SavedModel, or a file of any format."""

import functools
import os
from collections.abc import Sequence

import tf_keras as keras

import robust_sparse_tf.keras_classes  # noqa: F401
from experiments.cli.quiet import quiet_stderr
from experiments.cli.values import Values
from experiments.evaluations import stored
from experiments.runs import config, options
from robust_sparse_tf import data, export, training
from robust_sparse_tf.attacks.base import Logits
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export import forms
from robust_sparse_tf.options import make
from robust_sparse_tf.training.objectives import BY_NAME, Certified

_WITH_LAYERS = ("keras", "hdf5", "packed")  # formats of files


def load(path: str, *, trust: bool = False, modules: Sequence[str] = ()) -> Logits:
    """Loads the model of a path, as a callable from images to logits: if possible with its layers.

    Args:
        path: path of a run, a round or a model, checked with `check`.
        trust: see `export.load_model`.
        modules: see `export.load_model`.

    Raises:
        InputError: if the path has no readable model, or one that is refused.
    """
    place = stored.model_of(path)
    if os.path.isfile(place) and forms.form_of(place) in _WITH_LAYERS:
        return with_layers(path, trust=trust, modules=modules)
    with quiet_stderr():
        return export.load(place, trust=trust, modules=modules)


def bounds_of(path: str, certify: str) -> str:
    """The bounds that certify a model, given the option; see `EvaluateOptions.certify`."""
    if certify != "auto":
        return certify
    objective = BY_NAME.get(flags_of(path).get("objective", ""))
    return "interval" if objective and issubclass(objective, Certified) else "none"


def with_layers(path: str, *, trust: bool = False, modules: Sequence[str] = ()) -> keras.Model:
    """Loads the model of a path as a tf_keras model, which bounds need; see `load`."""
    with quiet_stderr():
        return export.load_model(stored.model_of(path), trust=trust, modules=modules)


def check(path: str) -> None:
    """Refuses a folder without a model.

    Args:
        path: see `load`.

    Raises:
        InputError: for such a folder.
    """
    if os.path.isdir(stored.model_of(path)) and not _is_saved_model(stored.model_of(path)):
        raise InputError(
            f"model={path}: must be the directory of a finished run or of one of its rounds, a "
            "SavedModel, a .keras, .h5, .tflite, .onnx or packed .safetensors file"
        )


def switch_noise(model: Logits, noise: str) -> None:
    """Switches the noise at inference of a loaded model "on" or "off".

    Raises:
        InputError: for a model without noise on its weights, or none of tf_keras.
    """
    if not training.noise.has_noise(model):
        raise InputError(f"noise={noise}: the model has no noise on its weights to be switched")
    training.noise.set_noise(model, at_inference=noise == "on")


def network(folder: str, *, trust: bool = False, modules: Sequence[str] = ()) -> keras.Model:
    """Loads the network of a round, given its directory; see `load`."""
    path = os.path.join(folder, "model.keras")
    with quiet_stderr():
        return export.load_model(path, trust=trust, modules=modules)


def flags_of(path: str) -> Values:
    """The flags of a run, given its directory or that of a round; empty for other paths."""
    for folder in (path, os.path.join(path, "..", "..")):
        if config.exists(folder):
            return config.read(folder)["flags"]
    return {}


def images(path: str, dataset: str | None, data_dir: str | None, examples: int) -> data.Split:
    """The first test images for a model.

    Args:
        path: see `load`.
        dataset: name of the data set; None for data set and classes of the model's run.
        data_dir: folder of prepared TFDS data.
        examples: number of images, 0 for all.

    Raises:
        InputError: if no name is known, or `data.load_test` refuses the data.
    """
    made = _data_flags(path, dataset)
    kept = (made.get("image_size"), made.get("scale", 1.0), tuple(made.get("classes", ())))
    test = _test(made["dataset"], data_dir, *kept)
    return test.first(examples or test.size)


def training_images(path: str, dataset: str | None, data_dir: str | None) -> data.Split:
    """The training images for a model, without those for validation; see `images`."""
    values = options.whole(_data_flags(path, dataset))
    chosen = make(data.DataOptions, values | {"data_dir": data_dir})
    return data.load(**vars(chosen), seed=values["seed"])[0]


def _data_flags(path: str, dataset: str | None) -> Values:
    """The flags of a model's run, or those for another data set.

    Raises:
        InputError: if no data set is known.
    """
    made = flags_of(path)
    if dataset:
        made = {name: made[name] for name in ("image_size", "scale") if name in made}
        made["dataset"] = dataset
    if "dataset" not in made:
        raise InputError(f"dataset: must be given, one of {', '.join(data.NAMES)}")
    return made


@functools.lru_cache(maxsize=1)  # several commands in one process use the same images
def _test(
    dataset: str,
    data_dir: str | None,
    image_size: int | None,
    scale: float,
    classes: tuple[str, ...],
) -> data.Split:
    return data.load_test(
        dataset, data_dir=data_dir, image_size=image_size, scale=scale, classes=list(classes)
    )


def _is_saved_model(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, "saved_model.pb"))
