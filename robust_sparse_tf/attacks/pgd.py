"""PGD, projected gradient descent."""

from __future__ import annotations

import dataclasses

from etils import epy

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.base import Logits, Seed, Stepwise, draws_option
from robust_sparse_tf.attacks.loop import Best, State, restarted, while_standing
from robust_sparse_tf.attacks.losses import Loss, cross_entropy, kl_divergence, value_and_gradient
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import option

with epy.lazy_imports():
    import tensorflow as tf

# Deviation of the start of TRADES' attack.
_NEAR = 0.001


@dataclasses.dataclass(frozen=True, kw_only=True)
class PGD(Stepwise):
    """Repeated gradient steps, each projected back into the ball; both by CleverHans.

    "Towards Deep Learning Models Resistant to Adversarial Attacks" (Madry et al., 2018), section 2.
    The loop is a `tf.while_loop`, because CleverHans' own is unrolled into the graph. With
    `loss="kl"` it is the attack of "Theoretically Principled Trade-off between Robustness and
    Accuracy" (Zhang et al., 2019), algorithm 1.
    """

    random_start: bool = option(False, "start at a random point of the ball instead of at x")
    restarts: int = option(
        1,
        "number of attempts; the best result counts for each example (training makes one)",
        unit="attempts",
        minimum=1,
    )
    stop_when_fooled: bool = option(
        False, "stop for an example once it is fooled, which is faster and stronger"
    )
    draws: int = draws_option()
    loss: str = option(
        "ce",
        "what the attack maximises: the cross-entropy, or the KL divergence of the prediction from "
        "that of x (then it starts at x + 0.001 Norm(0, 1), unless random_start)",
        choices=("ce", "kl"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss == "kl":
            for name in ("targeted", "stop_when_fooled"):
                if getattr(self, name):
                    raise InputError(f"{name}=True: must be False with loss=kl")

    def perturb(self, model: Logits, x: tf.Tensor, labels: tf.Tensor, seed: Seed) -> tf.Tensor:
        return restarted(self, super().perturb, model, x, labels, seed, self.restarts, self.draws)

    def noise(self, shape: tf.Tensor, seed: Seed) -> tf.Tensor | None:
        """Uniform in the ball, or normal for the divergence, whose gradient is 0 at x."""
        if self.random_start:
            return norms.uniform(shape, self.norm, self.epsilon, seed)
        if self.loss == "kl":
            return tf.random.stateless_normal(shape, seed, stddev=_NEAR, alg="philox")
        return None

    def ascend(
        self,
        model: Logits,
        x: tf.Tensor,
        labels: tf.Tensor,
        noise: tf.Tensor | None = None,
        gradient_at_x: tf.Tensor | None = None,
    ) -> tf.Tensor:
        start, done = x, 0
        if noise is not None:
            start = self.project(x, x + noise)
        elif gradient_at_x is not None and not self.stop_when_fooled and self.loss == "ce":
            start = self.project(x, self.step_along(x, gradient_at_x, self.step_length))
            done = 1
        if self.stop_when_fooled:
            return self._ascend_standing(model, x, labels, start)

        loss = self._divergence_from(model(x)) if self.loss == "kl" else None

        def step(_: tf.Tensor, adversarial: tf.Tensor) -> tuple[tf.Tensor, None]:
            if loss is None:
                stepped = self.step(model, adversarial, labels, self.step_length, self.draws)
            else:
                _, _, gradient = value_and_gradient(loss, model, adversarial, labels, self.draws)
                stepped = self.step_along(adversarial, gradient, self.step_length)
            return self.project(x, stepped), None

        return while_standing(step, start, self.steps - done, skip=False)

    def _ascend_standing(
        self, model: Logits, x: tf.Tensor, labels: tf.Tensor, start: tf.Tensor
    ) -> tf.Tensor:
        """For each example, the first iterate that fools, or else the one with the largest loss."""

        def step(number: tf.Tensor, state: State) -> tuple[State, tf.Tensor]:
            x, labels, adversarial, best = state
            losses, logits, gradient = value_and_gradient(
                cross_entropy, model, adversarial, labels, self.draws
            )
            fooled = self.fools(logits, labels)
            best = best.update(adversarial, -losses if self.targeted else losses, fooled)
            stepped = self.project(x, self.step_along(adversarial, gradient, self.step_length))
            return (x, labels, stepped, best), fooled

        # The last step only evaluates the result of the step before.
        state = (x, labels, start, Best.start(start))
        return while_standing(step, state, self.steps + 1)[3].x

    def _divergence_from(self, clean: tf.Tensor) -> Loss:
        constant = tf.stop_gradient(clean)
        return lambda logits, labels: kl_divergence(constant, logits)
