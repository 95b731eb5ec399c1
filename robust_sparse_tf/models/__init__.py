"""The field's architectures: plain tf_keras models that return logits."""

from robust_sparse_tf.models.layers import CIFAR10_MEAN, CIFAR10_STD
from robust_sparse_tf.models.lenet import lenet5, lenet_300_100
from robust_sparse_tf.models.linear import binary_linear, linear
from robust_sparse_tf.models.madry_cnn import madry_mnist_cnn
from robust_sparse_tf.models.mlp import mlp
from robust_sparse_tf.models.resnet import resnet18, resnet20, resnet32, resnet34, resnet50
from robust_sparse_tf.models.vgg import vgg16, vgg_like

BY_NAME = {
    "lenet_300_100": lenet_300_100,
    "lenet5": lenet5,
    "linear": linear,
    "binary_linear": binary_linear,
    "mlp": mlp,
    "madry_mnist_cnn": madry_mnist_cnn,
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
    "binary_linear",
    "lenet5",
    "lenet_300_100",
    "linear",
    "madry_mnist_cnn",
    "mlp",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet50",
    "vgg16",
    "vgg_like",
]
