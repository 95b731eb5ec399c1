"""Base classes of attacks: threat model, labels, targets."""

from __future__ import annotations

import abc
import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeAlias

from etils import epy

from robust_sparse_tf.attacks import checks, norms
from robust_sparse_tf.attacks.ball import Ball, Ranged
from robust_sparse_tf.attacks.losses import cross_entropy, required, value_and_gradient
from robust_sparse_tf.attacks.seeds import Seed, check_seed
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.options import check, checked, option
from robust_sparse_tf.tensors import as_labels, as_tensor

with epy.lazy_imports():
    import tensorflow as tf
    from cleverhans.tf2 import utils as cleverhans

Logits: TypeAlias = "Callable[[tf.Tensor], tf.Tensor]"


def draws_option() -> Any:
    """The option `draws` of attacks by gradients."""
    return option(
        1,
        "gradients averaged per step, with one forward pass each, for models with noise at "
        "inference",
        minimum=1,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attack(Ranged, abc.ABC):
    """An attack, as an immutable object: `x_adv = attack(model, x, y)`.

    Subclasses implement `perturb`, with `tf.cond` instead of `if`: it runs eagerly, and inside
    `tf.function` without AutoGraph.
    """

    can_target: ClassVar[bool] = False
    uses_gradients: ClassVar[bool] = True

    low: float = option(0.0, "minimum value of an input", unit="input units")
    high: float = option(1.0, "largest value of an input", unit="input units")
    attack_labels: str = option(
        "true",
        "labels the attack moves away from: the true ones or the model's own prediction",
        choices=("true", "predicted"),
    )
    targeted: bool = option(False, "move towards given targets instead of away from labels")

    def __post_init__(self) -> None:
        check(self)
        self.check_range()
        if self.targeted and not self.can_target:
            raise InputError(f"targeted=True: {type(self).__name__} has no targeted form")

    def _take_from(self, attack: Attack, *names: str) -> None:
        """Takes fields over from the attack that this one runs.

        Raises:
            InputError: for a field that is given and differs from that attack's.
        """
        check(self)
        for field in dataclasses.fields(self):
            if field.name not in names:
                continue
            given, own = getattr(self, field.name), getattr(attack, field.name)
            if given not in (own, field.default):
                raise InputError(f"{field.name}={given}: must be that of the attack, {own}")
            object.__setattr__(self, field.name, own)

    def __call__(
        self,
        model: Logits,
        x: tf.Tensor,
        y: tf.Tensor | None,
        *,
        seed: Seed = (0, 0),
        targets: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns the adversarial examples of a batch.

        Args:
            model: any callable from inputs to logits [batch, classes]. Pass the same object each
                time, because CleverHans traces a graph for each new callable.
            x: [batch, ...] from low to high, cast to float32.
            y: class numbers [batch] or [batch, 1] of any type; ignored with
                `attack_labels="predicted"` and by targeted attacks.
            seed: two integers for everything random.
            targets: class numbers, likewise, that a targeted attack moves to.

        Returns:
            float32, shaped as x, within the threat model; no gradient flows through it.

        Raises:
            InputError: if targets are given to an untargeted attack, or missing for a targeted one;
                if inputs, labels or model do not fit, see `checks.check_call`. Inside
                `tf.function`, values out of range raise `tf.errors.InvalidArgumentError` instead.
        """
        if self.targeted != (targets is not None):
            given = "without targets" if targets is None else "with targets"
            raise InputError(f"targeted={self.targeted}: must not be called {given}")
        check_seed(seed)
        x = as_tensor("x", x, tf.float32)
        name = "targets" if self.targeted else "labels"
        predicted = not self.targeted and self.attack_labels == "predicted"
        if y is not None:  # not used either, perhaps
            checks.check_types(x, as_labels("labels", y))
        labels = None if predicted else as_labels(name, targets if self.targeted else y)
        model = checks.check_call(model, x, labels, name, self.limits, self.uses_gradients)
        labels = tf.argmax(model(x), axis=1) if predicted else labels
        found = self.perturb(model, x, labels, seed)
        # Gradients of NaN give no direction.
        return tf.stop_gradient(tf.where(tf.math.is_nan(found), x, found))

    @abc.abstractmethod
    def perturb(self, model: Logits, x: tf.Tensor, labels: tf.Tensor, seed: Seed) -> tf.Tensor:
        """Runs the attack.

        Args:
            model: as in `__call__`.
            x: clean inputs.
            labels: integers [batch] to move away from, or to if the attack is targeted.
            seed: two integers for everything random.
        """

    @property
    @abc.abstractmethod
    def norm(self) -> str:
        """The norm in which the perturbation is measured: "linf", "l2" or "l1"."""

    def fools(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Where the attack succeeded, bool [batch], from logits [batch, classes]."""
        hit = tf.equal(tf.argmax(logits, axis=1), tf.cast(labels, tf.int64))
        return hit if self.targeted else ~hit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounded(Attack):
    """An attack that stays within a distance epsilon of the input."""

    allowed_norms: ClassVar[tuple[str, ...]] = ("linf",)

    epsilon: float = option(0.3, "radius of the ball", unit="input units", minimum=0)
    norm: str = option("linf", "norm of the ball", choices=norms.NAMES)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_norm(self)
        epsilon, span = self.epsilon, self.high - self.low
        if self.norm == "linf" and isinstance(epsilon, float) and epsilon > span:
            warnings.warn(
                f"epsilon={epsilon:g}: the inputs' whole range is {span:g} wide (low={self.low:g}, "
                f"high={self.high:g}); {epsilon:g}/255 is {epsilon / 255:.4g}",
                RunWarning,
                stacklevel=4,
            )

    @property
    def ball(self) -> Ball:
        """The threat model."""
        return Ball(norm=self.norm, epsilon=self.epsilon, low=self.low, high=self.high)

    def at(self, epsilon: float) -> Self:
        """Returns the same attack with another radius, and its steps scaled in proportion."""
        return dataclasses.replace(self, epsilon=epsilon)

    def project(self, x: tf.Tensor, adversarial: tf.Tensor) -> tf.Tensor:
        """Projects onto the ball and the range; see `Ball.nearest` for shapes and dtypes."""
        return self.ball.nearest(x, adversarial)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ascent(Bounded):
    """An attack that follows the gradient of the loss; it can be trained against."""

    can_target = True
    allowed_norms: ClassVar[tuple[str, ...]] = ("linf", "l2")

    def perturb(self, model: Logits, x: tf.Tensor, labels: tf.Tensor, seed: Seed) -> tf.Tensor:
        return self.ascend(model, x, labels, self.noise(tf.shape(x), seed))

    def drawn(self, seed: Seed) -> Ascent:
        """The attack to use for one batch; subclasses may draw its settings at random."""
        del seed
        return self

    def noise(self, shape: tf.Tensor, seed: Seed) -> tf.Tensor | None:
        """The initial perturbation, of a given shape, or None to start at x."""
        del shape, seed
        return None

    @abc.abstractmethod
    def ascend(
        self,
        model: Logits,
        x: tf.Tensor,
        labels: tf.Tensor,
        noise: tf.Tensor | None,
        gradient_at_x: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Runs the attack from a given initial perturbation.

        Args:
            model: as in `__call__`.
            x: clean inputs.
            labels: integers [batch] to move away from, or to if the attack is targeted.
            noise: initial perturbation, or None to start at x.
            gradient_at_x: gradient of the cross-entropy of `labels` with respect to x, if the
                caller has it already; used only if the attack starts at x.
        """

    def step(
        self, model: Logits, x: tf.Tensor, labels: tf.Tensor, size: float, draws: int = 1
    ) -> tf.Tensor:
        """Takes CleverHans' fast gradient step of a given size, within the clip range.

        With several draws it averages the gradients of as many forward passes.
        """
        # CleverHans' own step takes one draw, and in l2 it is too short for small gradients.
        if draws > 1 or self.norm == "l2":
            _, _, gradient = value_and_gradient(cross_entropy, model, x, labels, draws)
            return self.step_along(x, gradient, size)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits
        gradient = required(_gradient(model)(model, loss, x, labels, self.targeted))
        return self.clip(x + norms.steepest(gradient, self.norm, size))

    def step_along(self, x: tf.Tensor, gradient: tf.Tensor, size: float) -> tf.Tensor:
        """Takes the same step from a gradient of the loss that is already known."""
        uphill = -gradient if self.targeted else gradient
        return self.clip(x + norms.steepest(uphill, self.norm, size))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stepwise(Ascent):
    """An attack that takes several steps of one size.

    The default step size is the rule of "Towards Deep Learning Models Resistant to Adversarial
    Attacks" (Madry et al., 2018): all steps together are 2.5 times as long as the radius.
    """

    step_size: float | None = option(
        None,
        "step size",
        unit="input units",
        above=0,
        kind=float,
        shown="2.5 x epsilon / steps",
    )
    steps: int = option(10, "steps of the attack", unit="steps", minimum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        size, epsilon = self.step_size, self.epsilon
        if size is not None and isinstance(epsilon, int | float) and size > epsilon:
            warnings.warn(
                f"step_size={size} is above epsilon={epsilon}: each step leaves the ball and is "
                "projected back",
                RunWarning,
                stacklevel=3,
            )

    def at(self, epsilon: float) -> Self:
        """See `Bounded.at`; at epsilon 0 the step size is 0."""
        size, epsilon = self.step_size, checked("epsilon", epsilon, float, minimum=0)
        if size is not None and self.epsilon > 0:
            size = size * epsilon / self.epsilon or None
        return dataclasses.replace(self, epsilon=epsilon, step_size=size)

    @property
    def step_length(self) -> float:
        """The step size, in input units."""
        if self.step_size is not None:
            return self.step_size
        return 2.5 * self.epsilon / self.steps


@dataclasses.dataclass(frozen=True, kw_only=True)
class MinimumNorm(Attack):
    """An attack that searches for the nearest adversarial example.

    If it finds none, it returns the input itself.
    """

    allowed_norms: ClassVar[tuple[str, ...]] = ("l2",)

    norm: str = option("l2", "norm of the distance", choices=norms.NAMES)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_norm(self)


@functools.lru_cache(maxsize=8)
def _gradient(model: Logits) -> tf.types.experimental.PolymorphicFunction:
    """CleverHans' gradient, with a cached graph for each of the last few models.

    CleverHans' `fast_gradient_method` is this, `steepest` and a clip, but it never frees the graphs
    of the callables it has seen.
    """
    del model
    return tf.function(cleverhans.compute_gradient.python_function)


def _check_norm(attack: Bounded | MinimumNorm) -> None:
    if attack.norm not in attack.allowed_norms:
        name, allowed = type(attack).__name__, " or ".join(attack.allowed_norms)
        raise InputError(f"norm={attack.norm}: must be {allowed} for {name}")
