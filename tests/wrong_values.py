"""Wrong values for arguments, and the test of a table of them."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import robust_sparse_tf as rst
from robust_sparse_tf import attacks
from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError

IMAGES, LABELS = np.zeros([4, 2, 2, 1], np.float32), np.array([0, 1, 0, 1])
SPLIT = Split(IMAGES, LABELS, num_classes=2, batch_size=2)
COUNTS = [0, -1, 1.5, "2", None, True, [2], math.nan, 2**63, object()]
GIVEN_COUNTS = [n for n in COUNTS if n is not None]
SEEDS = [1.5, "0", None, True, [0], 2**63]
FLAGS = [0, 1, "yes", None, []]
GIVEN_FLAGS = [flag for flag in FLAGS if flag is not None]
FRACTIONS = [0, 1, -0.5, 2, "0.5", None, True, math.nan, math.inf]
RADII = [-1.0, "0.3", None, True, [0.1], math.nan, math.inf, object()]
TENSORS = [tf.constant(-1.0), tf.constant(math.nan), tf.constant([0.1]), tf.constant(1)]
OTHERS = ["rigl", 0.3, attacks.PGD, object(), {}]
PAIRS = [None, 1, "0", 0.5, (), (0,), (0, 1, 2), (0, 0.5), (True, False), np.zeros(2)]
PATHS = ["", None, 1, b"folder", ["folder"]]
BATCHES = ["x", b"x", 1, {"x": 1}, {1}, [0.1], [[1]], (IMAGES, LABELS), IMAGES, object()]
MODELS = [None, "m", 1, object(), len, attacks.FGSM(), rst.AdversarialModel]
LAYER = keras.layers.Dense(2)
TEXTS = [1, b"x", ["fgsm"], object(), np.zeros(0)]


def model():
    return rst.models.mlp((2, 2, 1), 2, hidden=[3])


def several(inputs=1, outputs=1):
    """A model of several inputs or outputs."""
    heads = [keras.layers.Input((2, 2, 1)) for _ in range(inputs)]
    whole = keras.layers.Flatten()(sum(heads[1:], heads[0]))
    return keras.Model(heads, [keras.layers.Dense(2, "relu")(whole) for _ in range(outputs)])


def cases(table):
    """The rows of a table of (call, name of an argument, wrong values), for parametrize."""
    return [
        pytest.param(*row, id=f"{getattr(row[0], '__name__', row[1])}-{row[1]}") for row in table
    ]


def assert_refused(call, name, values):
    """Each of the values, in one line."""
    for value in values:
        with pytest.raises(InputError) as caught:
            call(**{name: value})
            pytest.fail(f"{name}={value!r} is accepted")
        assert len(str(caught.value).splitlines()) == 1
