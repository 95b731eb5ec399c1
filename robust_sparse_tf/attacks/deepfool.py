"""DeepFool, and the linearized classifier that it shares with FAB."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.base import Logits, MinimumNorm, Seed
from robust_sparse_tf.attacks.loop import State, while_standing
from robust_sparse_tf.options import option

with epy.lazy_imports():
    import tensorflow as tf

# As a fraction of the largest logit; more than rounding changes logits.
ROUNDING = 1e-5


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepFool(MinimumNorm):
    """Steps onto the nearest boundary of the linearized classifier, until the class changes.

    "DeepFool: a simple and accurate method to fool deep neural networks" (Moosavi-Dezfooli et al.,
    2016), algorithm 2, and for linf section 3.3. Two things differ from the paper: each step
    includes the overshoot, which saves a further step when the boundary is only just not crossed;
    and iterates stay in the clip range.
    """

    allowed_norms = ("l2", "linf")

    steps: int = option(50, "maximum number of steps per example", unit="steps", minimum=1)
    overshoot: float = option(0.02, "fraction by which each step is lengthened", minimum=0)
    candidates: int = option(
        10, "number of likeliest classes considered, the label included", unit="classes", minimum=2
    )

    def perturb(self, model: Logits, x: tf.Tensor, labels: tf.Tensor, seed: Seed) -> tf.Tensor:
        """See `Attack.perturb`; nothing is random."""
        del seed

        def step(_: tf.Tensor, state: State) -> tuple[State, tf.Tensor]:
            adversarial, labels, fooled = state
            gap, gradient, size = nearest_boundary(
                model, adversarial, labels, self.candidates, self.norm
            )
            length = (1 + self.overshoot) * tf.math.divide_no_nan(gap, size)
            moved = self.clip(adversarial + self._along(gradient, size, length))
            adversarial = norms.select(fooled, adversarial, moved)
            fooled = self.fools(model(adversarial), labels)
            # Without a gradient, further steps will not find one.
            return (adversarial, labels, fooled), fooled | (size == 0)

        first = (x, labels, self.fools(model(x), labels))
        adversarial, _, fooled = while_standing(step, first, self.steps)
        return norms.select(fooled, adversarial, x)

    def _along(self, gradient: tf.Tensor, size: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        if self.norm == "linf":
            return norms.spread(length, gradient) * tf.sign(gradient)
        return norms.spread(tf.math.divide_no_nan(length, size), gradient) * gradient


def nearest_boundary(
    model: Logits, x: tf.Tensor, labels: tf.Tensor, candidates: int, norm: str
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Finds the boundary nearest to each example of the linearized classifier.

    Args:
        model: any callable from inputs to logits [batch, classes].
        x: float32 [batch, ...].
        labels: integers [batch].
        candidates: how many of the likeliest classes are considered, the label included.
        norm: norm of the distance.

    Returns:
        By how much the label's logit exceeds that of the other class, plus a little more than the
        rounding error: [batch]; the gradient along which the other class gains: shaped as x; its
        dual norm, 0 if no class has a gradient: [batch].
    """
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(x)
        logits = model(x)
    classes = logits.shape[-1]
    others = likeliest_others(logits, labels, min(candidates, classes) - 1)
    own = tf.gather(logits, labels, batch_dims=1)
    tiny = ROUNDING * tf.reduce_max(tf.abs(logits), axis=1)
    leads = (own + tiny)[:, None] - tf.gather(logits, others, batch_dims=1)
    # Weights of the logits in each lead; faster than to differentiate the leads themselves.
    uphill = tf.one_hot(others, classes) - tf.one_hot(labels, classes)[:, None]
    nearest, gap = tf.fill(tf.shape(own), tf.float32.max), tf.zeros_like(own)
    chosen, size = tf.zeros_like(x), tf.zeros_like(own)
    # One backward pass per class: as fast as `batch_jacobian` on dense networks, faster on others,
    # and it works on any model.
    for lead, weights in zip(tf.unstack(leads, axis=1), tf.unstack(uphill, axis=1), strict=True):
        gradient = tape.gradient(logits, x, output_gradients=weights, unconnected_gradients="zero")
        dual = norms.distance(gradient, norms.DUAL[norm])
        distance = tf.where(dual > 0, tf.abs(lead) / dual, tf.float32.max)
        nearer = distance < nearest
        nearest = tf.where(nearer, distance, nearest)
        gap = tf.where(nearer, lead, gap)
        chosen = norms.select(nearer, gradient, chosen)
        size = tf.where(nearer, dual, size)
    return gap, chosen, size


def likeliest_others(logits: tf.Tensor, labels: tf.Tensor, count: int) -> tf.Tensor:
    """The likeliest classes except the label, the likeliest first: int32 [batch, count]."""
    own = tf.one_hot(labels, logits.shape[-1], on_value=True, off_value=False)
    return tf.math.top_k(tf.where(own, logits.dtype.min, logits), count).indices
