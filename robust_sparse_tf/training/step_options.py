"""Options of the train step, beside its objective."""

import dataclasses

from robust_sparse_tf.options import check, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepOptions:
    """Options of the train step.

    Batch normalization in attacks is a choice of "Bag of Tricks for Adversarial Training" (Pang et
    al., 2021), section 3.4. Weight perturbation is from "Adversarial Weight Perturbation Helps
    Robust Generalization" (Wu et al., 2020); it doubles the cost of the step except for the attack.
    Averaged weights are those of "Averaging Weights Leads to Wider Optima and Better
    Generalization" (Izmailov et al., 2018), with an exponential decay.
    """

    bn_attack: str = option(
        "inference",
        "mode of the network while adversarial examples are made in training: in training mode, "
        "batch normalization uses the statistics of the batch, and its running averages stay",
        choices=("inference", "training"),
    )
    bn_statistics: str = option(
        "both",
        "training passes that move the running averages of batch normalization",
        choices=("both", "clean", "adversarial"),
    )

    weight_perturbation: float = option(
        0.0,
        "gamma of adversarial weight perturbation: the gradient is taken with each kernel moved "
        "uphill by this fraction of its l2 norm",
        minimum=0,
    )
    perturbation_start: int = option(
        0, "first step with weight perturbation", unit="steps", minimum=0
    )
    average: float | None = option(
        None,
        "decay per step of averaged weights, such as 0.995, which are evaluated and exported "
        "instead of the last ones",
        minimum=0,
        maximum=1,
        kind=float,
        shown="none",
    )

    def __post_init__(self) -> None:
        check(self)
