"""Networks computed with active weights only give what they give by tf_keras."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import compute, models, sparsity
from robust_sparse_tf.errors import InputError

layers = keras.layers
SHAPE = (9, 8, 3)


@pytest.fixture(autouse=True, scope="module")
def _kernels():
    try:
        compute.library()
    except compute.BuildError as error:
        pytest.skip(str(error))


def lenet():
    return models.lenet_300_100((6, 6, 1))


def strided():
    """Kernels of several sizes, both paddings, stride 2, flattening, and layers of tf_keras."""
    return keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Rescaling(2.0, 0.1),
            layers.Conv2D(6, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2, 1, padding="same"),
            layers.Conv2D(5, 3, 2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(7, (2, 3), activation="tanh"),
            layers.Conv2D(4, 2, padding="valid", activation="relu"),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(12),
            layers.BatchNormalization(scale=False),
            layers.Activation("relu"),
            layers.Dense(4),
        ]
    )


def residual():
    """Branches, shortcuts by 1x1 convolutions of stride 2, pooling over all pixels."""
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(inputs)
    y = layers.BatchNormalization()(layers.Conv2D(8, 3, 2, padding="same")(x))
    y = layers.Conv2D(8, 3, padding="same")(layers.ReLU()(y))
    y = layers.Add()([layers.BatchNormalization(center=False)(y), layers.Conv2D(8, 1, 2)(x)])
    y = layers.Add()([y, y])
    y = layers.GlobalAveragePooling2D()(layers.ReLU()(y))
    return keras.Model(inputs, layers.Dense(3)(y))


def nested():
    inputs = keras.Input(SHAPE)
    inner = keras.Sequential([layers.Input(SHAPE), layers.Conv2D(4, 3), layers.ReLU()])
    hidden = layers.Conv2D(4, 3, activation="relu")(inner(inputs))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(hidden)))


NETWORKS = [lenet, strided, residual, nested, lambda: models.resnet20((8, 8, 3), width=0.25)]


def masks_of(model):
    return {entry.weight.ref(): entry.mask for entry in sparsity.masked_weights(model)}


def sparse_model(make, density=0.3):
    """A sparse network with random statistics of batch normalization."""
    model = sparsity.sparsify(make(), sparsity.Static(density))
    rng = np.random.default_rng(0)
    for variable in model.weights:
        kind = variable.name.split("/")[-1]
        if kind.startswith(("moving", "beta", "gamma", "bias")):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


def both(model, call, x):
    """The logits and gradients of a model, and those of `call`."""
    kernels = [entry.weight for entry in sparsity.masked_weights(model)]
    masks = [entry.mask for entry in sparsity.masked_weights(model)]
    others = [v for v in model.trainable_variables if all(v is not k for k in kernels)]
    found = []
    for function in (call, lambda inputs: model(inputs, training=False)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = function(x)
            loss = tf.reduce_sum(logits * tf.random.stateless_normal(logits.shape, [0, 1]))
        of_x, of_kernels, of_others = tape.gradient(loss, [x, kernels, others])
        of_kernels = [gradient * mask for gradient, mask in zip(of_kernels, masks, strict=True)]
        found.append([logits, of_x, *of_kernels, *of_others])
    return found


def assert_equal(found):
    for ours, theirs in zip(*found, strict=True):
        scale = np.abs(theirs).max(initial=1e-3)
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=3e-5)


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("batch", [5, 33])
def test_networks_give_the_same_logits_and_gradients(make, batch):
    model = sparse_model(make)
    network = compute.SparseNetwork(model, masks_of(model), limit=1.0)
    assert "sparse" in network.explain().values()
    x = tf.random.stateless_uniform([batch, *model.input_shape[1:]], [1, 2])
    assert_equal(both(model, tf.function(network), x))


def test_training_mode_moves_statistics_equally():
    found = []
    for sparse in (True, False):
        keras.utils.set_random_seed(0)
        model = sparse_model(residual)
        network = compute.SparseNetwork(model, masks_of(model), limit=1.0)
        x = tf.random.stateless_uniform([20, *SHAPE], [1, 2])
        logits = network(x, training=True) if sparse else model(x, training=True)
        found.append([logits, *model.get_weights()])
    assert_equal(found)


def test_masks_may_change_in_a_traced_function():
    model = sparse_model(residual)
    network = compute.SparseNetwork(model, masks_of(model), limit=1.0)
    x = tf.random.stateless_uniform([5, *SHAPE], [1, 2])
    call = tf.function(network)
    call(x)
    entry = next(sparsity.masked_weights(model))
    entry.mask.assign(1 - entry.mask)
    entry.weight.assign(entry.mask)
    assert_equal(both(model, call, x))


def test_packs_serve_all_steps_of_an_attack():
    model = sparse_model(residual)
    network = compute.SparseNetwork(model, masks_of(model), limit=1.0)

    @tf.function
    def attacked(x, forward):
        packs = network.pack()

        def step(adversarial):
            with tf.GradientTape() as tape:
                tape.watch(adversarial)
                logits = network(adversarial, packs) if forward else model(adversarial)
                loss = tf.reduce_logsumexp(logits, 1)
            moved = adversarial + 0.01 * tape.gradient(loss, adversarial)
            return (tf.ensure_shape(moved, x.shape),)

        return tf.while_loop(lambda adversarial: True, step, (x,), maximum_iterations=4)[0]

    x = tf.random.stateless_uniform([5, *SHAPE], [1, 2])
    np.testing.assert_allclose(attacked(x, True), attacked(x, False), atol=1e-5)


def test_explain_says_why_layers_are_dense():
    model = sparse_model(strided, density=0.5)
    found = list(compute.SparseNetwork(model, masks_of(model), limit=0.0).explain().values())
    assert found[0] == "Rescaling is computed by tf_keras"
    assert found[1] == "density 0.5 is above 0"
    assert "its activation is tanh" in found
    found = list(compute.SparseNetwork(model, masks_of(model), limit=1.0).explain().values())
    assert found.count("sparse") == 5 and found.count("sparse at inference") == 2


def test_wrong_arguments():
    with pytest.raises(InputError, match="^limit=2"):
        compute.SparseNetwork(lenet(), {}, limit=2.0)
    inputs = keras.Input([2])
    with pytest.raises(InputError, match="has 2 outputs; must have one"):
        compute.SparseNetwork(keras.Model(inputs, [inputs, layers.Dense(2)(inputs)]), {})
