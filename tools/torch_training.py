"""PyTorch's part of `bench_train.py`: ResNet-20 under PGD, eager, channels last."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

_CHANNELS = (16, 32, 64)
_BLOCKS = 3


class Block(nn.Module):
    """Two convolutions and a shortcut without parameters."""

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride, self.added = stride, channels - before
        self.first = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.norm_1 = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm_2 = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, channels, height, width] each."""
        y = functional.relu(self.norm_1(self.first(x)))
        y = self.norm_2(self.second(y))
        if self.stride > 1:
            half = self.added // 2
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, self.added - half))
        return functional.relu(y + x)


class ResNet20(nn.Module):
    """The network of `robust_sparse_tf.models.resnet20`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, _CHANNELS[0], 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(_CHANNELS[0])
        blocks, before = [], _CHANNELS[0]
        for channels in _CHANNELS:
            for number in range(_BLOCKS):
                stride = 2 if number == 0 and channels != before else 1
                blocks.append(Block(before, channels, stride))
                before = channels
        self.blocks = nn.Sequential(*blocks)
        self.logits = nn.Linear(before, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [batch, classes] of images [batch, channels, height, width]."""
        y = self.blocks(functional.relu(self.norm(self.stem(x))))
        return self.logits(y.mean((2, 3)))


def trainer(setting: Any) -> Callable[[int], None]:
    """A function that trains for some steps, with the masks' density drawn at random.

    Args:
        setting: `bench_train.Setting`.
    """
    import tensorflow as tf

    work = setting.work
    torch.set_num_threads(tf.config.threading.get_intra_op_parallelism_threads())
    torch.manual_seed(0)
    network = ResNet20().to(memory_format=torch.channels_last)
    masks = {
        weight: (torch.rand_like(weight) < work.density).float()
        for weight in network.parameters()
        if weight.ndim > 1
    }
    with torch.no_grad():
        for weight, mask in masks.items():
            weight.mul_(mask)
    optimizer = torch.optim.Adam(network.parameters(), 1.2e-3)
    batches = setting.train.repeat().as_numpy_iterator()

    def step() -> None:
        images, labels = next(batches)
        x = torch.from_numpy(images).permute(0, 3, 1, 2)  # channels last in memory
        y = torch.from_numpy(labels)
        adversarial = attacked(network, work, x, y)
        network.train()
        optimizer.zero_grad()
        functional.cross_entropy(network(adversarial), y).backward()
        for weight, mask in masks.items():
            weight.grad.mul_(mask)
        optimizer.step()

    def run(steps: int) -> None:
        for _ in range(steps):
            step()

    return run


def attacked(network: nn.Module, work: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """PGD from a random start, with the network at inference."""
    network.eval()
    adversarial = (x + torch.empty_like(x).uniform_(-work.epsilon, work.epsilon)).clamp(0, 1)
    for _ in range(work.steps):
        adversarial.requires_grad_()
        loss = functional.cross_entropy(network(adversarial), y)
        (gradient,) = torch.autograd.grad(loss, adversarial)
        moved = adversarial.detach() + work.step_size * gradient.sign()
        adversarial = torch.min(torch.max(moved, x - work.epsilon), x + work.epsilon).clamp(0, 1)
    return adversarial
