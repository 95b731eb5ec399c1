"""Carlini-Wagner finds examples no farther than Foolbox's and ART's."""

import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks.carlini_wagner import CarliniWagner

pytestmark = pytest.mark.slow  # the other libraries are

SEARCHES, STEPS, COUNT = 5, 200, 40
# ART searches along a line in each step, in up to 11 evaluations, and takes seconds a step.
ART_SEARCHES, ART_STEPS, ART_COUNT = 3, 50, 20


def ours(lenet5, x, y, **options) -> tuple[np.ndarray, np.ndarray]:
    attack = CarliniWagner(**options)
    found = tf.function(lambda: attack(lambda x: lenet5(x, training=False), x, y))()
    return distances(lenet5, found, x, y)


def distances(network, found, x, y) -> tuple[np.ndarray, np.ndarray]:
    """Of each example the distance, and whether what was found fools."""
    distance = np.linalg.norm(np.reshape(found - x, [len(x), -1]), axis=1)
    return distance, np.argmax(network(found), axis=1) != np.asarray(y)


def assert_as_near(ours, theirs) -> None:
    """As many fooled; and no farther, on average over those that both fool."""
    (distance, fooled), (other, other_fooled) = ours, theirs
    assert fooled.sum() >= other_fooled.sum()
    both = fooled & other_fooled
    assert both.mean() > 0.5
    assert distance[both].mean() <= 1.02 * other[both].mean()


def test_foolbox(lenet5, foolbox_model, images):
    import foolbox

    x, y = (part[:COUNT] for part in images)
    attack = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=SEARCHES, steps=STEPS)
    _, found, _ = attack(foolbox_model, x, y, epsilons=None)
    own = ours(lenet5, x, y, binary_searches=SEARCHES, steps=STEPS)
    assert_as_near(own, distances(lenet5, found, x, y))


def test_art(lenet5, art_model, images):
    from art.attacks.evasion import CarliniL2Method

    x, y = (part[:ART_COUNT] for part in images)
    attack = CarliniL2Method(
        art_model,
        binary_search_steps=ART_SEARCHES,
        max_iter=ART_STEPS,
        learning_rate=0.01,
        initial_const=10,
        batch_size=ART_COUNT,
        verbose=False,
    )
    found = attack.generate(x.numpy(), np.eye(10)[y.numpy()])
    own = ours(lenet5, x, y, binary_searches=ART_SEARCHES, steps=STEPS, initial_constant=10.0)
    assert_as_near(own, distances(lenet5, found, x, y))
