"""The model card: what an exported network is, in Markdown and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tf_keras as keras

from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.examples import require_built
from robust_sparse_tf.export.kernels import kernels
from robust_sparse_tf.export.plain import plain
from robust_sparse_tf.options import shown

_USE = "Classification of inputs like those it was trained on."
_LIMITS = (
    "Robustness was measured, where it is given, against the attacks named, at their norm and "
    "epsilon only; a stronger attack may leave less.",
    "Accuracy on inputs of another kind than the training data is not known.",
)


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """Facts about a network. Only what is given or can be counted is written, no guesses.

    See "Model Cards for Model Reporting" (Mitchell et al., 2019).

    Args:
        name: of the network.
        layers: number of layers by class.
        inputs: shape and type of each input; the first size is the batch's.
        outputs: shape and type of each output.
        class_names: names of the classes, in the order of the logits; () if not known.
        parameters: number of all weights.
        nonzero: number of those that are not zero.
        densities: fraction of the weights of each kernel that are not zero, by layer.
        training: how it was trained: names and values, such as {"attack": "pgd"}.
        accuracy: fractions in [0, 1] by name, such as {"clean": 0.98, "pgd, linf 0.3": 0.91}.
        formats: bytes of the files it was exported to, by format.
        notes: further sentences, such as "Noise layers are off at inference."
    """

    name: str
    layers: Mapping[str, int]
    inputs: Sequence[str]
    outputs: Sequence[str]
    class_names: Sequence[str]
    parameters: int
    nonzero: int
    densities: Mapping[str, float]
    training: Mapping[str, Any]
    accuracy: Mapping[str, float]
    formats: Mapping[str, int]
    notes: Sequence[str]

    @classmethod
    def of(
        cls,
        model: keras.Model,
        *,
        class_names: Sequence[str] = (),
        training: Mapping[str, Any] | None = None,
        accuracy: Mapping[str, float] | None = None,
        formats: Mapping[str, int] | None = None,
        notes: Sequence[str] = (),
    ) -> ModelCard:
        """The card of a model; what cannot be read from the model is given.

        Raises:
            InputError: unless it is a built Sequential or functional tf_keras model, or for an
                argument that is not allowed.
        """
        network = plain(model)
        require_built(network)
        kinds = [type(layer).__name__ for layer in network.layers]
        weights = [np.asarray(weight) for weight in network.get_weights()]
        return cls(
            name=network.name,
            layers={kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
            inputs=[_described(symbol) for symbol in network.inputs],
            outputs=[_described(symbol) for symbol in network.outputs],
            class_names=checked_names(class_names, network),
            parameters=sum(weight.size for weight in weights),
            nonzero=sum(int(np.count_nonzero(weight)) for weight in weights),
            densities={
                name: float(np.count_nonzero(kernel) / max(kernel.size, 1))
                for name, kernel in kernels(network).items()
            },
            training=_mapping("training", training),
            accuracy=_mapping("accuracy", accuracy),
            formats=_mapping("formats", formats),
            notes=_texts("notes", notes),
        )

    def to_json(self) -> str:
        """All facts as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=1, default=str) + "\n"

    def to_markdown(self) -> str:
        """The card as a text for readers."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.layers.items())
        lines = [
            f"# Model card: {self.name}",
            "",
            f"- Layers: {kinds}",
            f"- Inputs: {'; '.join(self.inputs)}",
            f"- Outputs: {'; '.join(self.outputs)}",
            f"- Weights: {self.parameters:,}, of which {self.nonzero:,} are not zero",
        ]
        if self.class_names:
            lines.append(f"- Classes: {', '.join(self.class_names)}")
        percent = {name: f"{100 * value:.2f}" for name, value in self.accuracy.items()}
        density = {name: f"{value:.4f}" for name, value in self.densities.items()}
        size = {name: f"{value:,}" for name, value in self.formats.items()}
        lines += _table("Density (fraction of weights kept)", "layer", "density", density)
        lines += _table("Training", "option", "value", self.training)
        lines += _table("Accuracy (%)", "under", "accuracy", percent)
        lines += _table("Files", "format", "bytes", size)
        lines += ["", "## Use and limits", "", *(f"- {text}" for text in (_USE, *_LIMITS))]
        lines += [f"- {note}" for note in self.notes]
        return "\n".join(lines) + "\n"

    def write(self, folder: str) -> None:
        """Writes `model_card.md` and `model_card.json`, and `class_names.txt` if they are known.

        Raises:
            WriteError: naming the file that cannot be written.
        """
        files.write_text(f"{folder}/model_card.md", self.to_markdown())
        files.write_text(f"{folder}/model_card.json", self.to_json())
        if self.class_names:
            files.write_text(f"{folder}/class_names.txt", "\n".join(self.class_names) + "\n")


def checked_names(names: Any, network: keras.Model) -> tuple[str, ...]:
    """The names of the classes, one for each logit; () if none are given.

    Raises:
        InputError: for other values, or another number of names.
    """
    names = _texts("class_names", names)
    classes = network.outputs[0].shape[-1]
    if names and len(names) != classes:
        raise InputError(f"class_names={shown(names)}: must be {classes}, one for each logit")
    if any(len(name.splitlines()) != 1 for name in names):
        raise InputError(f"class_names={shown(names)}: must be of one line each")
    return names


def _texts(name: str, value: Any) -> tuple[str, ...]:
    known = isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)
    if not known:
        raise InputError(f"{name}={shown(value)}: must be a list of strings")
    return tuple(value)


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise InputError(f"{name}={shown(value)}: must be a dictionary, or None")
    return dict(value or {})


def _described(symbol: Any) -> str:
    sizes = ", ".join("batch" if not number else str(size or "any")
                      for number, size in enumerate(symbol.shape))  # fmt: skip
    return f"{symbol.dtype.name} [{sizes}]"


def _table(title: str, first: str, second: str, rows: Mapping[str, Any]) -> list[str]:
    """A section with a table; nothing without rows."""
    if not rows:
        return []
    lines = ["", f"## {title}", "", f"| {first} | {second} |", "| --- | --- |"]
    return lines + [f"| {name} | {_cell(value)} |" for name, value in rows.items()]


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
