import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks import FGSM, PGD, Transfer
from robust_sparse_tf.errors import InputError


@pytest.fixture(scope="module")
def models(trained, make_lenet):
    """The attacked one, and one that was never trained."""
    target, other = trained.network, make_lenet(seed=3)
    return lambda x: target(x, training=False), lambda x: other(x, training=False)


def test_examples_are_the_sources(models, batch):
    """Of the first source whose example fools; those that are wrong already stay."""
    target, other = models
    x, y = batch
    attack = FGSM(epsilon=0.15)
    of_other, of_target = attack(other, x, y), attack(target, x, y)
    found = Transfer(attack=attack, sources=(other, target))(target, x, y)

    def wrong(images: tf.Tensor) -> np.ndarray:
        return (np.argmax(target(images), axis=1) != y.numpy())[:, None, None, None]

    expected = np.where(wrong(x), x, np.where(wrong(of_other), of_other, of_target))
    np.testing.assert_array_equal(found, expected)
    assert np.any(wrong(of_target) & ~wrong(of_other))


def test_the_attacked_model_is_only_asked_for_scores(models, batch):
    target, other = models
    blind = Transfer(attack=PGD(epsilon=0.1, step_size=0.03, steps=3), sources=(other,))

    def scores(x: tf.Tensor) -> tf.Tensor:
        found = tf.numpy_function(lambda x: target(x).numpy(), [x], tf.float32)
        found.set_shape([None, 10])
        return found

    found = tf.function(lambda x, y: blind(scores, x, y), autograph=False)(*batch)
    np.testing.assert_allclose(found, blind(target, *batch), atol=1e-6)


def test_refuses(models):
    with pytest.raises(InputError, match="must be at least one source"):
        Transfer(attack=FGSM(), sources=())
    with pytest.raises(InputError, match="an untargeted attack"):
        Transfer(attack=dataclasses.replace(FGSM(), targeted=True), sources=models)


def test_its_range_is_that_of_its_attack(models):
    attack = PGD(low=-1.0, high=2.0)
    assert Transfer(attack=attack, sources=models).limits == (-1.0, 2.0)
    assert Transfer(attack=attack, sources=models).at(0.5).limits == (-1.0, 2.0)
