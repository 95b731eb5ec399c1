"""Batch normalization in the attack, and which passes move its running averages."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from adversarial_models import FGSM_ATTACK, PGD_ATTACK, robust, values

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.training import AdversarialModel, StepOptions
from robust_sparse_tf.training.gradients import running_averages
from robust_sparse_tf.training.objectives import Adversarial, Mart, Mixed, Trades

layers = keras.layers
MOMENTUM = 0.75


def normalised(fused=True) -> keras.Model:
    keras.utils.set_random_seed(0)
    shape = (8, 8, 1) if fused else (64,)
    norm = layers.BatchNormalization(momentum=MOMENTUM, name="norm")
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Reshape(shape),
            layers.Conv2D(3, 3) if fused else layers.Dense(6),
            norm,
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def averages(network):
    norm = network.get_layer("norm")
    return norm.moving_mean.numpy(), norm.moving_variance.numpy()


def moved(network, *batches):
    """The running averages after passes of batches in training mode, by NumPy."""
    mean, variance = averages(network)
    before = keras.Model(network.inputs, network.get_layer("norm").input)
    fused = len(before.output_shape) == 4
    for images in batches:
        inner = before(images).numpy().astype(np.float64).reshape(-1, before.output_shape[-1])
        mean = MOMENTUM * mean + (1 - MOMENTUM) * inner.mean(axis=0)
        variance = MOMENTUM * variance + (1 - MOMENTUM) * inner.var(axis=0, ddof=int(fused))
    return mean, variance


def model_with(network, options, objective=None, attack=FGSM_ATTACK, **compiled):
    model = AdversarialModel(network, attack, objective, seed=5, step_options=options)
    model.compile(keras.optimizers.SGD(0.1), jit_update=False, **compiled)
    return model


@pytest.mark.parametrize("objective", [Mixed(), Adversarial(), Mart()])
@pytest.mark.parametrize("statistics", ["both", "clean", "adversarial"])
@pytest.mark.parametrize("fused", [True, False])
def test_which_passes_move_running_averages(statistics, fused, objective, batch):
    network, twin, (x, y) = normalised(fused), normalised(fused), batch
    if statistics == "both" and not isinstance(objective, Mart):
        twin(x, training=True)  # the clean pass comes before the attack
    adversarial = FGSM_ATTACK(lambda inputs: twin(inputs, training=False), x, y)
    passes = {"both": [x, adversarial], "clean": [x], "adversarial": [adversarial]}
    expected = moved(network, *passes[statistics])
    options = StepOptions(bn_statistics=statistics)
    model_with(network, options, objective, run_eagerly=not fused).train_on_batch(x, y)
    for own, wanted in zip(averages(network), expected, strict=True):
        np.testing.assert_allclose(own, wanted, rtol=1e-4, atol=1e-5)


def test_without_an_attack_the_clean_pass_moves_them(batch):
    network, (x, y) = normalised(), batch
    expected = moved(network, x)
    options = StepOptions(bn_statistics="adversarial")
    model_with(network, options, attack=None).train_on_batch(x, y)
    np.testing.assert_allclose(averages(network), expected, rtol=1e-4, atol=1e-5)


def test_attack_with_batch_statistics(batch):
    """Its examples are those of the network in training mode, whose averages it leaves."""
    seen, (x, y) = [], batch

    class Watched(type(PGD_ATTACK)):
        def ascend(self, *args, **kwargs):
            seen.append(super().ascend(*args, **kwargs))
            return seen[-1]

    attack = Watched(epsilon=0.1, step_size=0.04, steps=3)
    examples = {}
    for mode in ("inference", "training"):
        network = normalised()
        before = averages(network)
        options = StepOptions(bn_attack=mode, bn_statistics="clean")
        expected = moved(network, x)
        plain = normalised()
        examples[mode] = PGD_ATTACK(
            lambda inputs, mode=mode, plain=plain: plain(inputs, training=mode == "training"), x, y
        )
        # With MART, no pass in training mode comes before the attack.
        model_with(network, options, Mart(), attack, run_eagerly=True).train_on_batch(x, y)
        np.testing.assert_allclose(seen[-1], examples[mode], atol=1e-6)
        np.testing.assert_allclose(averages(network), expected, rtol=1e-4, atol=1e-5)
        assert np.any(before[0] != averages(network)[0])
    assert np.abs(examples["inference"] - examples["training"]).max() > 0.01


def test_averages_are_held_bit_for_bit(batch):
    network = normalised()
    network(batch[0], training=True)
    before = averages(network)
    with running_averages.held(network):
        network(batch[0], training=True)
        tf.function(lambda: network(batch[0] + 0.5, training=True))()
    np.testing.assert_array_equal(averages(network), before)
    assert network.get_layer("norm").momentum == MOMENTUM
    with running_averages.held(network, hold=False):
        network(batch[0], training=True)
    assert np.any(averages(network)[0] != before[0])


def test_adversarial_statistics_spare_the_clean_pass(batch):
    """Neither a metric nor running averages need it then; the weights are the same."""
    calls, results = [], []

    class Watched(layers.Flatten):
        def call(self, inputs):
            calls.append(0)
            return super().call(inputs)

    for metrics in (["accuracy"], None):
        keras.utils.set_random_seed(0)
        network = keras.Sequential(
            [layers.Input((8, 8, 1)), Watched(), layers.BatchNormalization(), layers.Dense(10)]
        )
        options = StepOptions(bn_statistics="adversarial")
        model = model_with(network, options, Adversarial(), metrics=metrics, run_eagerly=True)
        calls.clear()
        model.train_on_batch(*batch)
        results.append((len(calls), values(network)))
    assert results[0][0] == results[1][0] + 1
    for one, other in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_defaults_change_no_bit(batch):
    results = []
    for options in (None, StepOptions(), StepOptions(bn_attack="inference", bn_statistics="both")):
        model = model_with(normalised(), options, attack=PGD_ATTACK)
        model.train_on_batch(*batch)
        results.append(values(model.network))
    np.testing.assert_equal(results[1], results[0])
    np.testing.assert_equal(results[2], results[0])


def test_options_are_saved(tmp_path):
    options = StepOptions(bn_attack="training", bn_statistics="clean")
    model = robust(normalised(), FGSM_ATTACK)
    assert model.step_options == StepOptions()
    model = model_with(normalised(), options, Trades(), PGD_ATTACK)
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").step_options == options


def test_files_of_before_the_options(batch):
    config = robust(normalised(), FGSM_ATTACK).get_config()
    del config["step_options"]
    assert AdversarialModel.from_config(config).step_options == StepOptions()


@pytest.mark.parametrize("wrong", ["both", {"bn_attack": "training"}, StepOptions])
def test_refused(wrong):
    with pytest.raises(InputError, match="^step_options=.*: must be a StepOptions"):
        AdversarialModel(normalised(), FGSM_ATTACK, step_options=wrong)
