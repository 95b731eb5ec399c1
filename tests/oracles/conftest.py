"""What attacks are compared on: a LeNet-5 that reads MNIST, and the same for other libraries."""

import os

import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import AdversarialModel, data, models
from tools.bench_contenders import Problem


@pytest.fixture(scope="session")
def mnist() -> tuple[data.Split, data.Split, data.Split]:
    """MNIST as (train, validation, test)."""
    if not os.environ.get("RST_DATA_DIR"):
        pytest.skip("RST_DATA_DIR does not say where MNIST is")
    return data.load("mnist", batch_size=60)


@pytest.fixture(scope="session")
def lenet5(mnist) -> keras.Model:
    """A LeNet-5 after 400 steps on MNIST; returns logits. Not to be changed by a test."""
    keras.utils.set_random_seed(0)
    model = AdversarialModel(models.lenet5())
    model.compile(keras.optimizers.Adam(1e-3), jit_update=False, steps_per_execution=50)
    model.fit(mnist[0], epochs=1, steps_per_epoch=400, verbose=0)
    return model.network


@pytest.fixture(scope="session")
def images(mnist, lenet5) -> tuple[tf.Tensor, tf.Tensor]:
    """A thousand test images, and their labels."""
    return mnist[2].gather(tf.range(1000, dtype=tf.int64))


@pytest.fixture(scope="session")
def lenet5_problem(lenet5, images) -> Problem:
    """The same, in the forms in which other libraries want it."""
    return Problem(lenet5, *(part.numpy() for part in images))


@pytest.fixture(scope="session")
def foolbox_model(lenet5_problem):
    """The LeNet-5 for Foolbox."""
    return lenet5_problem.foolbox


@pytest.fixture(scope="session")
def art_model(lenet5_problem):
    """The LeNet-5 for the Adversarial Robustness Toolbox; returns logits."""
    return lenet5_problem.art
