"""Losses and gradients are averaged over draws, each a forward pass of its own."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import APGD, BIM, FGSM, MIM, PGD, RFGSM
from robust_sparse_tf.attacks.losses import value_and_gradient

_DRAWN = np.float32([3, -1, 5, 1, 2, 7])


class Drawn(keras.layers.Layer):
    """Multiplies by the next of some numbers: one a call, or one for each example."""

    def __init__(self, each: bool) -> None:
        super().__init__()
        self._each = each
        self._place = tf.Variable(0, trainable=False)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        count = len(x) if self._each else 1
        drawn = tf.gather(tf.constant(_DRAWN), self._place + tf.range(count))
        self._place.assign_add(count)
        return x * drawn[:, None]


@pytest.mark.parametrize("run", [lambda f: f, tf.function], ids=["eager", "graph"])
@pytest.mark.parametrize(
    ("each", "expected"),
    [(False, [7 / 3, 7 / 3]), (True, [(3 + 5 + 2) / 3, (-1 + 1 + 7) / 3])],
    ids=["a call", "an example"],
)
def test_each_draw_is_a_pass_of_its_own(run, each, expected):
    layer, x = Drawn(each), tf.constant([[1.0, 0], [1, 0]])
    averaged = run(
        lambda x: value_and_gradient(lambda logits, _: logits[:, 0], layer, x, x[:, 0], 3)
    )
    losses, logits, gradient = averaged(x)
    for found in (losses, logits[:, 0], gradient[:, 0]):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "attack",
    [
        PGD(epsilon=0.2, steps=2, draws=3),
        PGD(epsilon=0.2, steps=2, draws=3, stop_when_fooled=True),
        APGD(epsilon=0.2, steps=2, draws=3),
        APGD(epsilon=0.2, steps=2, draws=3, loss="targeted_dlr", target_classes=2),
        FGSM(epsilon=0.2, draws=3),
        RFGSM(epsilon=0.2, draws=3),
        BIM(epsilon=0.2, steps=2, draws=3),
        MIM(epsilon=0.2, steps=2, draws=3),
    ],
    ids=["pgd", "pgd_standing", "apgd", "apgd_t", "fgsm", "rfgsm", "bim", "mim"],
)
def test_attacks_show_the_model_no_larger_batches(attack):
    """Else a layer that draws once a call would give all draws of a batch the same number."""
    sizes = []
    weight = np.float32(np.random.default_rng(0).normal(size=(2, 4)))

    def model(x: tf.Tensor) -> tf.Tensor:
        sizes.append(len(x))
        return x @ weight

    attack(model, tf.constant([[0.4, 0.6]] * 5), tf.zeros(5, tf.int64))
    assert max(sizes) == 5
