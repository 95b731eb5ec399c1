import keras as keras_3
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from networks import slow

from robust_sparse_tf import models, sparsify, strip
from robust_sparse_tf.attacks import FGSM, PGD
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity import Magnitude, MaskedLayer, SparseModel, densities, masked_weights
from robust_sparse_tf.training import AdversarialModel

layers = keras.layers


def convolutional() -> keras.Model:
    """A functional model with a branch, layers without masks, and dropout."""
    keras.utils.set_random_seed(0)
    inputs = layers.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(inputs)
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Flatten()(layers.Add()([x, y]))
    x = layers.Dropout(0.5)(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(10, name="logits")(x))


def nested() -> keras.Model:
    keras.utils.set_random_seed(0)
    inner = keras.Sequential(
        [layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(20, "relu", name="inner")]
    )
    return keras.Sequential([layers.Input((8, 8, 1)), inner, layers.Dense(10, name="logits")])


def recurrent() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Reshape((8, 8)),
            layers.LSTM(6, name="lstm"),
            layers.Dense(10, name="logits"),
        ]
    )


def deferred() -> keras.Model:
    """A model that is built by its first call."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([layers.Flatten(), layers.Dense(10, name="logits")])
    model(tf.zeros([1, 8, 8, 1]))
    return model


every_kind = pytest.mark.parametrize("make", [convolutional, nested, recurrent, deferred])


def bits(model: keras.Model) -> dict[int, bytes]:
    """Every variable of a model, tfmot's own included, to the bit."""
    return {
        number: variable.numpy().tobytes()
        for number, variable in enumerate(model.variables)
        if variable.dtype != tf.resource
    }


def values(model: keras.Model) -> list[tuple[str, np.ndarray, np.ndarray]]:
    return [(name, w.numpy(), mask.numpy()) for name, w, mask, *_ in masked_weights(model)]


def eager(function):
    return function


@pytest.mark.parametrize(
    "kind, training, run",
    [
        ("lenet", True, tf.function),
        ("lenet", False, eager),
        ("lenet", None, eager),
        ("convolutional", True, eager),
        ("convolutional", False, tf.function),
        ("convolutional", None, tf.function),
        slow("lenet", True, eager),
        slow("lenet", False, tf.function),
        slow("lenet", None, tf.function),
        slow("convolutional", True, tf.function),
        slow("convolutional", False, eager),
        slow("convolutional", None, eager),
    ],
)
def test_forwards_change_no_variable(kind, training, run, make_lenet, batch):
    model = make_lenet() if kind == "lenet" else sparsify(convolutional(), Magnitude(0.3))
    assert {"mask:0", "threshold:0", "pruning_step:0"} <= {
        variable.name.split("/")[-1] for variable in model.variables
    }
    before, forward = bits(model), run(lambda x: model(x, training=training))
    for _ in range(3):
        forward(batch[0])
    assert bits(model) == before


@pytest.mark.parametrize("attack", [PGD(epsilon=0.1, steps=3), slow(FGSM(epsilon=0.1))])
def test_attacks_change_no_variable(attack, make_lenet, batch):
    model = make_lenet()
    before = bits(model)
    tf.function(lambda x, y: attack(lambda x: model(x, training=True), x, y))(*batch)
    assert bits(model) == before


def test_tfmot_alone_does_change_variables(batch):
    """What our wrapper keeps away; shows that the tests above can fail."""
    model = tfmot.sparsity.keras.prune_low_magnitude(models.lenet_300_100((8, 8, 1)))
    for layer in model.layers:
        layer.pruning_step.assign(0)  # as its callback does
    before = bits(model)
    tf.function(lambda x: model(x, training=True))(batch[0])
    assert bits(model) != before


def test_gradients_are_those_of_an_explicitly_masked_network(make_lenet, batch):
    """With v the dense weights of w = v * mask: dL/dv = mask * dL/dw."""
    model = make_lenet(density=0.3)
    x, y = batch
    entries = list(masked_weights(model))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        logits = model(x, training=True)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
    stored = tape.gradient(loss, [entry.weight for entry in entries])
    at_x = tape.gradient(loss, x)

    rng = np.random.default_rng(0)
    noise = [rng.normal(size=mask.shape).astype(np.float32) for _, _, mask, *_ in entries]
    pairs = zip(entries, noise, strict=True)
    dense = [tf.constant(e.weight + (1 - e.mask) * extra) for e, extra in pairs]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, *dense])
        masked = [v * entry.mask for v, entry in zip(dense, entries, strict=True)]
        hidden = tf.nn.relu(tf.reshape(x, [16, 64]) @ masked[0])
        expected = tf.nn.relu(hidden @ masked[1]) @ masked[2]
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=expected)
    np.testing.assert_array_equal(logits, expected)
    np.testing.assert_array_equal(at_x, tape.gradient(loss, x))
    explicit, unmasked = tape.gradient(loss, dense), tape.gradient(loss, masked)
    for entry, ours, theirs, whole in zip(entries, stored, explicit, unmasked, strict=True):
        np.testing.assert_array_equal(ours * entry.mask, theirs)
        # The gradient on the stored weights is the dense one, for pruned weights too.
        np.testing.assert_array_equal(ours, whole)
        assert np.count_nonzero(ours[entry.mask == 0]) > 0


