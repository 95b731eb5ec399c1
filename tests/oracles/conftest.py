"""What attacks are compared on: a LeNet-5 that reads MNIST, and the same for other libraries."""

import os

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import AdversarialModel, data, models


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
def foolbox_model(lenet5):
    """The LeNet-5 for Foolbox, whose eagerpy looks for a function that NumPy 2 no longer has."""
    if not hasattr(np, "find_common_type"):
        np.find_common_type = lambda arrays, scalars: np.result_type(*arrays, *scalars)
    import foolbox

    return foolbox.TensorFlowModel(lenet5, bounds=(0, 1), device="/CPU:0")


@pytest.fixture(scope="session")
def art_model(lenet5):
    """The LeNet-5 for the Adversarial Robustness Toolbox; returns logits."""
    from art.estimators.classification import TensorFlowV2Classifier

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return TensorFlowV2Classifier(
        lenet5, nb_classes=10, input_shape=(28, 28, 1), loss_object=loss, clip_values=(0, 1)
    )
