"""Masks as pictures."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from robust_sparse_tf import models, sparsify, summaries
from robust_sparse_tf.sparsity import Magnitude, layer_states, set_masks
from robust_sparse_tf.summaries import topology


@given(
    rows=st.integers(1, 1300),
    columns=st.integers(1, 40),
    density=st.sampled_from([0.0, 0.01, 0.5, 1.0]),
)
def test_a_pixel_says_what_is_kept(rows, columns, density):
    """White: all its weights; black: none; else gray, by the share."""
    mask = np.random.default_rng(rows).random((rows, columns)) < density
    image, (high, wide) = topology.picture(mask)
    assert image.shape == (-(-rows // high), -(-columns // wide))
    assert max(image.shape) <= topology.LARGEST
    for row in range(image.shape[0]):
        block = mask[row * high : (row + 1) * high, :wide]
        pixel = image[row, 0]
        assert (pixel == 0) == (not block.any()) and (pixel == 255) == block.all()
        assert abs(pixel / 255 - block.mean()) < 1 / 128


def logged(folder, model, *, change=None):
    """Masks written at steps 1 and 2, with a change between."""
    writer = summaries.writer_of(str(folder))
    masks = summaries.MaskWriter()
    with writer.as_default():
        masks.write(model, 1)
        if change:
            change()
        masks.write(model, 2)
    writer.flush()
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def steps(events, tag: str) -> list[int]:
    return [event.step for event in events.Tensors(tag)]


def test_only_masks_that_change_are_written(tmp_path):
    model = sparsify(models.lenet_300_100((8, 8, 1), width=0.1), Magnitude(0.5))

    def change():
        masks = [layer.active for layer in layer_states(model)]
        set_masks(model, [*masks[:-1], tf.zeros_like(masks[-1])])

    events = logged(tmp_path, model, change=change)
    assert steps(events, "masks/hidden_1") == [1]
    assert steps(events, "masks/logits") == [1, 2]


INPUTS = {
    "dense": ((8, 8, 1), [keras.layers.Flatten(), keras.layers.Dense(3, name="first")], (8, 8, 1)),
    "convolution": ((8, 8, 2), [keras.layers.Conv2D(3, 5, name="first")], (5, 5, 2)),
    "after pooling": (
        (8, 8, 1),
        [keras.layers.MaxPool2D(), keras.layers.Flatten(), keras.layers.Dense(3, name="first")],
        None,
    ),
    "depthwise": ((8, 8, 2), [keras.layers.DepthwiseConv2D(3, name="first")], None),
}


@pytest.mark.parametrize("name", INPUTS)
def test_maps_of_the_inputs(name, tmp_path):
    """The share of outputs that each place of the first layer's input still reaches."""
    shape, layers, expected = INPUTS[name]
    layers = [layer.from_config(layer.get_config()) for layer in layers]
    model = sparsify(keras.Sequential([keras.layers.Input(shape), *layers]), Magnitude(0.3))
    events = logged(tmp_path, model)
    tags = events.Tags()["tensors"]
    assert ("inputs/first" in tags) == (expected is not None)
    if expected is None:
        return
    (event,) = events.Tensors("inputs/first")
    found = tf.make_ndarray(event.tensor_proto)
    assert found.shape == expected
    (mask,) = [w.numpy() for w in model.weights if "mask" in w.name]
    np.testing.assert_allclose(found.ravel(), mask.reshape(-1, 3).mean(axis=1), rtol=1e-6)
