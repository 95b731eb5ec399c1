import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import evaluate
from robust_sparse_tf.attacks import FGSM, PGD
from robust_sparse_tf.evaluation import Evaluator

ATTACKS = {"fgsm": FGSM(epsilon=0.1), "pgd": PGD(epsilon=0.1, step_size=0.03, steps=3)}


def by_if(x):
    """What only AutoGraph can trace."""
    if tf.reduce_mean(x) > 0:
        return x
    return -x


def by_cond(x):
    return tf.cond(tf.reduce_mean(x) > 0, lambda: x, lambda: -x)


class Branching(keras.layers.Layer):
    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def call(self, x):
        return self.branch(x)


def as_function(trained, branch):
    return lambda x: branch(trained.network(x))


def as_layer(trained, branch):
    return keras.Sequential([trained.network, Branching(branch)])


@pytest.mark.parametrize("make", [as_function, as_layer])
def test_models_may_branch_by_if(make, trained, digits):
    few = digits[2].first(40)
    one, other = (make(trained, branch) for branch in (by_if, by_cond))
    assert Evaluator(one, ATTACKS)(few) == Evaluator(other, ATTACKS)(few)
    one, other = (evaluate(model, few, ATTACKS, [0.1]) for model in (one, other))
    accuracies = [[row["accuracy"] for row in report.rows()] for report in (one, other)]
    assert accuracies[0] == accuracies[1]
    assert one.warnings == other.warnings
