"""Square is as strong as ART's at equal queries."""

import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks.square import Square

pytestmark = pytest.mark.slow  # the other libraries are

COUNT, QUERIES = 500, 200


@pytest.mark.parametrize("norm, epsilon", [("linf", 0.1), ("l2", 1.5)])
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_art(norm, epsilon, lenet5, art_model, images):
    from art.attacks.evasion import SquareAttack

    x, y = (part[:COUNT] for part in images)
    attack = Square(norm=norm, epsilon=epsilon, queries=QUERIES)
    ours = tf.function(lambda: attack(lambda x: lenet5(x, training=False), x, y))().numpy()
    theirs = SquareAttack(
        art_model,
        norm=np.inf if norm == "linf" else 2,
        eps=epsilon,
        max_iter=QUERIES,
        batch_size=COUNT,
        nb_restarts=1,
        verbose=False,
    ).generate(x.numpy(), np.eye(10)[y.numpy()])

    def accuracy(found) -> float:
        # ART's l2 divides by 0 on black images; what is not a number has fooled nobody.
        valid = np.all(np.isfinite(found), axis=(1, 2, 3))
        right = np.argmax(lenet5(found), axis=1) == y
        return float(np.mean(right | ~valid))

    assert accuracy(x.numpy()) > 0.95 > 0.9 > accuracy(ours) > 0.3
    assert accuracy(ours) <= accuracy(theirs) + 0.01
