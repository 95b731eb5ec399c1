"""Grad-CAM and guided backpropagation against captum's, on a ResNet-20 of equal weights."""

import numpy as np
import pytest
import tf_keras as keras

import robust_sparse_tf as rst
from tools.bench_contenders import installed

pytestmark = pytest.mark.slow  # the other libraries are

IMAGES = np.random.default_rng(0).random((6, 32, 32, 3), np.float32)
LABELS = np.array([3, 1, 4, 1, 5, 9])
STAGES = [(stage, block) for stage in (1, 2, 3) for block in (1, 2, 3)]


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """A ResNet-20 at random weights, with statistics that are not those of the beginning."""
    if not installed("torch", "captum"):
        pytest.skip("torch and captum are not installed")
    keras.utils.set_random_seed(0)
    network = rst.models.resnet20(mean=rst.models.CIFAR10_MEAN, std=rst.models.CIFAR10_STD)
    draw = np.random.default_rng(1)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([draw.uniform(0.5, 1.5, w.shape) - 0.3 for w in layer.get_weights()])
            layer.moving_variance.assign(draw.uniform(0.5, 1.5, layer.moving_variance.shape))
    return network


@pytest.fixture(scope="module")
def twin(network):
    """The network in PyTorch."""
    import torch
    from torch import nn

    def convolution(name: str, suffix: str, strides: int = 1) -> nn.Sequential:
        kernel = torch.tensor(network.get_layer(f"{name}conv{suffix}").kernel.numpy())
        layer = nn.Conv2d(*kernel.shape[2:], 3, strides, 1, bias=False)
        scale, shift, mean, variance = map(
            torch.tensor, network.get_layer(f"{name}norm{suffix}").get_weights()
        )
        norm = nn.BatchNorm2d(len(scale), eps=1e-5)
        with torch.no_grad():
            layer.weight.copy_(kernel.permute(3, 2, 0, 1))
            norm.weight.copy_(scale)
            norm.bias.copy_(shift)
        norm.running_mean, norm.running_var = mean, variance
        return nn.Sequential(layer, norm)

    class Block(nn.Module):
        def __init__(self, stage: int, number: int) -> None:
            super().__init__()
            name = f"stage_{stage}_block_{number}_"
            self.strides = 2 if stage > 1 and number == 1 else 1
            self.first = convolution(name, "_1", self.strides)
            self.second = convolution(name, "_2")
            self.relu_1, self.relu_2 = nn.ReLU(), nn.ReLU()

        def forward(self, x):
            y = self.second(self.relu_1(self.first(x)))
            x = x[:, :, :: self.strides, :: self.strides]
            more = y.shape[1] - x.shape[1]
            return self.relu_2(y + nn.functional.pad(x, (0, 0, 0, 0, 0, more)))

    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.relu = convolution("stem_", ""), nn.ReLU()
            self.blocks = nn.Sequential(*(Block(*place) for place in STAGES))
            kernel, bias = map(torch.tensor, network.get_layer("logits").get_weights())
            self.logits = nn.Linear(*kernel.shape)
            with torch.no_grad():
                self.logits.weight.copy_(kernel.T)
                self.logits.bias.copy_(bias)
            self.mean, self.std = (
                torch.tensor(each)[:, None, None]
                for each in (rst.models.CIFAR10_MEAN, rst.models.CIFAR10_STD)
            )

        def forward(self, x):
            x = self.relu(self.stem((x - self.mean) / self.std))
            return self.logits(self.blocks(x).mean((2, 3)))

    return Twin().eval()


@pytest.fixture(scope="module")
def tensors(twin):
    import torch

    x = torch.tensor(IMAGES.transpose(0, 3, 1, 2).copy(), requires_grad=True)
    return x, torch.tensor(LABELS)


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_the_twin_has_the_same_logits(network, twin, tensors):
    assert_close(network(IMAGES).numpy(), twin(tensors[0]).detach().numpy())


@pytest.mark.parametrize("place", [None, (1, 2), (2, 1)])
def test_grad_cam(network, twin, tensors, place):
    """Of the last convolution, and of the first one of a block."""
    from captum.attr import LayerAttribution, LayerGradCam

    block = twin.blocks[STAGES.index(place or (3, 3))]
    layer = block.first[0] if place else block.second[0]
    x, y = tensors
    maps = LayerGradCam(twin, layer).attribute(x, y, relu_attributions=True)
    expected = LayerAttribution.interpolate(maps, (32, 32), "bilinear")[:, 0].detach().numpy()
    name = f"stage_{place[0]}_block_{place[1]}_conv_1" if place else None
    assert_close(rst.explain.grad_cam(network, IMAGES, LABELS, name), expected)


def test_guided_backprop(network, twin, tensors):
    from captum.attr import GuidedBackprop

    expected = GuidedBackprop(twin).attribute(*tensors[:1], target=tensors[1])
    expected = expected.detach().numpy().transpose(0, 2, 3, 1)
    assert_close(rst.explain.guided_backprop(network, IMAGES, LABELS), expected)
