"""DeepFool finds examples as near as those of Foolbox and ART."""

import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.deepfool import DeepFool

pytestmark = pytest.mark.slow  # the other libraries are


@pytest.fixture(scope="module")
def right(lenet5, images):
    """A hundred images that the network reads."""
    x, y = (value[:120] for value in images)
    correct = tf.argmax(lenet5(x), axis=1) == y
    return tf.boolean_mask(x, correct)[:100], tf.boolean_mask(y, correct)[:100]


def test_mean_distance(right, lenet5, foolbox_model, art_model):
    import foolbox
    from art.attacks.evasion import DeepFool as ArtDeepFool

    x, y = right
    attack = DeepFool()
    ours = tf.function(lambda x, y: attack(lenet5, x, y))(x, y)
    theirs = {
        "foolbox": foolbox.attacks.L2DeepFoolAttack(steps=50)(
            foolbox_model, x, tf.cast(y, tf.int32), epsilons=None
        )[1],
        "art": ArtDeepFool(art_model, max_iter=50, batch_size=100, verbose=False).generate(
            x.numpy()
        ),
    }
    assert np.all(attack.fools(lenet5(ours), y))
    mean = np.mean(norms.distance(ours - x, "l2"))
    for name, adversarial in theirs.items():
        assert np.all(attack.fools(lenet5(adversarial), y)), name
        assert abs(mean / np.mean(norms.distance(adversarial - x, "l2")) - 1) < 0.05, name


def test_mean_distance_linf(right, lenet5, foolbox_model):
    import foolbox

    x, y = right
    attack = DeepFool(norm="linf")
    ours = tf.function(lambda x, y: attack(lenet5, x, y))(x, y)
    theirs = foolbox.attacks.LinfDeepFoolAttack(steps=50)(
        foolbox_model, x, tf.cast(y, tf.int32), epsilons=None
    )[1]
    found, expected = (np.mean(norms.distance(z - x, "linf")) for z in (ours, theirs))
    assert np.all(attack.fools(lenet5(ours), y)) and np.all(attack.fools(lenet5(theirs), y))
    assert abs(found / expected - 1) < 0.05
