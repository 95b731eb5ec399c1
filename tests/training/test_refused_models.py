"""Networks, losses and weights of examples that adversarial training refuses."""

import keras as keras_3
import pytest
import tensorflow as tf
import tf_keras as keras
from adversarial_models import robust

from robust_sparse_tf import sparsify
from robust_sparse_tf.attacks import PGD, Attack
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.training import AdversarialModel

layers = keras.layers


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


class Shift(Attack):
    norm = "linf"

    def perturb(self, model, x, labels, seed):
        return x + 0.1


def ending(*last) -> keras.Model:
    return keras.Sequential([layers.Input((8, 8, 1)), layers.Flatten(), *last], "mine")


@pytest.mark.parametrize(
    "make, words",
    [
        (
            lambda: ending(layers.Dense(3, "softmax", name="p")),
            r"mine: ends in softmax \(layer p\)",
        ),
        (lambda: ending(layers.Dense(3), layers.Softmax()), "mine: ends in softmax"),
        (lambda: ending(layers.Dense(3), layers.Activation("softmax")), "mine: ends in softmax"),
        (lambda: ending(layers.Dense(3, activation=tf.nn.softmax)), "mine: ends in softmax"),
        (lambda: ending(layers.Dense(3), ending_in_softmax()), "mine: ends in softmax"),
        (lambda: sparsify(ending(layers.Dense(3, "softmax"))), "ends in softmax"),
        (lambda: ending(layers.Dense(3, "sigmoid")), "mine: ends in sigmoid"),
        (lambda: ending(layers.Dense(1)), r"mine: returns shape \(None, 1\); must be logits"),
        (lambda: keras_3.Sequential([keras_3.layers.Dense(2)]), "must be a tf_keras model"),
        (lambda: lambda x: x, "must be a tf_keras model"),
        (lambda: Subclassed(name="other"), "other: must be Sequential or functional"),
    ],
    ids=["dense", "layer", "activation", "tf.nn", "nested", "sparse", "sigmoid", "one logit"]
    + ["keras_3", "function", "subclassed"],
)
def test_refused_networks(make, words):
    with pytest.raises(InputError, match=words):
        AdversarialModel(make())


def ending_in_softmax() -> keras.Model:
    return keras.Sequential([layers.Input((3,)), layers.Dense(3, "softmax")], "inner")


@pytest.mark.parametrize("attack", [PGD(targeted=True), Shift()], ids=["targeted", "no ascent"])
def test_refused_attacks(attack, make_lenet):
    with pytest.raises(InputError, match="^attack=.*: must be untargeted and follow the gradient"):
        AdversarialModel(make_lenet(), attack)


@pytest.mark.parametrize("name", ["loss", "loss_weights"])
def test_compile_refuses_another_loss(name, make_lenet):
    with pytest.raises(InputError, match=f"^{name}=mse: "):
        robust(make_lenet(), **{name: "mse"})
