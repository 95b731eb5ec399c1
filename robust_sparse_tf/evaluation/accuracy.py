"""Accuracy and loss of a model on clean and on adversarial images."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import tensorflow as tf

from robust_sparse_tf.attacks import Attack, Bounded, norms
from robust_sparse_tf.attacks.seeds import seed_of
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation.certificates import Certifier, training_ball
from robust_sparse_tf.evaluation.inputs import (
    ANY_RANGE,
    Data,
    Examples,
    as_logits,
    examples,
    graph,
)
from robust_sparse_tf.evaluation.memory import batch_size_for
from robust_sparse_tf.evaluation.report import reach
from robust_sparse_tf.models.network import network_of
from robust_sparse_tf.options import checked, require
from robust_sparse_tf.tensors import check_shape
from robust_sparse_tf.training.noise import seeded_noise
from robust_sparse_tf.training.objectives import Mixed, Objective
from robust_sparse_tf.values import check_labels


class Figures(TypedDict):
    """Results on one split: means over its images; accuracies are fractions.

    `certified_accuracy` is of networks that train on bounds, at the radius of their training; the
    robust accuracy in that ball is between it and the accuracy under any attack.
    """

    clean_loss: float
    clean_accuracy: float
    robust_loss: dict[str, float]
    robust_accuracy: dict[str, float]
    certified_accuracy: NotRequired[float]


class Evaluator:
    """Measures one model on whole data sets; it is traced once for all measurements.

    Args:
        model: any model or callable from images to logits.
        attacks: attacks by name; empty for the clean accuracy only.
        objective: computes the loss of an example; if it is of certified training, the certified
            accuracy is measured, too.
        seed: seed of random starts and of noise on weights, the same in every measurement.
        branches: number of parts of a split that are measured in parallel.
        batch_size: images per part that are attacked at a time; the default is the number whose
            activations fit into 2 GB, at most 500, see `memory.batch_size_for`.
    """

    def __init__(
        self,
        model: Any,
        attacks: Mapping[str, Attack] | None = None,
        objective: Objective | None = None,
        *,
        seed: int = 0,
        branches: int = 1,
        batch_size: int | None = None,
    ) -> None:
        self._model, self._logits = model, as_logits(model)
        self._attacks = {} if attacks is None else attacks
        require("attacks", self._attacks, dict)
        self._attacks = dict(self._attacks)  # a copy, in case the mapping changes
        for name, attack in self._attacks.items():
            checked("name of an attack", name, str)
            require("attack", attack, Attack)
        self._objective = Mixed() if objective is None else objective
        require("objective", self._objective, Objective)
        self._seed = checked("seed", seed, int)
        self._branches = checked("branches", branches, int, minimum=1)
        if batch_size is None:
            batch_size = batch_size_for(model, branches=self._branches)
        self._batch_size = checked("batch_size", batch_size, int, minimum=1)
        self._sums = graph(self._measure)
        ball = training_ball(self._objective)
        self._certifier = Certifier(model, ball) if ball else None

    def __call__(self, data: Data | Examples) -> Figures:
        """Measures clean and robust loss and accuracy on a data set.

        Args:
            data: see `inputs.images_and_labels`, in the range of all attacks.

        Returns:
            `clean_loss` and `clean_accuracy`, and, by attack, `robust_loss` and `robust_accuracy`;
            accuracies are fractions, losses are means over all examples.

        Raises:
            InputError: if the data do not fit, or an attack leaves its threat model.
        """
        split = examples(data, self._limits())
        network = network_of(self._model)
        if shape := getattr(network, "input_shape", None):
            check_shape(split.images, shape)
        classes = getattr(network, "output_shape", (None,))[-1]
        if classes:
            check_labels(split.labels, classes)
        numbers = tf.range(split.size, dtype=tf.int64)
        with seeded_noise(self._model, self._seed):
            sums = self._sums(numbers, split.gather).numpy()
        names = list(self._attacks)
        for name, outside in zip(names, sums[1:, 2], strict=True):
            if outside:
                raise InputError(
                    f"attack {name}: left its threat model for {outside:g} of {split.size} images"
                )
        clean, *robust = (sums[:, :2] / split.size).tolist()
        found = Figures(
            clean_loss=clean[0],
            clean_accuracy=clean[1],
            robust_loss={name: row[0] for name, row in zip(names, robust, strict=True)},
            robust_accuracy={name: row[1] for name, row in zip(names, robust, strict=True)},
        )
        if self._certifier:
            found["certified_accuracy"] = float(self._certifier(split).mean())
        return found

    def _measure(self, numbers: tf.Tensor, gather: Any) -> tf.Tensor:
        """Sums of loss, correct predictions and violations of rules: float64 [1 + attacks, 3]."""
        size = tf.shape(numbers)[0]
        cuts = [size * part // self._branches for part in range(self._branches + 1)]
        spans = zip(cuts[:-1], cuts[1:], strict=True)
        return tf.add_n([self._measure_span(numbers[a:b], gather) for a, b in spans])

    def _measure_span(self, numbers: tf.Tensor, gather: Any) -> tf.Tensor:
        end = tf.shape(numbers)[0]

        def batch(first: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            x, y = gather(numbers[first : tf.minimum(first + self._batch_size, end)])
            seed = seed_of(self._seed, numbers[first])
            rows = [self._row(x, y, tf.zeros_like(y, tf.bool))]
            for attack in self._attacks.values():
                adversarial = attack(self._logits, x, y, seed=seed)
                rows.append(self._row(adversarial, y, _is_outside(attack, x, adversarial)))
            return first + self._batch_size, total + tf.stack(rows)

        zeros = tf.zeros([1 + len(self._attacks), 3], tf.float64)
        return tf.while_loop(lambda first, _: first < end, batch, (tf.constant(0), zeros))[1]

    def _row(self, x: tf.Tensor, y: tf.Tensor, outside: tf.Tensor) -> tf.Tensor:
        logits = self._logits(x)
        losses = self._objective.example_losses(y, logits)
        correct = tf.equal(tf.argmax(logits, axis=1), y)
        columns = (losses, correct, outside)
        return tf.stack([tf.reduce_sum(tf.cast(column, tf.float64)) for column in columns])

    def _limits(self) -> tuple[float, float]:
        """The intersection of the ranges of all attacks."""
        low, high = ANY_RANGE
        for attack in self._attacks.values():
            low, high = max(low, attack.low), min(high, attack.high)
        return low, high


def _is_outside(attack: Attack, x: tf.Tensor, adversarial: tf.Tensor) -> tf.Tensor:
    """Where an attack left its ball or its range: bool [batch]."""
    radius = reach(attack.epsilon if isinstance(attack, Bounded) else None)
    near = norms.distance(adversarial - x, attack.norm) <= radius
    within = (adversarial >= attack.low) & (adversarial <= attack.high)
    # NaN compares false with everything, so that it counts as outside.
    return ~(near & tf.reduce_all(norms.flat(within), axis=1))
