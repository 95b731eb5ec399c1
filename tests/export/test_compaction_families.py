"""Compaction of families of networks: the library's, and MobileNetV2."""

import pytest
import tf_keras as keras
from pruned_networks import compacted, prune, randomise

import robust_sparse_tf as rst

FAMILIES = {
    "mlp": lambda: rst.models.mlp((4, 4, 1), 3, hidden=[12, 8]),
    "lenet_300_100": lambda: rst.models.lenet_300_100((5, 5, 1), width=0.05),
    "lenet5": lambda: rst.models.lenet5((28, 28, 1), width=0.3),
    "madry_mnist_cnn": lambda: rst.models.madry_mnist_cnn((8, 8, 1), width=0.2),
    "capacity_cnn": lambda: rst.models.capacity_cnn((16, 16, 1), width=3),
    "binary_cnn": lambda: rst.models.binary_cnn((16, 16, 1), width=0.3),
    "vgg16": lambda: rst.models.vgg16((17, 17, 3), width=0.1),
    "vgg_like": lambda: rst.models.vgg_like((17, 17, 3), width=0.1, mean=0.5, std=[1, 2, 3]),
    "resnet20": lambda: rst.models.resnet20((8, 8, 3), width=0.5),
    "resnet18": lambda: rst.models.resnet18((8, 8, 3), width=0.1),
    "resnet50": lambda: rst.models.resnet50((8, 8, 3), width=0.07),
}


@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=pytest.mark.slow if name == "resnet50" else ()) for name in FAMILIES],
)
def test_families_of_networks(family):
    model = prune(randomise(FAMILIES[family]()), 0.5)
    found = compacted(model)
    assert not any(type(each) is keras.layers.BatchNormalization for each in found.model.layers)
    assert found.weights_after < 0.8 * found.weights_before
    assert sum(layer.channels_before - layer.channels_after for layer in found.layers) > 0


def mobilenet(side, alpha):
    return keras.applications.MobileNetV2(
        (side, side, 3), alpha, weights=None, classes=10, classifier_activation=None
    )


def expanded(found):
    """The channels of MobileNetV2's inner convolutions, before and after."""
    rows = [row for row in found.layers if row.name.endswith("_expand")]
    return sum(row.channels_before for row in rows), sum(row.channels_after for row in rows)


def test_a_mobilenet_shrinks_through_depthwise_layers_and_additions():
    model = prune(randomise(mobilenet(32, 0.35)), 0.8, biases=True)
    found = compacted(model, relative=1e-4)
    before, after = expanded(found)
    assert after <= 0.21 * before
    assert found.weights_after < 0.3 * found.weights_before
    assert not any(type(layer) is keras.layers.BatchNormalization for layer in found.model.layers)
    # Pruned channels of one block are added to channels of others.
    assert "because those at the other inputs of block_2_add vary" in found.to_markdown()


@pytest.mark.slow
@pytest.mark.parametrize("biases", [True, False])
def test_a_large_mobilenet(biases):
    """Constants other than 0 stay before depthwise layers, each with a reason."""
    found = compacted(prune(randomise(mobilenet(96, 1.0)), 0.8, biases=biases), relative=1e-4)
    before, after = expanded(found)
    assert (after <= 0.21 * before) == biases
    padded = [layer for layer, reason in found.stopped if "zeros around" in reason]
    in_blocks = len([layer for layer in padded if "expand" in layer])
    assert in_blocks <= 2 if biases else in_blocks == 16  # some read only constant channels
