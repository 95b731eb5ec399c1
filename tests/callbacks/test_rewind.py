"""Lottery tickets in the course of one fit."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorflow_model_optimization.sparsity import keras as tfmot

from robust_sparse_tf import sparsify
from robust_sparse_tf.callbacks import Rewind
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models import lenet_300_100
from robust_sparse_tf.models.network import network_of
from robust_sparse_tf.procedures import LotteryTicket
from robust_sparse_tf.sparsity import LayerRates, Magnitude, densities, masked_weights
from robust_sparse_tf.training import AdversarialModel

layers = keras.layers
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
ROUND, EPOCHS, EPOCH_STEPS = 2, 6, 4
ENDS = (1, 3)  # epochs at whose end all is rewound; round 2 ends the fit


def dense_network() -> keras.Model:
    """With moving statistics."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((8,)),
            layers.Dense(12, name="hidden"),
            layers.BatchNormalization(name="norm"),
            layers.Activation("relu"),
            layers.Dense(4, name="logits"),
        ]
    )


class Own(keras.Model):
    """A user's model, whose train step knows of no masks, and has a variable of its own."""

    def __init__(self, network: keras.Model) -> None:
        super().__init__()
        self.network = network
        self.scale = tf.Variable(1.0)

    def call(self, inputs, training=None):
        return self.scale * self.network(inputs, training=training)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = LOSS(y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


KINDS: dict[str, Callable[[], keras.Model]] = {
    "sparsify": lambda: sparsify(dense_network()),
    "tfmot": lambda: tfmot.prune_low_magnitude(dense_network()),
    "own": lambda: Own(sparsify(dense_network())),
}
# Rewind step, pruner, and the fractions of the hidden and of the output layer that go a round.
CASES = {
    "initial": (0, None, (0.2, 0.1)),
    "late": (3, None, (0.2, 0.1)),
    "at the end of an epoch": (4, LayerRates(prune_hidden=0.5, prune_output=0.25), (0.5, 0.25)),
    "at the end of the round": (8, None, (0.2, 0.1)),
}
# Each kind of model and each case is in one of the pairs that are looked at each time.
PAIRS = [
    *(("sparsify", case) for case in CASES if case != "late"),
    ("tfmot", "late"),
    ("own", "late"),
    pytest.param(("sparsify", "late"), marks=pytest.mark.slow),
]


def examples() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.normal(size=(32, 8)).astype(np.float32), draw.integers(0, 4, 32)


def fit(model: keras.Model, callbacks: list, **kwargs) -> None:
    kwargs = dict(epochs=EPOCHS, batch_size=8, shuffle=False, verbose=0) | kwargs
    model.fit(*examples(), callbacks=callbacks, **kwargs)


def state_of(model: keras.Model) -> dict:
    """The weights and masks of the network, and the optimizer's variables."""
    network = network_of(model)
    entries = list(masked_weights(network))
    inner = [getattr(layer, "layer", layer) for layer in network.layers]
    return dict(
        weights=[variable.numpy() for layer in inner for variable in layer.weights],
        kernels={entry.name: entry.weight.numpy() for entry in entries},
        masks={entry.name: entry.mask.numpy().astype(bool) for entry in entries},
        optimizer=[variable.numpy() for variable in model.optimizer.variables],
    )


class Watch(keras.callbacks.Callback):
    """Notes the state of the model at the start, after each step and after each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[dict] = []
        self.epochs: list[dict] = []

    def on_train_begin(self, logs=None) -> None:
        self.steps.append(state_of(self.model))

    def on_train_batch_end(self, batch, logs=None) -> None:
        self.steps.append(state_of(self.model))

    def on_epoch_end(self, epoch, logs=None) -> None:
        self.epochs.append(state_of(self.model))


def assert_equal(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def watched(request) -> tuple[str, Watch, Watch]:
    """The case, and the states before and after the callback acts."""
    kind, case = request.param
    rewind_step, pruner, _ = CASES[case]
    model, before, after = KINDS[kind](), Watch(), Watch()
    model.compile(keras.optimizers.Adam(0.01), LOSS)
    model.optimizer.build(model.trainable_variables)
    fit(model, [before, Rewind(ROUND, pruner, rewind_step), after])
    assert (len(after.epochs), len(after.steps)) == (EPOCHS, 1 + EPOCHS * EPOCH_STEPS)
    return case, before, after


def test_weights_that_stay_are_those_of_the_rewind_step(watched):
    """Bit for bit, biases and moving statistics among them; pruned ones are zero."""
    case, _, after = watched
    start = after.steps[CASES[case][0]]
    trained = after.steps[ROUND * EPOCH_STEPS]
    for epoch in ENDS:
        state = after.epochs[epoch]
        by_shape = {mask.shape: mask for mask in state["masks"].values()}
        expected = [value * by_shape.get(value.shape, 1) for value in start["weights"]]
        assert_equal(state["weights"], expected)
    if case != "at the end of the round":
        changes = zip(start["weights"], trained["weights"], strict=True)
        assert all((one != other).any() for one, other in changes)


def test_masks_shrink_by_the_rates(watched):
    """The smallest of the trained weights go, counted by hand."""
    case, before, after = watched
    rates = dict(zip(("hidden", "logits"), CASES[case][2], strict=True))
    for epoch in ENDS:
        trained, state = before.epochs[epoch], after.epochs[epoch]
        for (name, old), rate in zip(trained["masks"].items(), rates.values(), strict=True):
            size = np.abs(trained["kernels"][name])
            count = int(old.sum()) - round(rate * int(old.sum()))
            least = np.sort(size[old])[-count]
            np.testing.assert_array_equal(state["masks"][name], old & (size >= least))
            assert state["masks"][name].sum() == count


def test_optimizer_starts_again(watched):
    _, before, after = watched
    for epoch in ENDS:
        assert_equal(after.epochs[epoch]["optimizer"], after.steps[0]["optimizer"])
        assert int(before.epochs[epoch]["optimizer"][0]) == ROUND * EPOCH_STEPS


def test_other_epochs_leave_all_as_it_is(watched):
    """The last one of all, too."""
    _, before, after = watched
    for epoch in set(range(EPOCHS)) - set(ENDS):
        ours, theirs = after.epochs[epoch], before.epochs[epoch]
        for key in ("weights", "optimizer"):
            assert_equal(ours[key], theirs[key])
        assert_equal(list(ours["masks"].values()), list(theirs["masks"].values()))
    first = after.steps[0]["masks"]
    assert all(mask.all() for mask in first.values())
    assert_equal(
        list(after.epochs[-1]["masks"].values()), list(after.epochs[ENDS[-1]]["masks"].values())
    )


def test_weights_are_masked_after_each_batch(watched):
    _, _, after = watched
    for state in after.steps:
        for name, mask in state["masks"].items():
            assert not state["kernels"][name][~mask].any()


@pytest.mark.parametrize("rewind_step", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_is_the_procedure(digits, rewind_step):
    """The rounds of one fit are those of `LotteryTicket`, to the last bit."""
    rounds, steps, models = 3, 6, []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        model = AdversarialModel(sparsify(lenet_300_100((8, 8, 1), width=0.2)))
        model.compile(keras.optimizers.Adam(0.01), jit_update=False)
        models.append(model)
    ours, theirs = models
    rewind = Rewind(1, LayerRates(prune_hidden=0.4), rewind_step)
    ours.fit(digits[0], epochs=rounds, steps_per_epoch=steps, verbose=0, callbacks=[rewind])
    procedure = LotteryTicket(
        rounds=rounds, iterations=steps, evaluate_every=steps, rewind_step=rewind_step
    )
    records = procedure.run(
        theirs, digits[0], lambda: {}, pruner=LayerRates(prune_hidden=0.4), seed=3
    )
    assert densities(ours.network)[0] == records[-1]["density"] < 0.5
    assert_equal(ours.network.get_weights(), theirs.network.get_weights())


def test_goes_on_from_a_trained_model():
    """Steps are those of the fit, and what it starts from is the first state."""
    model, after = sparsify(dense_network(), Magnitude(0.5)), Watch()
    model.compile(keras.optimizers.Adam(0.01), LOSS)
    fit(model, [], epochs=1)
    fit(model, [Rewind(1, rewind_step=2), after], epochs=2)
    assert int(after.steps[0]["optimizer"][0]) == EPOCH_STEPS
    state, start = after.epochs[0], after.steps[2]
    assert_equal(state["optimizer"], after.steps[0]["optimizer"])
    for name, mask in state["masks"].items():
        np.testing.assert_array_equal(state["kernels"][name], start["kernels"][name] * mask)
        assert mask.sum() < start["masks"][name].sum()


def test_same_callback_again():
    """Another fit begins again."""
    model, rewind, after = sparsify(dense_network()), Rewind(1), Watch()
    model.compile(keras.optimizers.Adam(0.01), LOSS)
    fit(model, [rewind], epochs=2)
    fit(model, [rewind, after], epochs=2)
    for name, mask in after.epochs[0]["masks"].items():
        kernel = after.steps[0]["kernels"][name]
        np.testing.assert_array_equal(after.epochs[0]["kernels"][name], kernel * mask)
        assert (kernel * ~mask).any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0,), "round_epochs=0: must be at least 1"),
        ((-2,), "round_epochs=-2: must be at least 1"),
        ((1, None, -1), "rewind_step=-1: must be at least 0"),
    ],
)
def test_refuses_numbers(arguments, words):
    with pytest.raises(InputError, match=words):
        Rewind(*arguments)


@pytest.mark.parametrize(
    ("make", "rewind", "words"),
    [
        (dense_network, Rewind(1), "has no masks"),
        (
            KINDS["sparsify"],
            Rewind(1, rewind_step=5),
            "rewind_step=5: must be reached in the first",
        ),
        (KINDS["sparsify"], Rewind(1, rewind_step=3), "rewind_step=3: must be a multiple of steps"),
    ],
)
def test_refuses_models(make, rewind, words):
    model = make()
    model.compile("sgd", LOSS, steps_per_execution=2 if "multiple" in words else 1)
    with pytest.raises(InputError, match=words):
        fit(model, [rewind], epochs=3)
