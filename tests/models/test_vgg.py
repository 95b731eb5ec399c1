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
    model = models.BY_NAME[name]()
    kinds = [type(layer) for layer in model.layers]
    assert kinds.count(keras.layers.Conv2D) == convolutions
    assert kinds.count(keras.layers.Dense) == dense
    assert kinds.count(keras.layers.BatchNormalization) == convolutions + dense - 1
    assert model.output_shape == (None, 10)
    assert trainable(model) == weights


@pytest.mark.parametrize("name", ["vgg16", "vgg_like"])
@pytest.mark.parametrize(
    "input_shape, sides", [((32, 32, 3), (16, 8, 4, 2, 1)), ((28, 28, 1), (14, 7, 4, 2, 1))]
)
def test_stages_halve_the_image(name, input_shape, sides):
    model = models.BY_NAME[name](input_shape, width=0.125)
    for stage, (side, channels) in enumerate(zip(sides, (8, 16, 32, 64, 64), strict=True), 1):
        pool = model.get_layer(f"stage_{stage}_pool")
        assert pool.output_shape == (None, side, side, channels)


@pytest.mark.parametrize("name", ["vgg16", "vgg_like"])
def test_small_images_are_refused(name):
    build = models.BY_NAME[name]
    assert build((17, 17, 1), width=0.02).output_shape == (None, 10)
    with pytest.raises(InputError, match=r"^input_shape=\(8, 8, 1\): .* at least 17 for this"):
        build((8, 8, 1))
