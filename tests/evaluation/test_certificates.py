import numpy as np
import pytest
from linear_problem import distances, model, split

from robust_sparse_tf.attacks import Ball
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import certified_accuracy
from robust_sparse_tf.evaluation.certificates import certified

NETWORK = model(5)
DATA = split(NETWORK, 5)
EXACT = distances(NETWORK, DATA.images, 1)
RIGHT = np.argmax(NETWORK(DATA.images), axis=1) == DATA.labels
WIDE = Ball("linf", 0.0, -1e3, 1e3)


@pytest.mark.parametrize("method", ["interval", "linear"])
def test_which_examples_of_a_linear_model_are_certified(method):
    epsilon = float(np.median(EXACT))
    clear = np.abs(EXACT - epsilon) > 1e-3 * epsilon
    found = certified(NETWORK, DATA, WIDE.at(epsilon), 3, method)
    np.testing.assert_array_equal(found[clear], (RIGHT & (epsilon < EXACT))[clear])
    assert 0 < found.mean() < 1


def test_an_epsilon_or_a_ball():
    epsilon = float(np.median(EXACT))
    expected = certified_accuracy(NETWORK, DATA, ball=Ball("linf", epsilon))
    assert certified_accuracy(NETWORK, DATA, epsilon) == expected
    assert certified_accuracy(NETWORK, DATA, epsilon, ball=Ball("linf", 9.0)) == expected
    assert certified_accuracy(NETWORK, DATA, 0) == RIGHT.mean()


@pytest.mark.parametrize(
    "given, words",
    [
        (dict(), "epsilon=None: must be given, or a ball"),
        (dict(epsilon=-0.1), "epsilon=-0.1: must be at least 0"),
        (dict(epsilon=WIDE), "epsilon=Ball.*: must be at least 0 and a finite number"),
        (dict(epsilon=0.1, ball="linf"), "ball='linf': must be a Ball"),
        (dict(epsilon=0.1, batch_size=0), "batch_size=0: must be at least 1"),
        (dict(epsilon=0.1, method="exact"), "method=exact: must be one of interval, linear"),
    ],
)
def test_refuses(given, words):
    with pytest.raises(InputError, match=words):
        certified_accuracy(NETWORK, DATA, **given)
