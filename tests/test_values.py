"""Values that are no numbers are refused in one line, in every form of training data."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import sparsify
from robust_sparse_tf.errors import InputError

X = np.random.default_rng(0).random((8, 4), np.float32)
Y = np.arange(8) % 2
BROKEN = X.copy()
BROKEN[6, 2] = np.nan


def stream(x: np.ndarray) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((x, Y)).batch(4)


FIT = {
    "arrays": lambda model, x: model.fit(x, Y, verbose=0),
    "stream": lambda model, x: model.fit(stream(x), verbose=0),
    "tensors": lambda model, x: model.fit(tf.constant(x), Y, verbose=0),
    "batch": lambda model, x: model.train_on_batch(x, Y),
}


@pytest.mark.parametrize("form", FIT)
def test_sparse_models_refuse_what_is_no_number(form):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model = sparsify(network)
    model.compile("sgd", "mse", run_eagerly=form == "batch")
    with pytest.raises(InputError, match="^images.*(NaN|nan)") as caught:
        FIT[form](model, BROKEN)
    assert "\n" not in str(caught.value)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    FIT[form](model, X)


class Failing(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        raise ValueError("mine")


@pytest.mark.parametrize("eager", [False, True])
def test_errors_of_training_are_one_line(eager):
    """What tf_keras and its graphs say; not those of a user's own callbacks."""
    model = sparsify(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, run_eagerly=eager)
    x, y = np.zeros([4, 3], np.float32), np.zeros(4, np.int64)
    for labels, words in [
        (y + 9, r"^Received a label value of 9 which is outside the valid range of \[0, 2\)"),
        (np.zeros([4, 3]), "logits"),
        (y[:2], "^Data cardinality is ambiguous: x sizes: 4 y sizes: 2"),
        (np.array(["a"] * 4), "^Cast string to int64 is not supported"),
        (object(), "^Failed to find data adapter"),
    ]:
        with pytest.raises(InputError, match=words) as caught:
            model.fit(x, labels, verbose=0)
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(ValueError, match="^mine$") as raised:
        model.fit(x, y, verbose=0, callbacks=[Failing()])
    assert raised.type is ValueError
