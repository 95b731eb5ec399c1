"""Products of packed weights against TensorFlow's dense ones."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st

from robust_sparse_tf import compute
from robust_sparse_tf.errors import InputError


@pytest.fixture(autouse=True, scope="module")
def _kernels():
    try:
        compute.library()
    except compute.BuildError as error:
        pytest.skip(str(error))


DENSITIES = st.sampled_from([0.0, 0.05, 0.3, 1.0])
TOLERANCE = dict(rtol=1e-5, atol=2e-5)


def draw(seed, *shape):
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def masked(shape, density):
    mask = (np.random.default_rng(1).random(shape) < density).astype(np.float32)
    return draw(2, *shape) * mask, tf.constant(mask)


def dense_layer(x, weight, bias):
    return tf.matmul(x, weight) + bias


def both(images, weight, mask, bias, geometry, dense, relu):
    """The outputs and the gradients by images, weight and bias: sparse, then dense."""
    found = []
    for sparse in (True, False):
        with tf.GradientTape() as tape:
            tape.watch([images, weight, bias])
            if sparse:
                packed = compute.pack(weight, mask, geometry)
                planes = compute.enter(images, geometry.input_border)
                planes = compute.product(planes, packed, geometry, bias, relu=relu)
                out = compute.leave(planes, len(images), geometry.output_border)
            else:
                out = dense(images, weight, bias)
                out = tf.nn.relu(out) if relu else out
            out = tf.reshape(out, [len(images), -1])
            loss = tf.reduce_sum(out * draw(3, *out.shape))
        gradients = tape.gradient(loss, [images, weight, bias])
        gradients[1] *= 1 if sparse else mask
        found.append([out, *gradients])
    return found


def assert_equal(sparse, dense):
    for ours, theirs in zip(sparse, dense, strict=True):
        scale = 1 + np.abs(theirs).max(initial=0)
        np.testing.assert_allclose(ours / scale, theirs / scale, **TOLERANCE)


@given(
    batch=st.integers(1, 65),
    inputs=st.integers(1, 40),
    outputs=st.integers(1, 20),
    density=DENSITIES,
    relu=st.booleans(),
)
@example(batch=128, inputs=300, outputs=100, density=0.1, relu=True)
def test_dense_layers(batch, inputs, outputs, density, relu):
    weight, mask = masked((inputs, outputs), density)
    geometry = compute.Geometry.dense(inputs, outputs)
    x, bias = draw(4, batch, inputs), draw(5, outputs)
    assert_equal(*both(x, weight, mask, bias, geometry, dense_layer, relu))


@given(
    batch=st.sampled_from([1, 16, 17, 33]),
    size=st.tuples(st.integers(1, 9), st.integers(1, 11)),
    kernel=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 5)),
    stride=st.integers(1, 3),
    same=st.booleans(),
    borders=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    density=DENSITIES,
    relu=st.booleans(),
)
@example(17, (8, 8), (3, 3), (3, 4), 2, True, (0, 0), 0.3, True)
@example(17, (9, 9), (7, 7), (3, 4), 2, False, (0, 1), 0.3, False)
def test_convolutions(batch, size, kernel, channels, stride, same, borders, density, relu):
    if not same:
        size = tuple(max(pair) for pair in zip(size, kernel, strict=True))
    weight, mask = masked((*kernel, *channels), density)
    geometry = compute.Geometry.convolution((*size, channels[0]), weight.shape, stride, same)
    geometry = geometry.with_borders(
        geometry.input_border + borders[0], geometry.output_border + borders[1]
    )
    padding = "SAME" if same else "VALID"

    def convolution(x, weight, bias):
        return tf.nn.conv2d(x, weight, stride, padding) + bias

    x, bias = draw(4, batch, *size, channels[0]), draw(5, channels[1])
    assert_equal(*both(x, weight, mask, bias, geometry, convolution, relu))


def test_an_empty_batch():
    geometry = compute.Geometry.dense(3, 2)
    packed = compute.pack(tf.ones([3, 2]), None, geometry)
    y = compute.product(compute.enter(tf.zeros([0, 3])), packed, geometry)
    assert compute.leave(y, 0).shape == (0, 1, 1, 2)


def test_an_active_weight_of_zero_has_a_gradient():
    geometry, weight = compute.Geometry.dense(2, 2), tf.zeros([2, 2])
    with tf.GradientTape() as tape:
        tape.watch(weight)
        packed = compute.pack(weight, tf.constant([[1.0, 0], [0, 1]]), geometry)
        y = compute.product(compute.enter(tf.ones([3, 2])), packed, geometry)
        loss = tf.reduce_sum(compute.leave(y, 3))
    np.testing.assert_array_equal(tape.gradient(loss, weight), [[3, 0], [0, 3]])


def test_borders_of_products_and_gradients_are_zero():
    geometry = compute.Geometry.convolution((5, 5, 2), (3, 3, 2, 3), 1, True)
    packed = compute.pack(draw(0, 3, 3, 2, 3), None, geometry)
    planes = compute.enter(draw(1, 4, 5, 5, 2), 1)
    with tf.GradientTape() as tape:
        tape.watch(planes)
        y = compute.product(planes, packed, geometry, tf.ones([3]))
        loss = tf.reduce_sum(tf.square(compute.leave(y, 4, 1)))
    for found in (y, tape.gradient(loss, planes)):
        inside = np.zeros(found.shape, bool)
        inside[:, 1:-1, 1:-1] = True
        assert not np.any(np.asarray(found)[~inside])


def test_not_a_number_is_kept():
    geometry = compute.Geometry.dense(1, 1)
    packed = compute.pack(tf.ones([1, 1]), None, geometry)
    y = compute.product(compute.enter(tf.constant([[np.nan], [1.0]])), packed, geometry, relu=True)
    np.testing.assert_array_equal(np.ravel(compute.leave(y, 2)), [np.nan, 1])


def test_graphs_know_the_shapes():
    geometry = compute.Geometry.convolution((8, 8, 3), (3, 3, 3, 4), 2, True)

    @tf.function(input_signature=[tf.TensorSpec([20, 8, 8, 3])])
    def shapes(images):
        packed = compute.pack(tf.ones(geometry.weight_shape), None, geometry)
        planes = compute.enter(images, geometry.input_border)
        y = compute.product(planes, packed, geometry)
        out = compute.leave(y, 20, geometry.output_border)
        assert planes.shape == (2, 10, 10, 3, 16)
        assert y.shape == (2, 6, 6, 4, 16)
        assert out.shape == (20, 4, 4, 4)
        return out

    assert shapes(tf.ones([20, 8, 8, 3])).shape == (20, 4, 4, 4)


GEOMETRY = compute.Geometry.convolution((5, 5, 2), (3, 3, 2, 3), 1, True)
SMALLER = compute.Geometry.convolution((4, 4, 2), (3, 3, 2, 3), 1, True)


@pytest.mark.parametrize(
    ("images", "packed_for", "message"),
    [
        ((1, 4, 4, 2), GEOMETRY, "must be planes of shape"),
        ((1, 5, 5, 2), SMALLER, None),
        ((1, 5, 5, 2), compute.Geometry.dense(2, 4), "of another layer"),
        ((1, 5, 5, 2), GEOMETRY.with_borders(4, 4), "of another geometry"),
    ],
)
def test_lists_of_other_layers_are_refused(images, packed_for, message):
    packed = compute.pack(tf.ones(packed_for.weight_shape), None, packed_for)
    planes = compute.enter(tf.ones(images), 1)
    if message is None:  # reads inside the planes, as the images are larger
        compute.product(planes, packed, GEOMETRY)
        return
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        compute.product(planes, packed, GEOMETRY)


def test_other_types_are_refused():
    whole, half = tf.ones(GEOMETRY.weight_shape), tf.ones([1, 5, 5, 2], tf.float16)
    with pytest.raises(InputError, match="^weight: is float64; sparse compute is in float32"):
        compute.pack(tf.cast(whole, tf.float64), None, GEOMETRY)
    with pytest.raises(InputError, match="^images: is float16"):
        compute.enter(half)
    with pytest.raises(InputError, match="^x: is float16"):
        compute.product(half, compute.pack(whole, None, GEOMETRY), GEOMETRY)


def test_other_weights_are_refused():
    for weight in (tf.ones([4, 3]), tf.ones([3, 3, 2, 4])):
        with pytest.raises(InputError, match="^weight: has shape"):
            compute.pack(weight, None, GEOMETRY)
    with pytest.raises(InputError, match="^mask: has shape"):
        compute.pack(tf.ones(GEOMETRY.weight_shape), tf.ones([2]), GEOMETRY)
    for stride in (0, 1.5, None):
        with pytest.raises(InputError, match="^stride="):
            compute.Geometry.convolution((5, 5, 2), (3, 3, 2, 3), stride, True)
