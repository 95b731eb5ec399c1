"""Steps of objectives with a clean and an adversarial loss: equal results, and their cost."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from adversarial_models import ATTACKS, FGSM_ATTACK, robust, values

from robust_sparse_tf import models
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.training import AdversarialModel, gradients
from robust_sparse_tf.training.objectives import Adversarial, Clean, Mixed

layers = keras.layers


class Counted(layers.ReLU):
    """A ReLU that counts its passes, forwards and backwards, when they are run."""

    counts = np.zeros(2, int)

    def call(self, inputs):
        @tf.custom_gradient
        def counted(x):
            return passed(0, tf.nn.relu(x)), lambda up: passed(1, tf.where(x > 0, up, 0.0))

        return counted(inputs)


def passed(place: int, x: tf.Tensor) -> tf.Tensor:
    def count(value):
        Counted.counts[place] += 1
        return value

    return tf.ensure_shape(tf.numpy_function(count, [x], tf.float32), x.shape)


def counted_network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(8),
            Counted(),
            layers.Dense(10),
        ]
    )


@pytest.mark.parametrize(
    ("attack", "objective", "metrics", "passes"),
    [
        # clean, 3 attack steps, adversarial
        ("pgd_random", Mixed(), ["accuracy"], (5, 5)),
        ("pgd_random", Mixed(), None, (5, 5)),
        ("pgd_random", Adversarial(), ["accuracy"], (5, 4)),
        ("pgd_random", Adversarial(), None, (4, 4)),
        ("pgd_random", Mixed(clean_weight=0.0), None, (4, 4)),
        # the first step shares the clean pass
        ("pgd", Adversarial(), ["accuracy"], (4, 4)),
        ("pgd", Adversarial(), None, (4, 4)),
        ("pgd_predicted", Adversarial(), None, (5, 4)),
        ("natural", Mixed(), None, (1, 1)),
        ("pgd", Clean(), ["accuracy"], (1, 1)),
    ],
)
def test_passes_of_a_step(attack, objective, metrics, passes, batch, monkeypatch):
    pure = (*gradients.passes._PURE_LAYERS, Counted)
    monkeypatch.setattr(gradients.passes, "_PURE_LAYERS", pure)
    model = robust(counted_network(), ATTACKS[attack], objective, metrics=metrics, run_eagerly=True)
    Counted.counts[:] = 0
    model.train_on_batch(*batch)
    assert tuple(Counted.counts) == passes


@pytest.mark.parametrize("attack", ["fgsm", "pgd_random", "pgd_predicted"])
def test_adversarial_is_mixed_without_its_clean_part(attack, make_lenet, batch):
    """Whether or not the clean accuracy is reported."""
    results = []
    for objective, metrics in (
        (Mixed(clean_weight=0.0), ["accuracy"]),
        (Adversarial(), ["accuracy"]),
        (Adversarial(), None),
    ):
        model = robust(make_lenet(), ATTACKS[attack], objective, metrics=metrics, run_eagerly=True)
        logs = model.train_on_batch(*batch, return_dict=True)
        assert ("accuracy" in logs) == (metrics is not None)
        logs.pop("accuracy", None)
        results.append((logs, values(model.network)))
    for logs, weights in results[1:]:
        assert logs == pytest.approx(results[0][0], rel=1e-6)
        for one, other in zip(weights, results[0][1], strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_running_averages_still_see_clean_images(batch):
    """By default the clean pass moves them, even if nothing else needs it."""
    moved = []
    for weight in (0.0, 0.5):
        keras.utils.set_random_seed(0)
        network = keras.Sequential(
            [
                layers.Input((8, 8, 1)),
                layers.Flatten(),
                layers.BatchNormalization(momentum=0.5),
                layers.Dense(10),
            ]
        )
        model = robust(network, FGSM_ATTACK, Mixed(clean_weight=weight), run_eagerly=True)
        model.train_on_batch(*batch)
        moved.append(network.layers[1].moving_mean.numpy())
    np.testing.assert_array_equal(*moved)
    assert np.any(moved[0] != 0)


def test_clean_trains_like_no_attack(make_lenet, batch):
    results = []
    for attack, objective in ((FGSM_ATTACK, Clean()), (None, Mixed())):
        model = robust(make_lenet(), attack, objective, metrics=["accuracy"], run_eagerly=True)
        logs = model.train_on_batch(*batch, return_dict=True)
        tested = model.test_on_batch(*batch, return_dict=True)
        assert set(logs) == set(tested) == {"loss", "accuracy"}
        results.append((logs, tested, values(model.network)))
    for one, other in zip(*results, strict=True):
        np.testing.assert_equal(one, other)


def test_no_attack():
    network = models.lenet_300_100((8, 8, 1))
    with pytest.raises(InputError, match="^attack=None: must be an attack with Adversarial$"):
        AdversarialModel(network, None, Adversarial())


def test_objectives_are_saved(tmp_path, batch):
    model = robust(models.lenet_300_100((8, 8, 1)), FGSM_ATTACK, Adversarial(label_smoothing=0.1))
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").objective == model.objective
