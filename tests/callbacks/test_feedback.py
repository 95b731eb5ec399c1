"""What Flying Bird+ is told after each epoch."""

import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import sparsify
from robust_sparse_tf.attacks import FGSM
from robust_sparse_tf.callbacks import FlyingBirdFeedback
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.models import lenet_300_100
from robust_sparse_tf.sparsity import FlyingBird, FlyingBirdPlus, densities
from robust_sparse_tf.training import AdversarialModel

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def network(method=None, **options) -> keras.Model:
    keras.utils.set_random_seed(0)
    dense = lenet_300_100((8, 8, 1), width=0.1)
    return sparsify(dense, FlyingBirdPlus(0.3, **options) if method is None else method)


def logs_of(loss: float, gap: float, name: str = "accuracy") -> dict[str, float]:
    return {"val_loss": loss, name: 0.5 + gap, f"val_{name}": 0.5}


FALLING = [5.0, 4.0, 3.0, 2.0, 1.0]
NONE = [0.0] * 5

# Options, validation losses, gaps, and (grow more, drop more) after the last epoch.
TABLE = {
    "one epoch": ({}, [1.0], [0.25], (0, 0)),
    "falls": ({}, FALLING[:2], NONE[:2], (0, 0)),
    "stands": ({}, [1.0, 1.0], NONE[:2], (1, 0)),
    "rises": ({}, [1.0, 2.0], NONE[:2], (1, 0)),
    "widens": ({}, FALLING[:2], [0.0, 0.25], (0, 1)),
    "gap stands": ({}, FALLING[:2], [0.25, 0.25], (0, 0)),
    "narrows": ({}, FALLING[:2], [0.25, 0.0], (0, 0)),
    "negative gap narrows": ({}, FALLING[:2], [-0.25, -0.125], (0, 1)),
    "both": ({}, [1.0, 2.0], [0.0, 0.25], (1, 1)),
    "half of the window": ({}, [1.0, 2.0, 1.0, 2.0, 1.0], NONE, (1, 0)),
    "less than half": ({}, [1.0, 2.0, 1.0, 0.5, 0.25], NONE, (0, 0)),
    "gap in half of it": ({}, FALLING, [0.0, 0.25, 0.0, 0.25, 0.0], (0, 1)),
    "gap in less": ({}, FALLING, [0.0, 0.25, 0.125, 0.0, 0.0], (0, 0)),
    "before the window": ({}, [1.0, 2.0, 3.0, *FALLING[1:], 0.5], [0.0] * 8, (0, 0)),
    "window of one": ({"feedback_window": 1}, [3.0, 2.0, 2.5], [0.25, 0.0, 0.25], (1, 1)),
    "window of one, past": ({"feedback_window": 1}, [1.0, 2.0, 1.5], [0.0, 0.25, 0.0], (0, 0)),
    "wide window": ({"feedback_window": 8}, [1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 1.0], [0.0] * 7, (1, 0)),
    "all must agree": ({"feedback_threshold": 1.0}, [1.0, 2.0, 3.0, 2.5], NONE[:4], (0, 0)),
    "all agree": ({"feedback_threshold": 1.0}, [1.0, 2.0, 3.0, 3.0], NONE[:4], (1, 0)),
    "none need agree": ({"feedback_threshold": 0.0}, FALLING[:2], NONE[:2], (1, 1)),
}


@pytest.fixture(scope="module")
def networks() -> dict[str, keras.Model]:
    """By their options, made when they are needed."""
    return {}


@pytest.mark.parametrize("name", TABLE)
def test_truth_table(name, networks):
    options, losses, gaps, expected = TABLE[name]
    if str(options) not in networks:
        networks[str(options)] = network(**options)
    model, feedback = networks[str(options)], FlyingBirdFeedback()
    model.feedback.assign([0, 0])
    feedback.set_model(model)
    for epoch, figures in enumerate(zip(losses, gaps, strict=True)):
        feedback.on_epoch_end(epoch, logs_of(*figures))
    assert tuple(model.feedback.numpy()) == expected


def test_robust_accuracies_count_where_there_are_any():
    model, feedback = network(), FlyingBirdFeedback()
    feedback.set_model(model)
    for epoch, gap in enumerate((0.0, 0.25)):
        clean, robust = logs_of(1.0, -gap), logs_of(2.0 - epoch, gap, "robust_accuracy")
        feedback.on_epoch_end(epoch, clean | robust)
    assert tuple(model.feedback.numpy()) == (0, 1)


def expected_feedback(history: dict, name: str) -> list[float]:
    """Both of the last two, or the only one, by hand."""
    gaps = np.subtract(history[name], history[f"val_{name}"])
    stands = np.diff(history["val_loss"])[-2:] >= 0
    widens = np.diff(gaps)[-2:] > 0
    return [float(signs.all()) for signs in (stands, widens)]


@pytest.mark.parametrize("kind", ["robust", pytest.param("plain", marks=pytest.mark.slow)])
def test_after_fit(kind, digits):
    """After each epoch the model knows what its history says; density follows it."""
    sparse = network(
        update_interval=2,
        extra_growth=0.5,
        extra_drop=0.0,
        feedback_window=2,
        feedback_threshold=1.0,
    )
    if kind == "robust":
        model, name = AdversarialModel(sparse, FGSM(epsilon=0.1)), "robust_accuracy"
        model.compile(keras.optimizers.Adam(0.3), metrics=["accuracy"], jit_update=False)
    else:
        model, name = sparse, "accuracy"
        model.compile(keras.optimizers.Adam(0.3), LOSS, metrics=["accuracy"])
    told, kept = [], []

    def note(epoch, logs) -> None:
        told.append(sparse.feedback.numpy().tolist())
        kept.append(densities(sparse)[0])

    history = model.fit(
        digits[0],
        validation_data=digits[1].first(60),
        epochs=7,
        steps_per_epoch=2,
        verbose=0,
        callbacks=[FlyingBirdFeedback(), keras.callbacks.LambdaCallback(on_epoch_end=note)],
    ).history
    assert told[0] == [0, 0]
    for epoch in range(1, 7):
        seen = {key: values[: epoch + 1] for key, values in history.items()}
        assert told[epoch] == expected_feedback(seen, name)
    assert {grow for grow, _ in told} == {0, 1}  # else the next lines would say little
    assert kept[0] == pytest.approx(0.3, abs=1e-3)
    for (grow, _), old, new in zip(told, kept, kept[1:], strict=False):
        assert (new > old) if grow else (new == old)


@pytest.mark.parametrize(
    ("make", "logs", "words"),
    [
        (lambda: network(FlyingBird(0.3)), logs_of(1, 0), "method FlyingBird: must be Flying"),
        (
            lambda: lenet_300_100((8, 8, 1)),
            logs_of(1, 0),
            "method NoneType: must be FlyingBirdPlus",
        ),
        (network, {"accuracy": 0.5}, "needs validation_data"),
        (network, {"loss": 1.0, "val_loss": 1.0}, "metrics=.'accuracy'. or an attack"),
        (
            network,
            {"robust_accuracy": 0.5, "accuracy": 0.5, "val_accuracy": 0.5},
            "validation_data",
        ),
        (network, None, "needs validation_data"),
    ],
)
def test_refuses(make, logs, words):
    feedback = FlyingBirdFeedback()
    feedback.set_model(make())
    with pytest.raises(InputError, match=words):
        feedback.on_epoch_end(0, logs)
