"""Exports a model and measures the files, as the options of `experiments.export` say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tf_keras as keras

from experiments.cli.values import Values
from experiments.evaluations import export_options, loading, quantized, stored
from experiments.evaluations.export_options import ExportOptions
from experiments.runs import options as run_flags
from robust_sparse_tf import export
from robust_sparse_tf.attacks import Ball
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.measuring import measure
from robust_sparse_tf.export.model_card import ModelCard
from robust_sparse_tf.export.record import ExportReport

Show = Callable[[str, int, int], None]


def export_model(model: str, folder: str, asked: ExportOptions, show: Show) -> ExportReport:
    """Writes the files of a model to a folder, and measures them.

    Args:
        model: path of a run, a round or a model file.
        folder: for the files.
        asked: the options.
        show: called with progress: (work, done, total).

    Raises:
        InputError: if the model, its data or an option does not fit.
    """
    loading.check(model)
    network = export.load_model(stored.model_of(model), trust=asked.trust, modules=asked.modules)
    flags = loading.flags_of(model)
    # What is refused is refused before files are written.
    ball, card = _ball(asked, flags), _card(network, asked, flags)
    test = loading.images(model, asked.dataset, asked.data_dir, 0)
    names = export_options.formats(asked)
    representative, quantized_network = None, None
    if "tflite_full_int8" in names:
        train = loading.training_images(model, asked.dataset, asked.data_dir)
        representative = train.images[: asked.representative]
        if asked.qat_steps:
            quantized_network = quantized.trained(network, train, flags, asked.qat_steps)
    exports = export.to_formats(
        network,
        folder,
        names,
        test.images[: asked.compared or test.size],
        representative=representative,
        quantized=quantized_network,
        card=card,
        compact=asked.compact,
        on_file=show,
    )
    found = measure(
        exports,
        network,
        test,
        ball=ball,
        name=_label(model, flags) or network.name,
        attacked=asked.attacked,
        calls=asked.calls,
        seed=asked.seed,
        on_file=show,
    )
    for each in exports.written:
        if each.format.quantization:
            export.to_model_explorer(each.path, f"{each.path}.density.json")
    if asked.qat_steps:
        line = (
            "tflite_full_int8: trained further with quantised weights and activations for "
            f"{asked.qat_steps} steps, and compared with the network after it"
        )
        found = dataclasses.replace(found, notes=(*found.notes, line))
    return found


def _ball(asked: ExportOptions, flags: Values) -> Ball | None:
    """The threat model; None if nothing is attacked.

    Raises:
        InputError: if no epsilon is known.
    """
    if not asked.attacked:
        return None
    if asked.epsilon is None and not flags:
        raise InputError("epsilon: must be given for a model without a run, or --attacked=0")
    epsilon, norm = asked.epsilon, asked.norm
    return Ball(
        norm or run_flags.value_of(flags, "eval.norm"),
        run_flags.value_of(flags, "eval.epsilon") if epsilon is None else epsilon,
    )


def _card(network: keras.Model, asked: ExportOptions, flags: Values) -> ModelCard:
    return ModelCard.of(network, class_names=asked.class_names, training=flags)


def _label(model: str, flags: Values) -> str:
    """A readable name of a run's network; "" without a run."""
    if not flags:
        return ""
    parts = [run_flags.value_of(flags, "model"), run_flags.value_of(flags, "method")]
    if flags.get("density"):
        parts.append(f"{100 * flags['density']:g} %")
    parts += [flags[name] for name in ("structure", "conv_structure") if flags.get(name)]
    number = model.rstrip("/").rpartition("rounds/")[2]
    parts += [f"round {number}"] if number.isdecimal() else []
    return " ".join(map(str, parts))
