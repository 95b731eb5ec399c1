"""Attacks of other libraries on a network of this one, as calls that return what they find."""

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

Call = Callable[[], np.ndarray]
"""Runs an attack on a problem's images; returns adversarial ones, shaped as them."""


def installed(*packages: str) -> bool:
    """Whether all packages can be imported."""
    return all(importlib.util.find_spec(package) for package in packages)


def torch_twin(network: Any) -> Any:
    """A PyTorch network with the layers and the weights of a Sequential of tf_keras.

    It takes images [batch, channels, height, width]. Known are 2-D convolutions, max poolings that
    divide the sizes, flattening and dense layers, each with a ReLU or linear.

    Raises:
        ValueError: naming a layer that is not known.
    """
    import torch

    class ChannelsLast(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.permute(0, 2, 3, 1)

    layers: list[Any] = []
    for layer in network.layers:
        kind = type(layer).__name__
        if kind == "MaxPooling2D":
            layers.append(torch.nn.MaxPool2d(layer.pool_size))
        elif kind == "Flatten":
            layers += [ChannelsLast(), torch.nn.Flatten()]
        elif kind in ("Conv2D", "Dense"):
            layers.append(_with_weights(layer, kind))
            if layer.activation.__name__ == "relu":
                layers.append(torch.nn.ReLU())
        else:
            raise ValueError(f"layer {layer.name}: a {kind} has no twin")
    return torch.nn.Sequential(*layers).eval().requires_grad_(False)


def _with_weights(layer: Any, kind: str) -> Any:
    """A PyTorch layer with the weights of one of tf_keras."""
    import torch

    kernel, *bias = (torch.tensor(weight) for weight in layer.get_weights())
    options = dict(bias=bool(bias))
    if kind == "Conv2D":
        twin = torch.nn.Conv2d(
            *kernel.shape[2:], kernel.shape[:2], padding=layer.padding, **options
        )
        kernel = kernel.permute(3, 2, 0, 1)
    else:
        twin = torch.nn.Linear(*kernel.shape, **options)
        kernel = kernel.T
    with torch.no_grad():
        twin.weight.copy_(kernel)
        if bias:
            twin.bias.copy_(bias[0])
    return twin


class Problem:
    """A network, images and labels, in the forms in which the libraries want them.

    Args:
        network: Sequential of tf_keras that returns logits.
        x: float32 [n, height, width, channels] in [0, 1].
        y: int64 [n].
    """

    def __init__(self, network: Any, x: np.ndarray, y: np.ndarray) -> None:
        self.network, self.x, self.y = network, x, y

    @functools.cached_property
    def tensors(self) -> tuple[Any, Any]:
        """Images and labels in TensorFlow."""
        import tensorflow as tf

        return tf.constant(self.x), tf.constant(self.y)

    @functools.cached_property
    def twin(self) -> Any:
        """The network in PyTorch."""
        return torch_twin(self.network)

    @functools.cached_property
    def torch_tensors(self) -> tuple[Any, Any]:
        """Images, their channels first, and labels in PyTorch."""
        import torch

        return torch.tensor(self.x.transpose(0, 3, 1, 2).copy()), torch.tensor(self.y)

    @functools.cached_property
    def art(self) -> Any:
        """The network for the Adversarial Robustness Toolbox."""
        import tf_keras as keras
        from art.estimators.classification import TensorFlowV2Classifier

        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return TensorFlowV2Classifier(
            self.network,
            nb_classes=self.network.output_shape[-1],
            input_shape=self.x.shape[1:],
            loss_object=loss,
            clip_values=(0, 1),
        )

    @functools.cached_property
    def foolbox(self) -> Any:
        """The network for Foolbox, whose eagerpy still asks NumPy 2 for a function it had."""
        if not hasattr(np, "find_common_type"):
            np.find_common_type = lambda arrays, scalars: np.result_type(*arrays, *scalars)
        import foolbox

        return foolbox.TensorFlowModel(self.network, bounds=(0, 1), device="/CPU:0")

    def ours(self, attack: Any) -> Call:
        """This library's attack, in a graph."""
        import tensorflow as tf

        call = tf.function(lambda x, y: attack(self.network, x, y))
        return lambda: call(*self.tensors).numpy()

    def cleverhans_pgd(self, epsilon: float, step_size: float, steps: int) -> Call:
        """CleverHans' PGD in a graph."""
        import tensorflow as tf
        from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent

        @tf.function
        def call(x: Any, y: Any) -> Any:
            return projected_gradient_descent(
                self.network, x, epsilon, step_size, steps, np.inf, clip_min=0.0, clip_max=1.0, y=y
            )

        return lambda: call(*self.tensors).numpy()

    def with_foolbox(self, attack: str, epsilon: float | None, **options: Any) -> dict[str, Call]:
        """An attack of Foolbox, on TensorFlow and, where it is installed, on PyTorch."""
        if not installed("foolbox"):
            return {}
        own = self.foolbox
        import foolbox

        made = getattr(foolbox.attacks, attack)(**options)
        calls = {
            "foolbox_tensorflow": lambda: made(own, *self.tensors, epsilons=epsilon)[1].numpy()
        }
        if installed("torch"):
            twin = foolbox.PyTorchModel(self.twin, bounds=(0, 1), device="cpu")
            calls["foolbox_pytorch"] = lambda: _last(
                made(twin, *self.torch_tensors, epsilons=epsilon)[1]
            )
        return calls

    def with_art(self, attack: str, **options: Any) -> dict[str, Call]:
        """An attack of the Adversarial Robustness Toolbox, all images in one batch."""
        if not installed("art"):
            return {}
        import art.attacks.evasion

        options |= dict(batch_size=len(self.x), verbose=False)
        made = getattr(art.attacks.evasion, attack)(self.art, **options)
        return {"art": lambda: made.generate(self.x, self.y)}

    def with_torchattacks(self, attack: str, **options: Any) -> dict[str, Call]:
        """An attack of torchattacks."""
        if not installed("torch", "torchattacks"):
            return {}
        import torchattacks

        made = getattr(torchattacks, attack)(self.twin, **options)
        return {"torchattacks": lambda: _last(made(*self.torch_tensors))}

    def autoattack(self, epsilon: float, batch_size: int) -> dict[str, Call]:
        """AutoAttack's standard set by its authors, or where that is missing by torchattacks."""
        if not installed("torch"):
            return {}
        if installed("autoattack"):
            from autoattack import AutoAttack

            made = AutoAttack(self.twin, eps=epsilon, seed=0, device="cpu", verbose=False)
            return {
                "autoattack": lambda: _last(
                    made.run_standard_evaluation(*self.torch_tensors, bs=batch_size)
                )
            }
        if installed("pyautoattack"):  # the same by its name on PyPI
            from pyautoattack import AutoAttack

            made = AutoAttack(self.twin, eps=epsilon, seed=0, device="cpu")
            return {
                "autoattack": lambda: _last(
                    made.run_standard_evaluation(*self.torch_tensors, batch_size=batch_size)[0]
                )
            }
        return self.with_torchattacks("AutoAttack", eps=epsilon, n_classes=10, seed=0)


def _last(images: Any) -> np.ndarray:
    """Images of PyTorch with their channels last."""
    return images.detach().numpy().transpose(0, 2, 3, 1)
