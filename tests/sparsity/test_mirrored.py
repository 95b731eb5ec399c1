"""Methods on two replicas: the masks of one device, the same on both."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from networks import slow

from robust_sparse_tf.attacks import FGSM
from robust_sparse_tf.models.network import network_of
from robust_sparse_tf.sparsity import SET, GradualMagnitude, RigL, masked_weights, sparsify
from robust_sparse_tf.sparsity.methods.ema import EMAGrowth
from robust_sparse_tf.sparsity.methods.snfs import SNFS
from robust_sparse_tf.training import AdversarialModel, devices

layers = keras.layers


@pytest.fixture(scope="module")
def mirrored():
    """Two replicas on the two logical CPUs of these tests."""
    return devices.strategy("mirrored")


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [layers.Input((4,)), layers.Dense(8, "tanh", name="hidden"), layers.Dense(3, name="logits")]
    )


def compiled(method, attack: bool, optimizer, **arguments) -> keras.Model:
    """A sparse model, or one around it that trains on adversarial examples."""
    model = sparsify(network(), method)
    if attack:
        model = AdversarialModel(model, FGSM(epsilon=0.1))
        model.compile(optimizer, jit_update=False, **arguments)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, **arguments)
    return model


def examples(size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((size, 4)).astype(np.float32), rng.integers(0, 3, size)


def copies(variable) -> list[np.ndarray]:
    """The value of a variable on each device."""
    return [copy.numpy() for copy in getattr(variable, "values", [variable])]


class Same(keras.callbacks.Callback):
    """After each execution, both replicas hold the same bits, and zeros where they are pruned."""

    def __init__(self):
        super().__init__()
        self.masks = []

    def on_train_batch_end(self, batch, logs=None):
        model = network_of(self.model)
        for entry in masked_weights(model):
            for value in (entry.mask, entry.weight):
                np.testing.assert_array_equal(*copies(value))
            mask, weight = entry.mask.numpy(), entry.weight.numpy()
            assert set(np.unique(mask)) <= {0, 1} and np.all(weight[mask == 0] == 0)
        for value in [*self.model.optimizer.variables, *model.memory, *model.ever_active]:
            np.testing.assert_array_equal(*copies(value))
        np.testing.assert_array_equal(*copies(model.changed))
        self.masks.append([entry.mask.numpy() for entry in masked_weights(model)])


@pytest.mark.parametrize(
    "method, attack",
    [
        slow(SET(0.3, update_interval=1, grow_std=0.01), False),
        slow(RigL(0.3, update_interval=1), True),
        slow(RigL(0.3, update_interval=2, gradient_batches=2), False),
        (SNFS(0.3, update_interval=1), False),
        slow(GradualMagnitude(0.2, update_interval=1, stop_step=150), True),
    ],
    ids=["set", "rigl_fgsm", "rigl_batches", "snfs", "gradual_fgsm"],
)
def test_replicas_stay_equal_over_200_steps(method, attack, mirrored):
    with mirrored.scope():
        optimizer = keras.optimizers.Adam(1e-2)
        model = compiled(method, attack, optimizer, steps_per_execution=20)
    x, y = examples(800)
    same = Same()
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(4).repeat()
    model.fit(data, steps_per_epoch=200, epochs=1, verbose=0, callbacks=[same])
    assert network_of(model).step.numpy() == 200
    assert copies(network_of(model).step) == [200, 200]
    changed = [
        any(map(np.any, map(np.not_equal, *pair))) for pair in itertools.pairwise(same.masks)
    ]
    assert len(changed) == 9 and sum(changed) >= 4


STEPS = 8


@pytest.mark.parametrize(
    "method, attack",
    [
        slow(SET(0.4, update_interval=2, grow_std=0.01), False),
        slow(SET(0.4, update_interval=2, grow_std=0.01), True),
        slow(RigL(0.4, update_interval=2), False),
        (RigL(0.4, update_interval=2), True),
        (GradualMagnitude(0.2, update_interval=2, stop_step=30), False),
    ],
    ids=["set", "set_fgsm", "rigl", "rigl_fgsm", "gradual"],
)
def test_each_step_is_the_step_of_one_device(method, attack, mirrored):
    """From the same state each time, on the same global batch; every other step is an update.

    Graphs of two replicas take long to make, so only the attack's is one.
    """

    def make(run_eagerly):
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
        return compiled(method, attack, optimizer, run_eagerly=run_eagerly)

    one = make(run_eagerly=True)
    with mirrored.scope():
        two = make(run_eagerly=not attack)
    x, y = examples(STEPS * 8)
    changes = 0
    for step in range(STEPS):
        batch = slice(8 * step, 8 * step + 8)
        before = [entry.mask.numpy() for entry in masked_weights(network_of(one))]
        for model in (one, two):
            model.train_on_batch(x[batch], y[batch])
        masks = [entry.mask.numpy() for entry in masked_weights(network_of(one))]
        changes += any(map(np.any, map(np.not_equal, masks, before)))
        state = [*network_of(one).variables, *one.optimizer.variables]
        other = [*network_of(two).variables, *two.optimizer.variables]
        for ours, theirs in zip(state, other, strict=True):
            exact = "mask" in ours.name or not ours.dtype.is_floating
            first, *others = copies(theirs)
            np.testing.assert_allclose(first, ours, rtol=0, atol=0 if exact else 1e-5)
            for other in others:
                np.testing.assert_array_equal(other, first)
            if not exact:
                theirs.assign(ours)
    assert changes >= 3


def test_embeddings_and_remembered_gradients(mirrored):
    """Whose gradients are sparse tensors."""

    def make(run_eagerly):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [layers.Input((3,)), layers.Embedding(9, 4), layers.Flatten(), layers.Dense(3)]
        )
        model = sparsify(model, EMAGrowth(0.4, update_interval=2))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=run_eagerly)
        return model

    one = make(run_eagerly=True)
    with mirrored.scope():
        two = make(run_eagerly=False)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, (16, 3)), rng.integers(0, 3, 16)
    for _ in range(4):
        for model in (one, two):
            model.train_on_batch(x, y)
    assert np.any(one.changed) and sum(map(np.sum, one.memory)) != 0
    for ours, theirs in zip(one.variables, two.variables, strict=True):
        for copy in copies(theirs):
            np.testing.assert_allclose(np.float64(copy), np.float64(ours), rtol=0, atol=1e-6)
