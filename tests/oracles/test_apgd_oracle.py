"""Auto-PGD against that of the Adversarial Robustness Toolbox, and in l1 Foolbox's PGD."""

import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks.apgd import APGD

pytestmark = pytest.mark.slow  # the other libraries are

IMAGES = 500  # of 200, a random start moves a percent
STEPS = 50
THEIR_LOSS = {"ce": "cross_entropy", "dlr": "difference_logits_ratio"}


@pytest.fixture(scope="module")
def accuracy(lenet5, images):
    """Accuracy under an attack, in percent of the first images."""
    x, y = images[0][:IMAGES], images[1][:IMAGES]

    def logits(x):
        return lenet5(x, training=False)

    def measure(attack):
        adversarial = tf.function(lambda x, y: attack(logits, x, y))(x, y)
        return 100 * np.mean(np.argmax(logits(adversarial), axis=1) == y)

    return measure


@pytest.mark.parametrize("norm, epsilon", [("linf", 0.1), ("l2", 1.5)])
@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_accuracy_is_not_above_arts(norm, epsilon, loss, accuracy, lenet5, images, art_model):
    from art.attacks.evasion import AutoProjectedGradientDescent

    ours = accuracy(APGD(norm=norm, epsilon=epsilon, loss=loss, steps=STEPS))
    theirs = AutoProjectedGradientDescent(
        art_model,
        norm=np.inf if norm == "linf" else 2,
        eps=epsilon,
        eps_step=2 * epsilon,
        max_iter=STEPS,
        nb_random_init=1,
        batch_size=100,
        loss_type=THEIR_LOSS[loss],
        verbose=False,
    )
    x, y = images[0][:IMAGES], images[1][:IMAGES]
    np.random.seed(0)
    adversarial = theirs.generate(x.numpy(), y.numpy())
    art = 100 * np.mean(np.argmax(lenet5(adversarial), axis=1) == y)
    print(f"{norm} {loss}: ours {ours:.1f}, ART {art:.1f}")
    assert 5 < art < 95
    assert ours <= art + 1


def test_l1_accuracy_is_below_foolboxs_pgd(accuracy, lenet5, images, foolbox_model):
    import foolbox

    epsilon = 8.0
    ours = accuracy(APGD(norm="l1", epsilon=epsilon, steps=STEPS))
    x, y = images[0][:IMAGES], images[1][:IMAGES]
    tf.random.set_seed(0)
    _, adversarial, _ = foolbox.attacks.L1PGD(steps=STEPS)(
        foolbox_model, x, tf.cast(y, tf.int64), epsilons=epsilon
    )
    theirs = 100 * np.mean(np.argmax(lenet5(adversarial), axis=1) == y)
    print(f"l1: ours {ours:.1f}, Foolbox {theirs:.1f}")
    assert ours < theirs < 96


def test_the_targeted_form_is_the_strongest(accuracy):
    options = dict(epsilon=0.1, steps=STEPS // 2)
    targeted = accuracy(APGD(loss="targeted_dlr", **options))
    print(f"linf: targeted {targeted:.1f}")
    assert targeted <= accuracy(APGD(loss="ce", **options)) + 0.5
    assert targeted <= accuracy(APGD(loss="dlr", **options)) + 0.5
