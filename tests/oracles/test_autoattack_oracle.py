"""The ensemble `standard` against AutoAttack itself, on the same weights."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import robust_sparse_tf as rst
from tools.bench_contenders import Problem, installed

pytestmark = pytest.mark.slow  # the other libraries are

IMAGES = 1000
EPSILON = 0.25


@pytest.fixture(scope="module")
def problem(mnist) -> Problem:
    """A LeNet-5 after a little training under PGD, of which some images stand."""
    others = ("autoattack", "pyautoattack", "torchattacks")
    if not installed("torch") or not any(map(installed, others)):
        pytest.skip(f"none of {', '.join(others)} is installed")
    keras.utils.set_random_seed(0)
    attack = rst.attacks.PGD(epsilon=0.15, step_size=0.05, steps=5)
    model = rst.AdversarialModel(rst.models.lenet5(), attack)
    model.compile(keras.optimizers.Adam(1e-3), jit_update=False, steps_per_execution=50)
    model.fit(mnist[0], epochs=1, steps_per_epoch=400, verbose=0)
    x, y = mnist[2].gather(tf.range(IMAGES, dtype=tf.int64))
    return Problem(model.network, x.numpy(), y.numpy())


def test_the_twin_has_the_same_logits(problem):
    x, _ = problem.torch_tensors
    np.testing.assert_allclose(problem.twin(x).numpy(), problem.network(problem.x), atol=1e-4)


def test_worst_case_accuracy(problem):
    report = rst.evaluate(
        problem.network, (problem.x, problem.y), "standard", [EPSILON], check_masking=False
    )
    ours = report.outcomes[-1].stands
    for name, call in problem.autoattack(EPSILON, batch_size=200).items():
        theirs = np.argmax(problem.network(call()), axis=1) == problem.y
        print(f"ours {ours.mean():.4f}, {name} {theirs.mean():.4f}")
        assert 0.05 < theirs.mean() < 0.9
        assert abs(ours.mean() - theirs.mean()) <= 0.005, name
