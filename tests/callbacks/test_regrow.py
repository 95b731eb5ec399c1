"""Dynamic sparsity at batch ends, in models with any train step."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorflow_model_optimization.sparsity import keras as tfmot

from robust_sparse_tf import sparsify
from robust_sparse_tf.callbacks import Regrow
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models.network import network_of
from robust_sparse_tf.sparsity import (
    SET,
    EMAGrowth,
    FlyingBird,
    FlyingBirdPlus,
    Magnitude,
    RigL,
    Static,
    densities,
    masked_weights,
)
from robust_sparse_tf.sparsity.slots import slots_of

layers = keras.layers
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
SIZES = {"hidden": 8 * 12, "logits": 12 * 4}
INTERVAL, STEPS = 3, 16
DUE = [3, 6, 9, 12]  # of 16 steps; none from step 13 on
COMMON = dict(drop_decay="constant", update_interval=INTERVAL, stop_step=13, seed=1)


def dense_network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((8,)),
            layers.Dense(12, activation="relu", name="hidden"),
            layers.Dense(4, name="logits"),
        ]
    )


def wrapped_by_tfmot() -> keras.Model:
    """With a schedule that would prune at each step, were it not silenced."""
    schedule = tfmot.ConstantSparsity(0.9, begin_step=0, frequency=1)
    return tfmot.prune_low_magnitude(dense_network(), pruning_schedule=schedule)


class Own(keras.Model):
    """A user's model, whose train step knows of no masks."""

    def __init__(self, network: keras.Model) -> None:
        super().__init__()
        self.network = network

    def call(self, inputs, training=None):
        return self.network(inputs, training=training)

    def train_step(self, data):
        x, y = data
        variables = self.network.trainable_variables
        with tf.GradientTape() as tape:
            loss = LOSS(y, self.network(x, training=True))
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {"loss": loss}


KINDS: dict[str, Callable[[], keras.Model]] = {
    "sparsify": lambda: sparsify(dense_network()),
    "tfmot": wrapped_by_tfmot,
    "own": lambda: Own(sparsify(dense_network())),
    "own around tfmot": lambda: Own(wrapped_by_tfmot()),
}


def examples(number: int = 64, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=(number, 8)).astype(np.float32), draw.integers(0, 4, number)


EXTRA = [examples(16, seed=1), examples(16, seed=2)]
METHODS = {
    "set": lambda: Regrow(SET(0.4, **COMMON)),
    "rigl": lambda: Regrow(RigL(0.4, distribution="er", **COMMON), EXTRA),
    "flying_bird": lambda: Regrow(FlyingBird(0.3, **COMMON), EXTRA, LOSS),
}


