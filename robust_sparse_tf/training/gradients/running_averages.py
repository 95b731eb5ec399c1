"""Keeps the running averages of batch normalization as they are."""

import contextlib
from collections.abc import Iterator

import tf_keras as keras


@contextlib.contextmanager
def held(network: keras.Model, hold: bool = True) -> Iterator[None]:
    """A context in which passes in training mode do not move running averages.

    Args:
        network: the network, whose passes are traced or run in the context.
        hold: whether to do so; if not, the context has no effect.
    """
    # With momentum 1, a running average is replaced by itself.
    layers = [each for each in network._flatten_layers() if hasattr(each, "moving_mean")]
    momenta = [layer.momentum for layer in layers]
    try:
        for layer in layers if hold else []:
            layer.momentum = 1.0
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
