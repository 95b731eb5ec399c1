"""CLEVER against the Adversarial Robustness Toolbox (`art.metrics.clever_t`, `clever_u`).

Both are estimates from random points, so that they agree up to chance only. From seed to seed one
targeted score of ours has a standard deviation of 3 to 7 % (l2 3, linf 3 to 5, l1 4 to 7; six
seeds), and ART, which does the same, is taken to have that, too. The mean ratio of three images so
has one of up to 6 % * sqrt(2 / 3) = 5 %, and the test allows 12 %. An untargeted score has up to
3 %, and so has the mean ratio of two; the test allows three of them. ART draws its maxima from one
pool, with replacement; here it is as large as all our draws together, as a smaller one finds
smaller maxima and makes its scores larger (in l2 by 6 % at a fifth of the draws).
"""

import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks import Ball
from robust_sparse_tf.evaluation.clever_score import clever

pytestmark = pytest.mark.slow  # the other libraries are

ORDERS = {"linf": np.inf, "l2": 2, "l1": 1}
RADIUS = {"linf": 0.3, "l2": 5.0, "l1": 20.0}


@pytest.fixture
def art_classifier(art_model, monkeypatch):
    """ART passes labels on as NumPy numbers, which its classifier for TensorFlow does not take."""
    gradient = art_model.class_gradient
    monkeypatch.setattr(art_model, "class_gradient", lambda x, label: gradient(x, int(label)))
    return art_model


@pytest.mark.parametrize("norm", ORDERS)
def test_targeted(norm, lenet5, images, art_classifier):
    from art.metrics import clever_t

    # Not the second image, which scores the whole radius in l1.
    x = tf.gather(images[0], [0, 2, 3])
    targets = (np.argmax(lenet5(x), axis=1) + 1) % 10
    radius = RADIUS[norm]
    ours = clever(lenet5, x, Ball(norm, radius), targets=targets, batches=50, samples=20)
    np.random.seed(0)
    theirs = [
        clever_t(art_classifier, image, int(k), 50, 20, radius, ORDERS[norm], pool_factor=50)
        for image, k in zip(x.numpy(), targets, strict=True)
    ]
    print(norm, ours, theirs)
    assert np.all(ours < radius)
    assert np.mean(ours / theirs) == pytest.approx(1, abs=0.12)


def test_untargeted(lenet5, images, art_classifier):
    """The least of nine: two images, each by 20 maxima of 10."""
    from art.metrics import clever_u

    x = images[0][2:4]
    ours = clever(lenet5, x, Ball("l2", 5.0), batches=20, samples=10)
    np.random.seed(0)
    theirs = [
        clever_u(art_classifier, image, 20, 10, 5.0, 2, pool_factor=20, verbose=False)
        for image in x.numpy()
    ]
    print(ours, theirs)
    assert np.mean(ours / theirs) == pytest.approx(1, abs=0.09)