class Watch(keras.callbacks.Callback):
    """Notes, after each batch, each layer's mask, weight and slots, and the biases."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[dict] = []

    def on_train_batch_end(self, batch, logs=None) -> None:
        network = network_of(self.model)
        self.states.append(
            {
                entry.name: dict(
                    mask=entry.mask.numpy().astype(bool),
                    weight=entry.weight.numpy(),
                    slots=[
                        slot.numpy() for slot, _ in slots_of(self.model.optimizer, entry.weight)
                    ],
                    bias=entry.layer.bias.numpy(),
                )
                for entry in masked_weights(network)
            }
        )


def fit(model: keras.Model, callbacks: list, **kwargs) -> keras.callbacks.History:
    kwargs = dict(epochs=2, batch_size=8, shuffle=False, verbose=0) | kwargs
    return model.fit(*examples(), callbacks=callbacks, **kwargs)


def watched(kind: str, regrow: Regrow) -> tuple[list[dict], list[dict]]:
    """The states after each of 16 batches, before and after the callback acts."""
    model, before, after = KINDS[kind](), Watch(), Watch()
    model.compile(keras.optimizers.Adam(0.01), LOSS)
    fit(model, [before, regrow, after])
    assert len(before.states) == STEPS
    return before.states, after.states


@pytest.fixture(scope="module")
def runs() -> dict:
    return {}


# Each kind of model and each method is in one of the pairs that are looked at each time.
FAST = {("sparsify", "set"), ("tfmot", "rigl"), ("own", "flying_bird"), ("own around tfmot", "set")}
PAIRS = [
    pytest.param((kind, method), marks=() if (kind, method) in FAST else pytest.mark.slow)
    for kind in KINDS
    for method in METHODS
]
BY_GRADIENT = [pair for pair in PAIRS if pair.values[0][1] != "set"]


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request) -> tuple[str, str]:
    """A kind of model and a method."""
    return request.param


@pytest.fixture
def run(pair, runs) -> tuple[list[dict], list[dict]]:
    """As `watched`, of a pair."""
    if pair not in runs:
        kind, method = pair
        runs[pair] = watched(kind, METHODS[method]())
    return runs[pair]


def test_counts_never_change(run):
    _, after = run
    first = {name: int(layer["mask"].sum()) for name, layer in after[0].items()}
    total = sum(SIZES.values())
    assert sum(first.values()) / total == pytest.approx(0.35, abs=0.06)
    for state in after:
        assert {name: int(layer["mask"].sum()) for name, layer in state.items()} == first


def test_weights_are_masked_after_each_batch(run):
    before, after = run
    for state in after:
        for layer in state.values():
            assert not layer["weight"][~layer["mask"]].any()
            assert layer["weight"][layer["mask"]].any()


def test_masks_change_when_they_are_due(run):
    """In each layer, and at no other step."""
    _, after = run
    for name in SIZES:
        pairs = zip(after, after[1:], strict=False)
        changed = [
            step
            for step, (old, new) in enumerate(pairs, 2)
            if (old[name]["mask"] != new[name]["mask"]).any()
        ]
        assert changed == DUE


def test_what_changes_starts_anew(run):
    """Grown weights and the slots of all that changed are zero; the rest is as it was."""
    before, after = run
    for step in DUE:
        for name, now in after[step - 1].items():
            old = before[step - 1][name]
            grown, kept = now["mask"] & ~old["mask"], now["mask"] & old["mask"]
            # A weight that was dropped may have grown again; it starts again as well.
            kept &= now["weight"] != 0
            assert grown.any() and kept.any()
            assert not now["weight"][grown].any()
            np.testing.assert_array_equal(now["weight"][kept], old["weight"][kept])
            assert len(now["slots"]) == 2  # Adam's
            for slot, earlier in zip(now["slots"], old["slots"], strict=True):
                assert not slot[~kept].any()
                assert earlier[kept].any()
                np.testing.assert_array_equal(slot[kept], earlier[kept])


def hand_gradients(state: dict, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """The dense gradient of the mean cross-entropy of a two-layer perceptron, in numpy."""
    hidden, logits = (
        (state[k]["weight"] * state[k]["mask"], state[k]["bias"]) for k in ("hidden", "logits")
    )
    features = np.maximum(x @ hidden[0] + hidden[1], 0)
    scores = features @ logits[0] + logits[1]
    exps = np.exp(scores - scores.max(1, keepdims=True))
    delta = (exps / exps.sum(1, keepdims=True) - np.eye(4)[y]) / len(x)
    return {
        "logits": features.T @ delta,
        "hidden": x.T @ ((delta @ logits[0].T) * (features > 0)),
    }


def best(scores: np.ndarray, count: int) -> np.ndarray:
    found = np.zeros(scores.size, bool)
    found[np.argsort(-scores, axis=None)[:count]] = True
    return found.reshape(scores.shape)


@pytest.mark.parametrize("pair", BY_GRADIENT, ids="-".join, indirect=True)
def test_grows_where_the_extra_batch_has_its_largest_gradients(pair, run):
    """One batch for each update, taken in turn."""
    before, after = run
    fraction = {"rigl": 0.3, "flying_bird": 0.5}[pair[1]]
    for number, step in enumerate(DUE):
        state = before[step - 1]
        gradients = hand_gradients(state, *EXTRA[number % 2])
        for name, layer in state.items():
            active, weight = layer["mask"], np.abs(layer["weight"])
            count = round(fraction * active.sum())
            kept = best(np.where(active, weight, -1), active.sum() - count)
            grown = best(np.where(kept, -1, np.abs(gradients[name])), count)
            np.testing.assert_array_equal(after[step - 1][name]["mask"], kept | grown)


def test_set_grows_at_random():
    """Other weights for another seed, the same for the same."""
    masks = []
    for seed in (1, 1, 2):
        method = SET(0.4, **COMMON | {"seed": seed})
        model = sparsify(dense_network(), Magnitude(0.4))  # whose masks stay the first ones
        model.compile(keras.optimizers.Adam(0.01), LOSS, run_eagerly=True)
        watch = Watch()
        fit(model, [Regrow(method), watch], epochs=1, steps_per_epoch=INTERVAL)
        masks.append(watch.states[INTERVAL - 1]["hidden"]["mask"])
    np.testing.assert_array_equal(masks[0], masks[1])
    assert (masks[0] != masks[2]).any()


@pytest.mark.parametrize(
    "kind", ["tfmot", pytest.param("own around tfmot", marks=pytest.mark.slow)]
)
def test_schedule_of_tfmot_is_silenced(kind):
    """Also where an earlier fit has traced and followed it."""
    model = KINDS[kind]()
    network = network_of(model)
    model.compile(keras.optimizers.Adam(0.01), LOSS)
    update = tfmot.UpdatePruningStep()
    update.set_model(network)
    network.optimizer = model.optimizer  # where tfmot's callback looks for steps
    fit(model, [update], epochs=1)
    assert densities(network)[0] == pytest.approx(0.1, abs=0.02)
    for entry in masked_weights(network):
        entry.mask.assign(
            tf.cast(tf.random.stateless_uniform(entry.mask.shape, [1, 2]) < 0.5, "float32")
        )
    watch = Watch()
    fit(model, [Regrow(SET(0.5, update_interval=1000)), watch])
    for state in watch.states:
        for name, layer in state.items():
            np.testing.assert_array_equal(layer["mask"], watch.states[0][name]["mask"])
    assert 0.4 < densities(network)[0] < 0.6


def test_first_masks_are_those_of_the_model():
    """Where it is sparse already; a dense one gets random ones of the method's density."""
    for model, expected in (
        (sparsify(dense_network(), Magnitude(0.25)), 0.25),
        (sparsify(dense_network()), 0.5),
    ):
        model.compile("sgd", LOSS, run_eagerly=True)
        fit(model, [Regrow(SET(0.5, update_interval=1000))], epochs=1)
        assert densities(model)[0] == expected


