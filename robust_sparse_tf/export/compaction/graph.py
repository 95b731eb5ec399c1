"""A network as a flat graph of calls of layers; nested networks are opened."""

import collections
import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.export.compaction.kinds import WITH_KERNEL, Role, Shape, refusal, role_of


@dataclasses.dataclass(eq=False)
class Node:
    """A call of a layer.

    Attributes:
        name: the layer's name, made unique.
        layer: the layer, of the given network; it is not changed.
        call: tf_keras' record of the call.
        inputs: numbers of the tensors that it reads.
        outputs: numbers of the tensors that it makes; one, except for boundaries.
        role: its effect on channels.
        reason: why it is a boundary; "" if it is none.
        weights: float64, by attribute, for layers with a kernel; in the order of `set_weights`.
    """

    name: str
    layer: keras.layers.Layer
    call: Any
    inputs: list[int]
    outputs: list[int]
    role: Role
    reason: str = ""
    weights: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def input(self) -> int:
        """The only tensor that it reads."""
        (tensor,) = self.inputs
        return tensor

    @property
    def output(self) -> int:
        """The only tensor that it makes."""
        (tensor,) = self.outputs
        return tensor


@dataclasses.dataclass
class Graph:
    """Calls in an order in which they can run.

    Attributes:
        network: the network that was read.
        nodes: the calls.
        shapes: shape of each tensor, with the batch; tensors are numbered from 0, the input.
        output: number of the output tensor.
    """

    network: keras.Model
    nodes: list[Node]
    shapes: list[Shape]
    output: int

    def channels(self, tensor: int) -> int:
        """Size of a tensor's last axis; 0 if it is unknown, or the axis of the batch."""
        shape = self.shapes[tensor]
        return (shape[-1] or 0) if len(shape) > 1 else 0

    def maker(self, tensor: int) -> Node | None:
        """The node that makes a tensor; None for the input."""
        return next((node for node in self.nodes if tensor in node.outputs), None)

    def readers(self, tensor: int) -> list[Node]:
        """The nodes that read a tensor; one that reads it twice is there once."""
        return [node for node in self.nodes if tensor in node.inputs]

    def drop(self, node: Node) -> None:
        """Removes a node with one input: its readers read its input.

        The last one becomes an activation without effect, to keep the name of the output.
        """
        if node.output == self.output:
            node.layer = keras.layers.Activation("linear", name=node.name)
            node.role, node.weights = Role.FUNCTION, {}
            return
        self.nodes.remove(node)
        for reader in self.readers(node.output):
            reader.inputs = [node.input if i == node.output else i for i in reader.inputs]

    def forget_unread(self) -> None:
        """Removes the nodes that the output does not follow from."""
        read, found = {self.output}, []
        for node in reversed(self.nodes):
            if read.intersection(node.outputs):
                read.update(node.inputs)
                found.append(node)
        self.nodes = found[::-1]


def read(network: keras.Model) -> Graph:
    """Reads a built functional or Sequential network with one input and one output."""
    (symbol,) = network.inputs
    shapes: list[Shape] = [tuple(symbol.shape)]
    numbers = {id(symbol): 0}
    calls = list(_calls(network, numbers, shapes))
    times = collections.Counter(id(call.layer) for call, *_ in calls)
    name_of = _Names(network, [call.layer.name for call, *_ in calls])
    nodes = []
    for call, inputs, outputs, parents in calls:
        layer = call.layer
        node = Node(name_of(layer, parents), layer, call, inputs, outputs, role_of(layer))
        ends = [[shapes[tensor] for tensor in tensors] for tensors in (inputs, outputs)]
        node.reason = refusal(layer, call, *ends)
        if times[id(layer)] > 1 and layer.weights:
            node.reason = f"is called {times[id(layer)]} times, with the same weights"
        if node.reason:
            node.role = Role.BOUNDARY
        elif node.role in WITH_KERNEL:
            node.weights = _kernels(layer)
        nodes.append(node)
    graph = Graph(network, nodes, shapes, numbers[id(network.outputs[0])])
    graph.forget_unread()
    return graph


def _calls(
    network: keras.Model, numbers: dict[int, int], shapes: list[Shape], parents: str = ""
) -> Iterator[tuple[Any, list[int], list[int], str]]:
    """The calls of a network and of those in it: call, inputs, outputs, names of the parents.

    Args:
        network: the network.
        numbers: of its tensors, by their `id`; its inputs are there, the others are added.
        shapes: of all tensors by number; is added to.
        parents: names of the networks that it is in, as a prefix.
    """
    for depth in sorted(network._nodes_by_depth, reverse=True):
        for call in network._nodes_by_depth[depth]:
            if call.is_input:
                continue
            inputs = [numbers[id(tensor)] for tensor in call.keras_inputs]
            made = tf.nest.flatten(call.outputs)
            inner = call.layer
            if _can_be_opened(call):
                own = {id(inner.inputs[0]): inputs[0]}
                yield from _calls(inner, own, shapes, f"{parents}{inner.name}_")
                numbers[id(made[0])] = own[id(inner.outputs[0])]
                continue
            outputs = list(range(len(shapes), len(shapes) + len(made)))
            shapes += [tuple(tensor.shape) for tensor in made]
            numbers |= dict(zip(map(id, made), outputs, strict=True))
            yield call, inputs, outputs, parents


def _can_be_opened(call: Any) -> bool:
    """Whether a call is of a plain nested network with one input and one output."""
    network = call.layer
    if not (isinstance(network, keras.Model) and network._is_graph_network):
        return False
    plain = type(network).__module__.startswith("tf_keras.")  # its `call` is Keras' own
    training = call.call_kwargs.get("training")
    return plain and len(network.inputs) == len(network.outputs) == 1 and not training


class _Names:
    """Unique names; layers at the top keep theirs, as do the input and the output."""

    def __init__(self, network: keras.Model, names: list[str]) -> None:
        self.ends = {*network.input_names, *network.output_names}
        self.known = {*self.ends, *names}
        self.given: dict[int, str] = {}
        self.taken: set[str] = set()

    def __call__(self, layer: keras.layers.Layer, parents: str) -> str:
        """The name for a call of a layer, in networks of these names.

        All calls of a layer with weights have the same name.
        """
        if id(layer) in self.given and layer.weights:
            return self.given[id(layer)]
        barred = self.taken | (self.ends if parents else set())
        name = layer.name
        if name in barred:
            wanted = itertools.chain([""], (f"_{number}" for number in itertools.count(1)))
            others = (f"{parents}{name}{end}" for end in wanted)
            name = next(each for each in others if each not in self.known | self.taken)
        self.taken.add(name)
        self.given[id(layer)] = name
        return name


def _kernels(layer: keras.layers.Layer) -> dict[str, np.ndarray]:
    names = ("kernel", "depthwise_kernel", "pointwise_kernel", "bias")
    # A depthwise convolution may name its kernel twice.
    found: dict[int, tuple[str, np.ndarray]] = {}
    for name in names[1:] if hasattr(layer, "depthwise_kernel") else names:
        weight = getattr(layer, name, None)
        if weight is not None:
            found.setdefault(id(weight), (name, weight.numpy().astype(np.float64)))
    return dict(found.values())
