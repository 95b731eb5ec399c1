"""Transfer attacks: adversarial examples of other models."""

from __future__ import annotations

import dataclasses
from typing import Any

from etils import epy

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.base import Attack, Bounded, Logits, Seed
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import require, shown

with epy.lazy_imports():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transfer(Attack):
    """Attacks source models, and tries the results on the attacked one, of which it sees scores.

    "Practical Black-Box Attacks against Machine Learning" (Papernot et al., 2017), section 4.

    Args:
        attack: untargeted attack to run on each source, in its own threat model; sets the range.
        sources: callables from inputs to logits.
    """

    uses_gradients = False  # on the attacked model

    attack: Attack
    sources: tuple[Logits, ...]

    def __post_init__(self) -> None:
        require("attack", self.attack, Attack)
        if not isinstance(self.sources, list | tuple) or not all(map(_is_model, self.sources)):
            raise InputError(f"sources={shown(self.sources)}: must be a tuple of models")
        self._take_from(self.attack, "low", "high")
        super().__post_init__()
        if not self.sources or self.attack.targeted:
            raise InputError(
                f"sources={self.sources}, attack={self.attack}: must be at least one source and an "
                "untargeted attack"
            )

    @property
    def norm(self) -> str:
        """The norm of the attack."""
        return self.attack.norm

    def at(self, epsilon: float) -> Transfer:
        """Returns the same attack with another radius.

        Raises:
            InputError: if the attack on the sources has no epsilon.
        """
        if not isinstance(self.attack, Bounded):
            raise InputError(f"attack={self.attack}: has no epsilon to be changed")
        return dataclasses.replace(self, attack=self.attack.at(epsilon))

    def perturb(self, model: Logits, x: tf.Tensor, labels: tf.Tensor, seed: Seed) -> tf.Tensor:
        """See `Attack.perturb`; if no source's example fools, the last source's is returned."""
        kept, fooled = x, self.fools(model(x), labels)
        for source in self.sources:
            found = self.attack(source, x, labels, seed=seed)
            kept = norms.select(fooled, kept, found)
            fooled |= self.fools(model(found), labels)
        return kept


def _is_model(value: Any) -> bool:
    return callable(value) and not isinstance(value, type | Attack)
