"""FAB finds nearer examples than DeepFool, and no farther ones than Foolbox's FMN and DDN."""

import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.attacks.deepfool import DeepFool
from robust_sparse_tf.attacks.fab import FAB

pytestmark = pytest.mark.slow  # the other libraries are

# Of Foolbox, each "Fast Minimum-Norm Adversarial Attacks through Adaptive Norm Constraints" (Pintor
# et al., 2021) or "Decoupling Direction and Norm" (Rony et al., 2019).
FOOLBOX = {"linf": ["LInfFMNAttack"], "l2": ["L2FMNAttack", "DDNAttack"]}


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_mean_distance(norm, lenet5, images, foolbox_model):
    import foolbox

    x, y = (value[:100] for value in images)
    correct = tf.argmax(lenet5(x), axis=1) == y
    x, y = tf.boolean_mask(x, correct), tf.boolean_mask(y, correct)
    mean = {}

    def look(name, adversarial):
        assert np.all(tf.argmax(lenet5(adversarial), axis=1) != y), name
        mean[name] = np.mean(norms.distance(adversarial - x, norm))

    for name, attack in [
        ("deepfool", DeepFool(norm=norm)),
        ("fab", FAB(norm=norm, steps=30)),
        ("fab_t", FAB(norm=norm, steps=30, target_classes=2)),
    ]:
        look(name, tf.function(lambda x, y, attack=attack: attack(lenet5, x, y))(x, y))
    for name in FOOLBOX[norm]:
        attack = getattr(foolbox.attacks, name)(steps=100)
        look(name, attack(foolbox_model, x, tf.cast(y, tf.int32), epsilons=None)[1])
    for ours in ("fab", "fab_t"):
        assert mean[ours] < mean["deepfool"], mean
        for theirs in FOOLBOX[norm]:
            assert mean[ours] <= 1.02 * mean[theirs], mean
