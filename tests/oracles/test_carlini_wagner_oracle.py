"""Carlini-Wagner finds examples no farther than Foolbox's and ART's, at as many steps."""

import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks.carlini_wagner import CarliniWagner

pytestmark = pytest.mark.slow  # the other libraries are

SEARCHES, STEPS, COUNT = 5, 200, 40


@pytest.fixture(scope="module")
def ours(lenet5, images):
    x, y = (part[:COUNT] for part in images)
    attack = CarliniWagner(binary_searches=SEARCHES, steps=STEPS)
    found = tf.function(lambda: attack(lambda x: lenet5(x, training=False), x, y))()
    return distances(lenet5, found, x, y)


def distances(network, found, x, y) -> tuple[np.ndarray, np.ndarray]:
    """Of each example the distance, and whether what was found fools."""
    distance = np.linalg.norm(np.reshape(found - x, [COUNT, -1]), axis=1)
    return distance, np.argmax(network(found), axis=1) != np.asarray(y)


def assert_as_near(ours, theirs) -> None:
    """As many fooled; and no farther, on average over those that both fool."""
    (distance, fooled), (other, other_fooled) = ours, theirs
    assert fooled.sum() >= other_fooled.sum()
    both = fooled & other_fooled
    assert both.sum() > COUNT / 2
    assert distance[both].mean() <= 1.02 * other[both].mean()


def test_foolbox(ours, lenet5, foolbox_model, images):
    import foolbox

    x, y = (part[:COUNT] for part in images)
    attack = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=SEARCHES, steps=STEPS)
    _, found, _ = attack(foolbox_model, x, y, epsilons=None)
    assert_as_near(ours, distances(lenet5, found, x, y))


def test_art(ours, lenet5, art_model, images):
    from art.attacks.evasion import CarliniL2Method

    x, y = (part[:COUNT] for part in images)
    attack = CarliniL2Method(
        art_model,
        binary_search_steps=SEARCHES,
        max_iter=STEPS,
        learning_rate=0.01,
        initial_const=0.001,
        batch_size=COUNT,
        verbose=False,
    )
    found = attack.generate(x.numpy(), np.eye(10)[y.numpy()])
    assert_as_near(ours, distances(lenet5, found, x, y))
