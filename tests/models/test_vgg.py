import pytest
import tf_keras as keras

from robust_sparse_tf import models
from robust_sparse_tf.errors import InputError


def trainable(model: keras.Model) -> int:
    return sum(weight.shape.num_elements() for weight in model.trainable_weights)


@pytest.mark.parametrize(
    "name, convolutions, dense, weights",
    [("vgg16", 13, 1, 14_724_042), ("vgg_like", 12, 2, 12_626_890)],
)
def test_layers_and_weights(name, convolutions, dense, weights):
    """A stage halves the sides of the image, rounded up."""
    model = models.BY_NAME[name]((28, 28, 3))
    kinds = [type(layer) for layer in model.layers]
    assert kinds.count(keras.layers.Conv2D) == convolutions
    assert kinds.count(keras.layers.Dense) == dense
    assert kinds.count(keras.layers.BatchNormalization) == convolutions + dense - 1
    assert model.output_shape == (None, 10)
    assert trainable(model) == weights
    shapes = [model.get_layer(f"stage_{stage}_pool").output_shape[1:] for stage in range(1, 6)]
    assert shapes == [(14, 14, 64), (7, 7, 128), (4, 4, 256), (2, 2, 512), (1, 1, 512)]


@pytest.mark.parametrize("name", ["vgg16", "vgg_like"])
def test_width_multiplies_the_channels(name):
    model = models.BY_NAME[name](width=0.125)
    pools = [model.get_layer(f"stage_{stage}_pool").output_shape[1:] for stage in range(1, 6)]
    assert pools == [(16, 16, 8), (8, 8, 16), (4, 4, 32), (2, 2, 64), (1, 1, 64)]


@pytest.mark.parametrize("name", ["vgg16", "vgg_like"])
def test_small_images_are_refused(name):
    build = models.BY_NAME[name]
    assert build((17, 17, 1), width=0.02).output_shape == (None, 10)
    with pytest.raises(InputError, match=r"^input_shape=\(8, 8, 1\): .* at least 17 for this"):
        build((8, 8, 1))
