"""Checks of whether a robust accuracy can be trusted: their outcomes, meanings and remedies."""

import dataclasses
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["passed", "failed", "not run"]


@dataclasses.dataclass(frozen=True)
class Check:
    """A check and its outcome.

    Attributes:
        name: one of `MEANINGS`.
        status: "passed", "failed" or "not run".
        evidence: lines with the compared numbers; for a check that was not run, the reason.
    """

    name: str
    status: Status
    evidence: tuple[str, ...] = ()

    @property
    def meaning(self) -> str:
        """The meaning of a failed check."""
        return MEANINGS[self.name][0]

    @property
    def advice(self) -> str:
        """The remedy for a failed check."""
        return MEANINGS[self.name][1]

    @property
    def warnings(self) -> list[str]:
        """A line per sign that was found."""
        return [f"{self.name}: {line}" for line in self.evidence] if self.status == "failed" else []

    def as_json(self) -> dict[str, str]:
        """The check as JSON."""
        return {
            "name": self.name,
            "status": self.status,
            "evidence": "; ".join(self.evidence),
            "meaning": self.meaning,
            "advice": self.advice,
        }


def outcome(name: str, failed: bool, *evidence: str) -> Check:
    """A check that was run."""
    return Check(name, "failed" if failed else "passed", evidence)


def not_run(name: str, why: str) -> Check:
    """A check that was not run."""
    return Check(name, "not run", (why,))


MEANINGS = {
    "no gradient": (
        "The model has no gradients, so that attacks by gradients did nothing.",
        "Count attacks by scores only (Square, SPSA), or attack a differentiable substitute.",
    ),
    "NaN or infinite gradients": (
        "Gradients overflow, so that attacks by gradients go nowhere.",
        "Look for divisions, logarithms and very large logits; attack in float32.",
    ),
    "zero gradients": (
        "The loss is flat at many images: attacks by gradients stay where they are.",
        "Attack the logits or margins (DLR, Carlini-Wagner) instead of the cross entropy, and "
        "check for softmax outputs and saturated logits.",
    ),
    "one step stronger than many": (
        "A single step fools more images than many steps, which contain it.",
        "Use more steps, smaller ones and random starts; train with several steps.",
    ),
    "black box stronger than white box": (
        "An attack that sees scores only fools more images than one that sees gradients.",
        "Do not trust the attacks by gradients here; report the stronger attack.",
    ),
    "noise as strong as an attack": (
        "Random noise fools about as many images as an attack by gradients.",
        "Check that gradients reach the input, and that the attack's loss is the right one.",
    ),
    "restarts gain much": (
        "The loss surface is rough: where an attack starts decides whether it succeeds.",
        "Use many restarts and larger ensembles (standard).",
    ),
    "unbounded attacks fail": (
        "Images stay right though an attack may change them into anything, and gradients do no "
        "better than noise within epsilon.",
        "The attack is broken by the model, not resisted: check gradients and clip range.",
    ),
    "reach": (
        "The attack does not reach its ball: it was run at a smaller epsilon than reported.",
        "Use more or longer steps (by default 2.5 x epsilon / steps), or a random start.",
    ),
    "own labels": (
        "The attack moved away from the model's own predictions, which it may thereby correct.",
        "Attack the true labels (attack_labels=true).",
    ),
    "test images in training": (
        "The model was trained on the images that it is evaluated on.",
        "Evaluate on images that are not in the training set.",
    ),
    "transfer stronger than white box": (
        "Adversarial examples of another model fool more images than the model's own.",
        "Do not trust the attacks by gradients here; report the transfer attack.",
    ),
    "label leaking": (
        "The model is more often right under a one-step attack than without it: it reads the "
        "label from the perturbation.",
        "Train with several steps or random starts, or with the model's predictions as labels.",
    ),
    "not monotone in epsilon": (
        "An attack with a larger radius fools fewer images, though it may do all it did before.",
        "Use more steps: the attack does not converge at the larger radius.",
    ),
    "noise at inference": (
        "The model's answers are random, and the attacks followed gradients of single draws.",
        "Average gradients over draws (the ensemble rand, draws of an attack).",
    ),
    "mixed examples": (
        "The logits of an image depend on the other images of its batch.",
        "Evaluate batch normalization with its moving statistics (training=False).",
    ),
    "catastrophic overfitting": (
        "The model has learnt to resist the single-step training attack, and no stronger one.",
        "Train with several steps, with random starts, or stop earlier.",
    ),
}
"""The meaning and the remedy of each failed check, by name."""
