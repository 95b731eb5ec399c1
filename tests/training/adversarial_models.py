"""Attacks and compiled models of adversarial training, and a look at what they hold."""

import dataclasses

import numpy as np
import tf_keras as keras

from robust_sparse_tf.attacks import FGSM, PGD
from robust_sparse_tf.sparsity import masked_weights
from robust_sparse_tf.training import AdversarialModel

FGSM_ATTACK = FGSM(epsilon=0.1)
PGD_ATTACK = PGD(epsilon=0.1, step_size=0.04, steps=3)
ATTACKS = {
    "natural": None,
    "fgsm": FGSM_ATTACK,
    "fgsm_predicted": dataclasses.replace(FGSM_ATTACK, attack_labels="predicted"),
    "pgd": PGD_ATTACK,
    "pgd_random": dataclasses.replace(PGD_ATTACK, random_start=True),
    "pgd_predicted": dataclasses.replace(PGD_ATTACK, attack_labels="predicted"),
}
RANDOM = dataclasses.replace(PGD_ATTACK, random_start=True, attack_labels="predicted")


def sgd() -> keras.optimizers.Optimizer:
    """An optimizer that does not magnify rounding, as Adam does where gradients are small."""
    return keras.optimizers.SGD(0.1, momentum=0.9)


def robust(network, attack=None, objective=None, *, optimizer=None, seed=5, branches=1, **compiled):
    model = AdversarialModel(network, attack, objective, seed=seed, branches=branches)
    compiled = dict(jit_update=False) | compiled
    model.compile(sgd() if optimizer is None else optimizer, **compiled)
    return model


def values(network) -> list[np.ndarray]:
    return [variable.numpy() for variable in network.variables]


class ZeroCheck(keras.callbacks.Callback):
    """Compares weights and slots with the masks after each step, on each device."""

    def __init__(self):
        super().__init__()
        self.steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        for name, weight, mask, *_ in masked_weights(self.model.network):
            slots = [slot for slot in self.model.optimizer.variables if slot.shape == mask.shape]
            assert slots, name
            for variable in (weight, *slots):
                for copy, its_mask in zip(local(variable), local(mask), strict=True):
                    assert np.all(copy[its_mask == 0] == 0), name
                    assert np.count_nonzero(copy) > 0.2 * its_mask.sum(), name


def local(variable) -> list[np.ndarray]:
    """The copies of a variable, one a device."""
    copies = getattr(variable, "values", (variable,))
    return [copy.numpy() for copy in copies]
