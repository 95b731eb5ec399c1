"""How the gradient of an objective is computed in a train step, one way a file.

To add a way, such as one of bounds instead of adversarial examples: give its objectives a base in
`objectives.base` (whose `training_attack` returns None if no attack is run), write a subclass of
`ObjectiveGradients` with its own `metric`, `of_part` and `of_test`, and add both to `WAYS`. Nothing
else changes: the model calls the way for each part of a batch, and reports its metric.
"""

from robust_sparse_tf.training.gradients.base import ObjectiveGradients, Results
from robust_sparse_tf.training.gradients.certified import CertifiedGradients
from robust_sparse_tf.training.gradients.joint import JointGradients
from robust_sparse_tf.training.gradients.passes import Passes
from robust_sparse_tf.training.gradients.separable import SeparableGradients
from robust_sparse_tf.training.objectives import Certified, Joint, Objective, Separable

WAYS: dict[type[Objective], type[ObjectiveGradients]] = {
    Separable: SeparableGradients,
    Joint: JointGradients,
    Certified: CertifiedGradients,
}


def of_objective(passes: Passes) -> ObjectiveGradients:
    """The gradients of the objective of a model, by the base of the objective."""
    objective = passes.model.objective
    way = next(way for base, way in WAYS.items() if isinstance(objective, base))
    return way(passes)


__all__ = ["WAYS", "ObjectiveGradients", "Passes", "Results", "of_objective"]
