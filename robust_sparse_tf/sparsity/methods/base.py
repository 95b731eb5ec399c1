"""Base classes of methods: the interface to sparse models, and shared code."""

from __future__ import annotations

import abc
import dataclasses
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, NamedTuple

from etils import epy

from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.options import check, option, require
from robust_sparse_tf.sparsity import distribution
from robust_sparse_tf.sparsity.batches import Batches, check_batches
from robust_sparse_tf.sparsity.selection import keep_largest
from robust_sparse_tf.sparsity.structure import SYNTAX, NOfM, Structure, Weights, parse
from robust_sparse_tf.tensors import as_tensor

with epy.lazy_imports():
    import tensorflow as tf
    import tf_keras as keras

    from robust_sparse_tf.sparsity import wrapper


class LayerState(NamedTuple):
    """One prunable weight, as methods see it: matrices [inputs, outputs].

    `place` is the number of the weight in the model, from 0. `active` is bool. `gradient` is
    float32, the dense gradient of the loss (pruned entries included), or None before training.
    """

    name: str
    place: int
    shape: tuple[int, ...]
    weight: tf.Tensor
    active: tf.Tensor
    gradient: tf.Tensor | None = None

    @property
    def size(self) -> int:
        """Number of weights, pruned ones included."""
        return self.weight.shape.num_elements()


