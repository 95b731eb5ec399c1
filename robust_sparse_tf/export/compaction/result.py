"""The result of compaction."""

import dataclasses

import tf_keras as keras

from robust_sparse_tf.texts import markdown_table


@dataclasses.dataclass(frozen=True)
class CompactedLayer:
    """The size of a layer with weights, before and after; 0 after it was removed.

    Attributes:
        name: name of the layer.
        weights_before: number of its weights, zeros and biases among them.
        weights_after: the same in the smaller model.
        channels_before: channels or units of its output.
        channels_after: the same in the smaller model.
    """

    name: str
    weights_before: int
    weights_after: int
    channels_before: int
    channels_after: int


@dataclasses.dataclass(frozen=True)
class Compaction:
    """A smaller model with the same outputs, and what is left to be removed.

    Attributes:
        model: plain functional tf_keras model with the inputs and outputs of the given one.
        layers: the given model's layers with weights, in order.
        stopped: (layer, reason) where constant channels, or batch normalization, had to stay.
    """

    model: keras.Model
    layers: tuple[CompactedLayer, ...]
    stopped: tuple[tuple[str, str], ...]

    @property
    def weights_before(self) -> int:
        """Number of weights of the given model."""
        return sum(layer.weights_before for layer in self.layers)

    @property
    def weights_after(self) -> int:
        """Number of weights of the smaller model."""
        return sum(layer.weights_after for layer in self.layers)

    def __repr__(self) -> str:
        return self.to_markdown()

    def to_markdown(self) -> str:
        """A table of the layers, and a list of where compaction stopped."""
        head = ["layer", "weights", "after", "channels", "after"]
        rows = [
            [layer.name, *(f"{number:,}" for number in dataclasses.astuple(layer)[1:])]
            for layer in self.layers
        ]
        total = ["**total**", f"{self.weights_before:,}", f"{self.weights_after:,}", "", ""]
        lines = markdown_table([head, *rows, total], left=1)
        if self.stopped:
            lines += ["", "Compaction stopped at:", ""]
            lines += [f"- {layer}: {reason}" for layer, reason in self.stopped]
        return "\n".join(lines) + "\n"