def test_extra_batches_are_no_training():
    """Nor do they count in the loss that is shown: with nothing to drop, all is as without."""
    histories, weights = [], []
    far = [(1000 * x, y) for x, y in EXTRA]  # whose loss would be seen in the mean
    method = RigL(0.4, drop_fraction=0.0, update_interval=2)
    of_compiled_loss, of_given_loss = Regrow(method, far), Regrow(method, far, LOSS)
    for callbacks in ([], [of_compiled_loss], [of_given_loss]):
        model = sparsify(dense_network(), Magnitude(0.4))
        model.compile("sgd", LOSS)
        histories.append(fit(model, callbacks).history["loss"])
        weights.append(model.get_weights())
    assert histories[0] == histories[1] == histories[2]
    for without, *others in zip(*weights, strict=True):
        for other in others:
            np.testing.assert_array_equal(without, other)


def test_legacy_optimizer():
    model = wrapped_by_tfmot()
    model.compile(keras.optimizers.legacy.Adam(0.01), LOSS)
    before, after = Watch(), Watch()
    fit(model, [before, Regrow(SET(0.4, **COMMON)), after], epochs=1)
    old, now = (watch.states[INTERVAL - 1]["hidden"] for watch in (before, after))
    changed = old["mask"] != now["mask"]
    assert changed.any() and len(now["slots"]) == 2
    assert all(slot[changed].any() for slot in old["slots"])
    assert not any(slot[changed].any() for slot in now["slots"])


def test_steps_per_execution():
    """Batches end where executions do: of the due steps 2, 4, 6, 8 two are seen."""
    model = sparsify(dense_network())
    model.compile("sgd", LOSS, steps_per_execution=4)
    watch = Watch()
    first = Watch()
    fit(model, [first, Regrow(SET(0.4, update_interval=2)), watch], epochs=1)
    assert len(watch.states) == 2
    for old, now in zip(first.states, watch.states, strict=True):
        assert (old["hidden"]["mask"] != now["hidden"]["mask"]).any()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Regrow(Static(0.5)), "method Static: must be a dynamic one"),
        (lambda: Regrow(Magnitude(0.5)), "method Magnitude: must be a dynamic one"),
        (lambda: Regrow("rigl", EXTRA), "method str: must be a dynamic one"),
        (lambda: Regrow(EMAGrowth(0.5), EXTRA), "method EMAGrowth: needs the step of sparsify's"),
        (lambda: Regrow(RigL(0.5, gradient_batches=2), EXTRA), "method RigL: needs the step"),
        (lambda: Regrow(FlyingBirdPlus(0.5), EXTRA), "method FlyingBirdPlus: needs the step"),
        (lambda: Regrow(RigL(0.5)), "method RigL: needs data"),
        (lambda: Regrow(FlyingBird(0.5)), "method FlyingBird: needs data"),
    ],
)
def test_refuses_methods(make, words):
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.parametrize(
    ("make", "loss", "regrow", "words"),
    [
        (dense_network, LOSS, Regrow(SET(0.5)), "has no masks"),
        (lambda: Own(dense_network()), LOSS, Regrow(SET(0.5)), "has no masks"),
        (KINDS["own"], None, Regrow(RigL(0.5), EXTRA), "loss: must be given"),
        (KINDS["own"], LOSS, Regrow(RigL(0.5, update_interval=2), []), "data: must have batches"),
        (KINDS["sparsify"], LOSS, Regrow(SET(0.5, distribution="global")), "distribution=global"),
        (KINDS["tfmot"], LOSS, Regrow(SET(0.5, structure="block:5x1")), "layer .*hidden"),
    ],
)
def test_refuses_models(make, loss, regrow, words):
    model = make()
    model.compile("sgd", loss)
    with pytest.raises(InputError, match=words):
        fit(model, [regrow], epochs=1)