class Change(NamedTuple):
    """An update of a layer: disjoint bool [inputs, outputs]; all other weights are pruned."""

    kept: tf.Tensor
    grown: tf.Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """A method that makes a model sparse and keeps it so; an immutable object.

    `start` chooses the first masks. Methods that change them in training are `Scheduled`.
    """

    grows: ClassVar[bool] = False
    """Whether pruned weights may grow again; the model then tracks which were ever active."""
    thins: ClassVar[bool] = False
    """Whether the density is only reached during training."""
    feedbacks: ClassVar[int] = 0
    """Number of values that callbacks pass to the method through the model's `feedback`."""

    seed: int = option(0, "seed of everything random", minimum=0, maximum=2**31 - 1)

    def __post_init__(self) -> None:
        check(self)

    def start(self, model: keras.Model, data: Batches | None = None) -> None:
        """Chooses the first masks of a model from `wrap`; by default all weights are kept.

        Args:
            model: its masks are all ones, or those of a model that was already sparse.
            data: batches (images, labels), for methods that need gradients.
        """
        check_batches(data)
        del model

    def feedback_from(self, losses: list[float], gaps: list[float]) -> tuple[float, ...]:
        """Computes the model's `feedback` after an evaluation: `feedbacks` numbers.

        Args:
            losses: validation losses so far; robust losses in adversarial training.
            gaps: training accuracy minus validation accuracy, at the same times.
        """
        del losses, gaps
        return (0.0,) * self.feedbacks

    def is_unfinished(self, step: int) -> bool:
        """Whether masks will still change after a number of optimizer steps."""
        del step
        return False

    @property
    def remembers(self) -> bool:
        """Whether the model keeps a memory of gradients, which is as large as its weights."""
        return False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scheduled(Method, abc.ABC):
    """A method that changes masks in training; the model's own train step calls it in the graph."""

    replaces_step: ClassVar[bool] = False
    """Whether an update replaces the optimizer's step, as in RigL."""

    @abc.abstractmethod
    def is_due(self, step: tf.Tensor) -> tf.Tensor:
        """Whether the masks change at a step: bool scalar; int64 counts optimizer steps so far."""

    @abc.abstractmethod
    def change(
        self, layers: list[LayerState], step: tf.Tensor, feedback: tf.Tensor | None = None
    ) -> list[Change]:
        """Computes the change of each layer at a step when it is due.

        Args:
            layers: states of all layers; if a memory is kept, it replaces the gradient.
            step: int64, number of optimizer steps.
            feedback: values that a callback passed to the model, for methods that use feedback.
        """

    def remember(self, memory: tf.Tensor, gradient: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """Computes a weight's memory after a step; by default the step's gradient."""
        del memory, step
        return gradient

    def initial(self, layer: LayerState, step: tf.Tensor) -> tf.Tensor | None:
        """Initial values of grown weights, shaped as the layer; None for zeros."""
        del layer, step
        return None


@dataclasses.dataclass(frozen=True)
class Targeted(Method):
    """A method with a target density, which is distributed over the layers."""

    density: float = option(0.1, "fraction of weights kept", above=0, maximum=1)
    _: dataclasses.KW_ONLY
    distribution: str = option(
        "uniform",
        "how the density is distributed over the layers: uniformly, Erdos-Renyi, "
        "Erdos-Renyi-Kernel, or by one ranking of all weights (only for methods that score "
        "weights)",
        choices=(*distribution.NAMES, "global"),
    )
    dense_first: bool = option(False, "keep the first layer dense")
    dense_last: bool = option(False, "keep the last layer dense")
    layer_densities: Mapping[str, float] = option(
        {},
        'densities of layers by patterns of their names, as JSON: {"conv_*": 0.5}',
        above=0,
        maximum=1,
    )
    minimum_weights: int = option(1, "minimum number of weights that each layer keeps", minimum=1)
    structure: str = option("weights", f"unit of pruning: {SYNTAX}")
    conv_structure: str | None = option(
        None, "unit of pruning in convolutions", kind=str, shown="that of structure"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, text in self.structure_texts().items():
            structure = parse(text, name)
            if isinstance(structure, NOfM) and abs(self.density - structure.density) > 1e-5:
                raise InputError(
                    f"density={self.density}: must be {structure.density:g} with {name}={text}"
                )

    def structure_texts(self) -> dict[str, str]:
        """The structures that are given, by the names of their options."""
        found = {"structure": self.structure, "conv_structure": self.conv_structure}
        return {name: text for name, text in found.items() if text is not None}

    def counts(self, layers: list[LayerState]) -> list[int]:
        """The number of weights that each layer keeps, for all distributions except "global"."""
        self._check_minimum(layers)
        shapes = {layer.name: layer.shape for layer in layers}
        spread = distribution.densities_of(
            self.distribution, self.density, shapes, self.fixed_densities(list(shapes))
        )
        counts = distribution.counts_of(spread, shapes, self.minimum_weights)
        return [counts[layer.name] for layer in layers]

    def _check_minimum(self, layers: list[LayerState]) -> None:
        for layer in layers:
            if self.minimum_weights > layer.size:
                raise InputError(
                    f"minimum_weights={self.minimum_weights}: must be at most {layer.size}, the "
                    f"weights of layer {layer.name}"
                )

    def fixed_densities(self, names: list[str]) -> dict[str, float]:
        """The density of each layer that the distribution does not decide."""
        fixed = distribution.match(self.layer_densities, names)
        ends = names[:1] * self.dense_first + names[-1:] * self.dense_last
        return fixed | dict.fromkeys(ends, 1.0)

    def structures(self, layers: list[LayerState]) -> list[Structure]:
        """The pruning structure of each layer; layers that stay dense have none.

        Raises:
            InputError: if units do not fit into a layer.
        """
        dense, conv = parse(self.structure), parse(self.conv_structure or self.structure)
        fixed = self.fixed_densities([layer.name for layer in layers])
        found = [
            Weights() if fixed.get(layer.name) == 1 else conv if len(layer.shape) > 2 else dense
            for layer in layers
        ]
        for layer, own in zip(layers, found, strict=True):
            own.check(layer.name, tuple(layer.weight.shape))
        return found

    def keep(
        self, layers: list[LayerState], scores: list[tf.Tensor], progress: float | tf.Tensor = 1.0
    ) -> list[tf.Tensor]:
        """The masks of the weights with the highest scores, for the target density.

        With the distribution "global", one ranking of all layers decides; a layer that would keep
        fewer than `minimum_weights` keeps that many of its best, in addition.

        Args:
            layers: the states of all layers.
            scores: float32 [inputs, outputs] each, any sign.
            progress: the fraction, in [0, 1], of the weights to prune that is pruned now.
        """

        def now(size: int, final: int) -> int | tf.Tensor:
            if isinstance(progress, float) and progress == 1.0:
                return final
            return size - tf.cast(tf.round((size - final) * progress), tf.int32)

        structures = self.structures(layers)
        if self.distribution == "global":
            counts = self._ranked(layers, scores, structures, now)
        else:
            pairs = zip(layers, self.counts(layers), strict=True)
            counts = [now(layer.size, count) for layer, count in pairs]
        triples = zip(structures, scores, counts, strict=True)
        return [structure.keep(score, count) for structure, score, count in triples]

    def _ranked(
        self,
        layers: list[LayerState],
        scores: list[tf.Tensor],
        structures: list[Structure],
        now: Callable[[int, int], int | tf.Tensor],
    ) -> list[int | tf.Tensor]:
        """The number of weights per layer among the best of all layers without a fixed density."""
        self._check_minimum(layers)
        fixed = self.fixed_densities([layer.name for layer in layers])
        free = [i for i, layer in enumerate(layers) if layer.name not in fixed]
        sizes = [layers[i].size for i in free]
        least = [self.minimum_weights] * len(layers)
        given = [
            max(round(fixed[layer.name] * layer.size), minimum) if layer.name in fixed else 0
            for layer, minimum in zip(layers, least, strict=True)
        ]
        counts = [now(layer.size, count) for layer, count in zip(layers, given, strict=True)]
        total = self.density * sum(layer.size for layer in layers)
        if not free and distribution.agrees(sum(given), total, all_given=True):
            return counts
        wanted = round(total) - sum(given)
        if not free or not 0 <= wanted <= sum(sizes):
            whole = {layer.name: layer.size for layer in layers}
            raise distribution.unreachable(self.density, fixed, whole)
        ranked = [self._unit_scores(structures[i], scores[i]) for i in free]
        best = keep_largest(tf.concat(ranked, 0), now(sum(sizes), wanted))
        for i, flags in zip(free, tf.split(best, sizes), strict=True):
            found = tf.math.count_nonzero(flags, dtype=tf.int32)
            counts[i] = tf.maximum(found, least[i])
            if tf.executing_eagerly() and found < least[i]:
                warnings.warn(
                    f"layer {layers[i].name}: one ranking of all layers would keep {int(found)} "
                    f"weights; it keeps minimum_weights={least[i]}",
                    RunWarning,
                    stacklevel=2,
                )
        return counts

    @staticmethod
    def _unit_scores(structure: Structure, scores: tf.Tensor) -> tf.Tensor:
        """The score of the unit of each weight, in any order."""
        pooled = tf.reshape(structure.pool(scores), [-1])
        return tf.repeat(pooled, scores.shape.num_elements() // pooled.shape[0])


@dataclasses.dataclass(frozen=True)
class Pruner(Method, abc.ABC):
    """A method that prunes before training, or between two trainings."""

    @abc.abstractmethod
    def masks(self, layers: list[LayerState]) -> list[tf.Tensor]:
        """The masks, bool [inputs, outputs]; weights that are already pruned stay pruned anyway."""

    def prune(self, model: keras.Model, data: Batches | None = None) -> None:
        """Prunes a wrapped model: assigns the masks and stores the weights masked.

        Args:
            model: from `wrap`.
            data: the training images, for methods that need them.

        Raises:
            InputError: if all layers that can be pruned are frozen (trainable=False).
        """
        check_batches(data)
        tell_frozen(model, self)
        layers = layer_states(model)
        pairs = zip(self.masks(layers), layers, strict=True)
        set_masks(model, [mask & layer.active for mask, layer in pairs])

    def start(self, model: keras.Model, data: Batches | None = None) -> None:
        self.prune(model)


def layer_states(
    model: keras.Model, gradients: Mapping[str, tf.Tensor] | None = None
) -> list[LayerState]:
    """The states of all prunable weights, in the order of the layers; without frozen layers.

    Args:
        model: from `wrap`.
        gradients: the gradient of each prunable weight, by `name`.
    """
    gradients = {} if gradients is None else gradients
    require("gradients", gradients, Mapping)
    known = {entry.name for entry in wrapper.masked_weights(model)}
    if not known.issuperset(gradients):
        raise InputError(f"gradients of {list(gradients)}: must be of {sorted(known)}")
    states = []
    for place, entry in enumerate(wrapper.masked_weights(model)):
        if not entry.layer.trainable:
            continue
        gradient = gradients.get(entry.name)
        states.append(
            LayerState(
                entry.name,
                place,
                tuple(entry.mask.shape),
                entry.to_matrix(tf.cast(tf.convert_to_tensor(entry.weight), tf.float32)),
                entry.to_matrix(tf.convert_to_tensor(entry.mask)) > 0,
                None if gradient is None else entry.to_matrix(gradient),
            )
        )
    return states


def tell_frozen(model: keras.Model, method: Method) -> None:
    """Warns of masks that a method does not change because their layers are frozen.

    Raises:
        InputError: if there are no other masks, or no masks at all.
    """
    every = wrapper.require_masks(model)
    frozen = [entry.name for entry in every if not entry.layer.trainable]
    name = type(method).__name__
    if len(frozen) == len(every):
        raise InputError(
            f"model {model.name}: all layers with masks are frozen (trainable=False); {name} "
            "cannot prune any"
        )
    if frozen:
        warnings.warn(
            f"model {model.name}: {name} leaves the masks of frozen layers (trainable=False) "
            f"unchanged ({', '.join(frozen)}); its density is that of the others",
            RunWarning,
            stacklevel=3,
        )


def set_masks(model: keras.Model, masks: Iterable[tf.Tensor]) -> None:
    """Assigns masks, bool [inputs, outputs] per entry of `layer_states`, and masks the weights."""
    entries = wrapper.prunable_weights(model)
    try:
        masks = list(masks)
    except TypeError:  # of a tensor without axes, too
        masks = []
    if len(masks) != len(entries):
        raise InputError(f"masks: {len(masks)} given; must be {len(entries)}, one per weight")
    masks = [as_tensor("masks", mask, tf.float32) for mask in masks]
    for entry, mask in zip(entries, masks, strict=True):
        shape = entry.to_matrix(entry.mask).shape
        if mask.shape not in (shape, entry.mask.shape):
            raise InputError(f"masks: that of {entry.name} is {mask.shape}; must be {shape}")
    for entry, mask in zip(entries, masks, strict=True):
        entry.mask.assign(tf.cast(entry.from_matrix(mask), entry.mask.dtype))
    wrapper.store_masked(model)


def uniform(seed: int, layer: LayerState, step: int | tf.Tensor) -> tf.Tensor:
    """Random scores in [0, 1), shaped as a layer; they depend only on (seed, layer, step)."""
    number = tf.cast(step, tf.int64) * 2**20 + layer.place
    seeds = tf.stack([tf.constant(seed, tf.int64), number])
    return tf.random.stateless_uniform(layer.weight.shape, seeds, alg="philox")
