"""The field's architectures: plain tf_keras models that return logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from robust_sparse_tf.models.caffe import load_caffe
from robust_sparse_tf.models.capacity_cnn import binary_cnn, capacity_cnn
from robust_sparse_tf.models.lenet import lenet5, lenet_300_100
from robust_sparse_tf.models.linear import binary_linear, linear
from robust_sparse_tf.models.madry_cnn import madry_mnist_cnn
from robust_sparse_tf.models.mlp import mlp, mlp_300_100_100
from robust_sparse_tf.models.parts import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    CIFAR100_MEAN,
    CIFAR100_STD,
    NORMALIZATIONS,
)
from robust_sparse_tf.models.resnet import resnet18, resnet20, resnet32, resnet34, resnet50
from robust_sparse_tf.models.strided_cnn import strided_cnn
from robust_sparse_tf.models.vgg import vgg16, vgg_like

if TYPE_CHECKING:
    import tf_keras as keras

BY_NAME: dict[str, Callable[..., keras.Model]] = {
    "lenet_300_100": lenet_300_100,
    "lenet5": lenet5,
    "linear": linear,
    "binary_linear": binary_linear,
    "mlp": mlp,
    "mlp_300_100_100": mlp_300_100_100,
    "madry_mnist_cnn": madry_mnist_cnn,
    "capacity_cnn": capacity_cnn,
    "binary_cnn": binary_cnn,
    "strided_cnn": strided_cnn,
    "resnet18": resnet18,
    "resnet20": resnet20,
    "resnet32": resnet32,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "vgg16": vgg16,
    "vgg_like": vgg_like,
}

__all__ = [
    "BY_NAME",
    "CIFAR10_MEAN",
    "CIFAR10_STD",
    "CIFAR100_MEAN",
    "CIFAR100_STD",
    "NORMALIZATIONS",
    "binary_cnn",
    "binary_linear",
    "capacity_cnn",
    "lenet5",
    "lenet_300_100",
    "linear",
    "load_caffe",
    "madry_mnist_cnn",
    "mlp",
    "mlp_300_100_100",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet50",
    "strided_cnn",
    "vgg16",
    "vgg_like",
]


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
