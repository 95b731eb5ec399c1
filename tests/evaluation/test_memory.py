"""Images at a time: from the entries of all layers' outputs, by a formula."""

import pytest
import tf_keras as keras

from robust_sparse_tf import AdversarialModel, models, sparsity
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation.memory import batch_size_for


def convolutional(channels: int) -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(channels, 3, padding="same", activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10),
        ]
    )


@pytest.mark.parametrize("branches", [1, 2])
@pytest.mark.parametrize("channels", [16, 1024, 4096, 2**19])
def test_formula(channels, branches):
    """Outputs of the convolution, of the mean, and of the last layer."""
    entries = channels * 32**2 + channels + 10
    expected = max(1, min(500, int(2e9 / (8 * entries * branches))))
    assert batch_size_for(convolutional(channels), branches=branches) == expected
    assert (channels, branches, expected) != (1024, 1, 500)


def test_known_networks():
    """Small ones keep 500 images; ResNet-50 takes as many as fit."""
    assert batch_size_for(models.lenet_300_100((28, 28, 1), 10)) == 500
    assert batch_size_for(models.madry_mnist_cnn((28, 28, 1), 10)) == 500
    assert 20 < batch_size_for(models.resnet50((32, 32, 3), 10)) < 100


def test_wrapped_networks_are_as_large():
    """Sparse ones, models that train them, and networks inside of others."""
    network = convolutional(512)
    size = batch_size_for(network)
    sparse = sparsity.sparsify(network, sparsity.Static(density=0.5))
    assert 1 < size < 500
    assert batch_size_for(sparse) == batch_size_for(AdversarialModel(sparse)) == size
    inputs = keras.Input((32, 32, 3))
    assert batch_size_for(keras.Model(inputs, network(inputs))) == size


def test_unknown_sizes_and_other_models():
    any_size = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3)])
    for model in (len, any_size):
        assert batch_size_for(model, largest=70) == 70


@pytest.mark.parametrize("given", [dict(largest=0), dict(branches=0), dict(branches="two")])
def test_bad_values(given):
    with pytest.raises(InputError, match=f"{next(iter(given))}="):
        batch_size_for(len, **given)
