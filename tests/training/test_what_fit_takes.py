"""What users expect of `fit`: each works in both models, or is refused in one line."""

import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import robust_sparse_tf as rst
from robust_sparse_tf.training import devices

L = keras.layers
RNG = np.random.default_rng(0)
X, Y = RNG.random((70, 8, 8, 1), np.float32), RNG.integers(0, 4, 70)
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "own-model.md").read_text()


def network(*layers, outputs=4):
    inputs = keras.Input((8, 8, 1))
    hidden = inputs
    for layer in layers or (L.Flatten(), L.Dense(16, activation="relu")):
        hidden = layer(hidden)
    return keras.Model(inputs, L.Dense(outputs)(hidden))


def model(kind, net=None, limits=(0.0, 1.0), **compiled):
    method = rst.sparsity.RigL(density=0.3, update_interval=2, stop_step=20)
    made = rst.sparsify(net or network(), method)
    compiled = {"optimizer": "adam", "metrics": ["accuracy"], "loss": LOGITS} | compiled
    if kind == "AdversarialModel":
        low, high = limits
        attack = rst.attacks.PGD(epsilon=0.1, steps=2, low=low, high=high)
        made = rst.AdversarialModel(made, attack=attack)
        del compiled["loss"]
    made.compile(**compiled)
    return made


def fit(made, x=X, y=Y, **given):
    return made.fit(x, y, **({"batch_size": 20, "epochs": 2, "verbose": 0} | given))


class Custom(L.Layer):
    def build(self, shape):
        self.kernel = self.add_weight(name="kernel", shape=(shape[-1], 8))

    def call(self, x):
        return tf.nn.relu(x @ self.kernel)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.flat, self.last = L.Flatten(), L.Dense(4)

    def call(self, x):
        return self.last(self.flat(x))


def two_outputs():
    inputs = keras.Input((8, 8, 1))
    hidden = L.Flatten()(inputs)
    return keras.Model(inputs, [L.Dense(4)(hidden), L.Dense(4)(hidden)])


def frozen():
    made = network()
    made.layers[2].trainable = False
    return made


def recurrent():
    lstm = L.Bidirectional(L.LSTM(4, return_sequences=True))
    return network(L.Reshape((8, 8)), lstm, L.TimeDistributed(L.Dense(4)), L.Flatten())


def stopping(**given):
    return keras.callbacks.EarlyStopping(patience=1, **given)


def reloaded(kind, folder):
    made = model(kind)
    fit(made, callbacks=[keras.callbacks.ModelCheckpoint(str(folder / "model.keras"))])
    again = keras.models.load_model(str(folder / "model.keras"))
    np.testing.assert_array_equal(made.predict(X, verbose=0), again.predict(X, verbose=0))
    fit(again)


def averaged(kind, _):
    made = model(kind, optimizer=keras.optimizers.Adam(use_ema=True, ema_overwrite_frequency=2))
    fit(made)
    density = rst.sparsity.statistics(made)["density"]
    assert density == pytest.approx(0.3, abs=0.01)


def in_float16(kind, _):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        fit(model(kind))
    finally:
        keras.mixed_precision.set_global_policy("float32")


def mirrored(kind, _):
    with devices.strategy("mirrored").scope():
        made = model(kind)
    fit(made)


def batches(kind, _):
    model(kind).fit(tf.data.Dataset.from_tensor_slices((X, Y)).batch(20), verbose=0)


def generated(kind, _):
    model(kind).fit(((X[i : i + 10], Y[i : i + 10]) for i in range(0, 70, 10)), verbose=0)


ONE_HOT, BINARY = keras.losses.CategoricalCrossentropy, keras.losses.BinaryCrossentropy
CLIPPED = keras.optimizers.Adam(clipnorm=1.0).get_config()
SITUATIONS = {
    "weights of examples": lambda k, _: fit(model(k), sample_weight=np.ones(70, np.float32)),
    "weights of classes": lambda k, _: fit(model(k), class_weight={0: 1.0, 1: 2.0, 2: 1.0, 3: 0.5}),
    "one-hot labels": lambda k, _: fit(
        model(k, loss=ONE_HOT(from_logits=True)), y=np.eye(4, dtype="float32")[Y]
    ),
    "labels [n, 1]": lambda k, _: fit(model(k), y=Y[:, None]),
    "float64 images": lambda k, _: fit(model(k), x=X.astype("float64")),
    "images in [0, 255], undeclared": lambda k, _: fit(model(k), x=255 * X),
    "images in [0, 255], `high=255`": lambda k, _: fit(model(k, limits=(0, 255)), x=255 * X),
    "images in [-1, 1], `low=-1`": lambda k, _: fit(model(k, limits=(-1, 1)), x=2 * X - 1),
    "a partial last batch": lambda k, _: fit(model(k), batch_size=32),
    "`tf.data` of unknown batch size": batches,
    "a generator": generated,
    "`validation_split`": lambda k, _: fit(model(k), validation_split=0.3),
    "`EarlyStopping(restore_best_weights=True)`": lambda k, _: fit(
        model(k), validation_split=0.3, callbacks=[stopping(restore_best_weights=True)]
    ),
    "`ModelCheckpoint`, `load_model`, and on": reloaded,
    "callbacks that set the learning rate": lambda k, _: fit(
        model(k),
        callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3 / (1 + epoch))],
    ),
    "gradient clipping": lambda k, _: fit(
        model(k, optimizer=keras.optimizers.Adam.from_config(CLIPPED))
    ),
    "moving averages of weights": averaged,
    "mixed precision": in_float16,
    "`jit_compile=True`": lambda k, _: fit(model(k, jit_compile=True), x=X[:60], y=Y[:60]),
    "`steps_per_execution`": lambda k, _: fit(model(k, steps_per_execution=3)),
    "`run_eagerly=True`": lambda k, _: fit(model(k, run_eagerly=True)),
    "`MirroredStrategy`": mirrored,
    "frozen layers": lambda k, _: fit(model(k, frozen())),
    "several outputs": lambda k, _: fit(model(k, two_outputs(), loss=[LOGITS] * 2), y=[Y, Y]),
    "a single logit": lambda k, _: fit(
        model(k, network(outputs=1), loss=BINARY(from_logits=True)), y=Y % 2
    ),
    "custom layers": lambda k, _: fit(model(k, network(L.Flatten(), Custom()))),
    "`Bidirectional`, `TimeDistributed`": lambda k, _: fit(model(k, recurrent())),
    "subclassed models": lambda k, _: fit(model(k, Subclassed())),
}
KINDS = ("SparseModel", "AdversarialModel")
REFUSED = {
    *[("subclassed models", kind) for kind in KINDS],
    *[
        (name, "AdversarialModel")
        for name in (
            "one-hot labels",
            "images in [0, 255], undeclared",
            "several outputs",
            "a single logit",
        )
    ],
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SITUATIONS)
def test_works_or_is_refused_in_one_line(name, kind, tmp_path):
    if (name, kind) in REFUSED:
        with pytest.raises(rst.InputError) as refused:
            SITUATIONS[name](kind, tmp_path)
        assert len(str(refused.value).splitlines()) == 1
    else:
        SITUATIONS[name](kind, tmp_path)


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_page_says_so(name):
    (row,) = re.findall(rf"^\| {re.escape(name)} \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    for kind, words in zip(KINDS, row, strict=True):
        assert words.startswith("no" if (name, kind) in REFUSED else "yes")
