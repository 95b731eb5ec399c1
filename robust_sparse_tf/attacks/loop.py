"""Loops of attacks, in which examples can finish early."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from etils import epy

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.base import Attack, Logits, Seed
from robust_sparse_tf.attacks.losses import averaged_logits, cross_entropy
from robust_sparse_tf.attacks.seeds import as_seed, fold

with epy.lazy_imports():
    import tensorflow as tf


class Best(NamedTuple):
    """The best input so far per example: that with the largest loss, or the nearest that fools.

    In all methods `fooled`, bool [batch], is where inputs [batch, ...] fool the model.
    """

    x: tf.Tensor  # [batch, ...]
    score: tf.Tensor  # float32 [batch], its loss or its distance

    @classmethod
    def start(cls, x: tf.Tensor) -> Best:
        """Starts with inputs that any loss improves on."""
        return cls(x, tf.fill(tf.shape(x)[:1], tf.float32.min))

    @classmethod
    def clean(cls, x: tf.Tensor, fooled: tf.Tensor) -> Best:
        """Starts with clean inputs: at distance 0 where they fool, otherwise at infinity."""
        return cls(x, tf.where(fooled, 0.0, tf.float32.max))

    def update(self, x: tf.Tensor, loss: tf.Tensor, fooled: tf.Tensor) -> Best:
        """Takes the candidates that fool, or that have a larger loss."""
        return self.keep(fooled | (loss > self.score), x, loss)

    def nearer(self, x: tf.Tensor, distance: tf.Tensor, fooled: tf.Tensor) -> Best:
        """Takes the candidates that fool at a smaller distance."""
        return self.keep(fooled & (distance < self.score), x, distance)

    def keep(self, better: tf.Tensor, x: tf.Tensor, score: tf.Tensor) -> Best:
        """Takes the candidates that are better, bool [batch]."""
        return Best(norms.select(better, x, self.x), tf.where(better, score, self.score))


Tensors: TypeAlias = "list[tf.Tensor]"

# Steps in the body of a loop. With one, the speed of convolutions varies by a fifth between
# processes; with five it is always the higher one.
_UNROLLED = 5

Step: TypeAlias = "Callable[[tf.Tensor, Any], tuple[Any, tf.Tensor]]"
State: TypeAlias = tuple[Any, ...]
"""Tensors [batch, ...], and tuples of them."""


def while_standing(step: Step, state: Any, steps: int, *, skip: bool = True) -> Any:
    """Repeats a step on a batch, and drops examples as soon as they are done.

    Args:
        step: from (int32 number of the step, state) to (new state, done), where done, bool [n],
            says which examples need no further step. Must treat examples independently.
        state: tensors [batch, ...] in any structure; their dtypes and inner shapes stay.
        steps: maximum number of steps.
        skip: whether to drop examples that are done; if not, all take all steps, and shapes stay
            static.

    Returns:
        The final state of each example, shaped as the one given.
    """
    if not skip:
        return _repeated(step, state, steps)

    flat = tf.nest.flatten(state)
    places = tf.range(tf.shape(flat[0])[0])

    def packed(values: Any) -> list[tf.Tensor]:
        return [tf.convert_to_tensor(value) for value in tf.nest.flatten(values)]

    def store(whole: Tensors, places: tf.Tensor, now: Tensors) -> Tensors:
        pairs = zip(whole, now, strict=True)
        return [tf.tensor_scatter_nd_update(w, places[:, None], n) for w, n in pairs]

    def body(number: tf.Tensor, places: tf.Tensor, now: Tensors, whole: Tensors) -> State:
        new, done = step(number, tf.nest.pack_sequence_as(state, now))
        new = packed(new)

        def leave() -> tuple[tf.Tensor, Tensors, Tensors]:
            rest = [tf.boolean_mask(value, ~done) for value in (places, *new)]
            return rest[0], rest[1:], store(whole, places, new)

        return number + 1, *tf.cond(
            tf.reduce_any(done), leave, lambda: (places, new, list(map(tf.identity, whole)))
        )

    first = (tf.constant(0), places, packed(state), packed(state))
    open_shapes = [tf.TensorShape([None, *value.shape[1:]]) for value in flat]
    shapes = (tf.TensorShape([]), tf.TensorShape([None]), open_shapes, open_shapes)
    _, places, now, whole = tf.while_loop(
        lambda number, places, *_: (number < steps) & (tf.size(places) > 0),
        body,
        first,
        shape_invariants=shapes,
        maximum_iterations=steps,
    )
    ended = store(whole, places, now)
    for value, given in zip(ended, flat, strict=True):
        value.set_shape(given.shape)
    return tf.nest.pack_sequence_as(state, ended)


def _repeated(step: Step, state: Any, steps: int) -> Any:
    def several(count: int) -> Callable[[tf.Tensor, Any], tuple[tf.Tensor, Any]]:
        def body(number: tf.Tensor, now: Any) -> tuple[tf.Tensor, Any]:
            for place in range(count):
                now, _ = step(number + place, now)
            return number + count, now

        return body

    whole = steps // _UNROLLED
    reached = (tf.constant(0), state)
    if whole:  # TensorFlow would trace the loop even if it is never entered
        reached = tf.while_loop(
            lambda number, _: number < whole * _UNROLLED,
            several(_UNROLLED),
            reached,
            maximum_iterations=whole,
        )
    return several(steps % _UNROLLED)(*reached)[1]


def restarted(
    attack: Attack,
    attempt: Callable[[Logits, tf.Tensor, tf.Tensor, Seed], tf.Tensor],
    model: Logits,
    x: tf.Tensor,
    labels: tf.Tensor,
    seed: Seed,
    restarts: int,
    draws: int = 1,
) -> tf.Tensor:
    """The best of several attempts for each example: one that fools, or else by loss.

    Fooled examples are not attacked again. The first attempt uses the seed itself. Attempts are
    compared by the mean logits of several draws.
    """
    if restarts == 1:
        return attempt(model, x, labels, seed)

    def step(number: tf.Tensor, state: State) -> tuple[State, tf.Tensor]:
        x, labels, best = state
        found = attempt(model, x, labels, tf.where(number == 0, as_seed(seed), fold(seed, number)))
        logits = averaged_logits(model, found, draws)
        losses = cross_entropy(logits, labels)
        fooled = attack.fools(logits, labels)
        best = best.update(found, -losses if attack.targeted else losses, fooled)
        return (x, labels, best), fooled

    return while_standing(step, (x, labels, Best.start(x)), restarts)[2].x
