"""A wrapped layer does what the layer does: called, trained, stored and loaded."""

import copy

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from layer_networks import QUICK, SEQUENCE, SLOW, sequence
from networks import slow

from robust_sparse_tf import sparsify, strip

SIZE = 8


def pair(name: str) -> tuple[keras.Model, keras.Model]:
    """A model, and another one of the same weights whose layers are wrapped."""
    make = {**QUICK, **SLOW}[name]
    keras.utils.set_random_seed(0)
    plain = make()
    keras.utils.set_random_seed(0)
    return plain, sparsify(make())


def examples(model):
    rng = np.random.default_rng(0)

    def inputs(symbol):
        shape = (SIZE, *symbol.shape[1:])
        if shape[1:] == (6,):  # tokens
            return tf.constant(rng.integers(0, 9, shape), symbol.dtype)
        values = rng.normal(size=shape)
        if shape[1:] == SEQUENCE:
            values[:, 4:] = 0  # which `Masking` masks
        return tf.constant(values, symbol.dtype)

    def targets(symbol):
        return tf.constant(rng.normal(size=(SIZE, *symbol.shape[1:])), tf.float32)

    x = tf.nest.map_structure(inputs, model.input)
    return x, tf.nest.map_structure(targets, model.output)


def results(model, training=None):
    """Outputs, their Keras masks, and losses, of two calls that continue from each other."""
    keras.utils.set_random_seed(1)
    found = []
    model.reset_states()
    for _ in range(2):
        outputs = model(examples(model)[0], training=training)
        masks = [getattr(output, "_keras_mask", None) for output in tf.nest.flatten(outputs)]
        values = [*tf.nest.flatten(outputs), *masks, *model.losses]
        found.append([value if value is None else value.numpy() for value in values])
    return found


def train(model):
    """The history of some steps, and the weights after them."""
    keras.utils.set_random_seed(2)
    model.reset_states()
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    x, y = examples(model)
    history = model.fit(x, y, batch_size=SIZE, epochs=2, shuffle=False, verbose=0).history
    return history, [variable.numpy() for variable in model.trainable_variables]


def assert_same(wrapped, plain):
    for training in (None, False, True):
        np.testing.assert_equal(results(wrapped, training), results(plain, training))
    (ours, weights), (theirs, expected) = train(wrapped), train(plain)
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-6)
    np.testing.assert_equal(weights, expected)


@pytest.mark.parametrize("name", [*QUICK, *map(slow, SLOW)])
def test_wrapped_layers_do_what_layers_do(name):
    plain, wrapped = pair(name)
    assert wrapped.stateful == plain.stateful
    assert_same(wrapped, plain)
    np.testing.assert_equal(results(strip(wrapped)), results(plain))


QUICK_FILES = [
    ("frozen", "tf"),
    ("own_layer", "h5"),
    ("losses_beside", "keras"),
]
FILES = [(name, form) for name in {**QUICK, **SLOW} for form in ("keras", "h5", "tf")]


@pytest.mark.parametrize(
    "name, form", [*QUICK_FILES, *(slow(*file) for file in FILES if file not in QUICK_FILES)]
)
def test_wrapped_layers_are_stored_as_layers_are(name, form, tmp_path):
    loaded = []
    for number, model in enumerate(pair(name)):
        path = str(tmp_path / str(number)) + ("" if form == "tf" else f".{form}")
        model.save(path, **(dict(save_format="tf") if form == "tf" else {}))
        loaded.append(keras.models.load_model(path))
    plain, wrapped = loaded
    assert len(wrapped.trainable_variables) == len(plain.trainable_variables)
    assert_same(wrapped, plain)


def test_copies_are_sparse_models_too():
    wrapped = sparsify(sequence((4,)))
    again = copy.deepcopy(wrapped)
    assert type(again) is type(wrapped)
    np.testing.assert_equal(results(again), results(wrapped))


def test_attributes_are_the_layers():
    layer = sparsify(sequence((4,), keras.layers.Dense(3, name="hidden"))).get_layer("hidden")
    assert layer.units == 3 and layer.kernel is layer.layer.kernel
    with pytest.raises(AttributeError):
        layer.states  # noqa: B018