@every_kind
def test_sparsify_keeps_function_and_weights(make, batch):
    model = make()
    sparse = sparsify(model)
    assert densities(sparse)[0] == 1
    np.testing.assert_array_equal(sparse(batch[0]), model(batch[0]))
    for ours, theirs in zip(sparse.trainable_variables, model.trainable_variables, strict=True):
        assert ours is theirs


@pytest.mark.parametrize(
    "make, names",
    [
        (convolutional, ["conv", "depthwise", "logits"]),
        (nested, ["inner", "logits"]),
        (recurrent, ["lstm/0", "lstm/1", "logits"]),
        (deferred, ["logits"]),
    ],
)
def test_every_prunable_kernel_has_a_mask(make, names):
    sparse = sparsify(make(), Magnitude(0.25))
    assert [name for name, _, _ in values(sparse)] == names
    for _, weight, mask in values(sparse):
        assert weight.shape == mask.shape
        assert mask.sum() == round(0.25 * mask.size) == np.count_nonzero(weight)
        np.testing.assert_array_equal(weight, weight * mask)


def test_training_flag_reaches_the_layers(batch):
    sparse = sparsify(convolutional())
    calm = [sparse(batch[0], training=False).numpy() for _ in range(2)]
    wild = [sparse(batch[0], training=True).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*calm)
    assert (wild[0] != wild[1]).any()


KINDS = [convolutional, nested, recurrent, deferred]


@pytest.mark.parametrize(
    "make, stripper",
    [
        *((make, strip) for make in KINDS),
        *((make, tfmot.sparsity.keras.strip_pruning) for make in KINDS[:2]),
        *(slow(make, tfmot.sparsity.keras.strip_pruning) for make in KINDS[2:]),
    ],
)
def test_strip(make, stripper, batch):
    sparse = sparsify(make(), Magnitude(0.2))
    expected, entries = sparse(batch[0]).numpy(), values(sparse)
    plain = stripper(sparse)
    kinds = [type(layer) for layer in plain.submodules]
    assert not any(issubclass(kind, MaskedLayer) for kind in kinds)
    assert not any("mask" in variable.name for variable in plain.variables)
    np.testing.assert_array_equal(plain(batch[0]), expected)
    for _, weight, mask in entries:
        kernel = next(v.numpy() for v in plain.variables if np.array_equal(v, weight))
        assert np.all(kernel[mask == 0] == 0) and np.count_nonzero(kernel) == mask.sum()


def test_stripped_model_is_ordinary(make_lenet, batch, tmp_path):
    """It saves, reloads and trains without this library."""
    robust = AdversarialModel(make_lenet(0.2))
    plain = strip(robust)
    assert not isinstance(plain, SparseModel)
    plain.save(tmp_path / "model.h5")
    reloaded = keras.models.load_model(tmp_path / "model.h5", compile=False)
    np.testing.assert_array_equal(reloaded(batch[0]), robust(batch[0]))
    again = sparsify(plain)
    assert densities(again)[0] == 1 and isinstance(again.layers[-1], MaskedLayer)


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: keras_3.Sequential([keras_3.layers.Dense(2)]), "keras.* must be a tf_keras model"),
        (lambda: lambda x: x, "must be a tf_keras model"),
        (lambda: Subclassed(name="mine"), "model mine: must be Sequential or functional"),
        (
            lambda: keras.Sequential([layers.Input((3,)), layers.ReLU()], "bare"),
            "model bare: has no",
        ),
        (lambda: keras.Sequential([layers.Dense(2)], "new"), "model new: .*built"),
        (lambda: sparsify(convolutional()), "is already sparse"),
    ],
    ids=["keras_3", "function", "subclassed", "weightless", "not_built", "sparse"],
)
def test_sparsify_refuses(make, words):
    with pytest.raises(InputError, match=words):
        sparsify(make())
