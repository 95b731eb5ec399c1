import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.training.inverse_decay import InverseDecay
from robust_sparse_tf.training.optimizers import OptimizerOptions

SCHEDULES = {
    "CosineDecay": dict(decay_steps=10, alpha=0.1, warmup_target=0.9, warmup_steps=2),
    "CosineDecayRestarts": dict(first_decay_steps=3),
    "ExponentialDecay": dict(decay_steps=4, decay_rate=0.5, staircase=True),
    "InverseTimeDecay": dict(decay_steps=2, decay_rate=0.3),
    "PiecewiseConstantDecay": dict(boundaries=[3, 6], values=[0.5, 0.1, 0.01]),
    "PolynomialDecay": dict(decay_steps=8, end_learning_rate=0.01, power=2.0),
}


@pytest.mark.parametrize(
    "name, kind",
    [
        ("adam", keras.optimizers.Adam),
        ("adamw", keras.optimizers.AdamW),
        ("sgd", keras.optimizers.SGD),
        ("rmsprop", keras.optimizers.RMSprop),
    ],
)
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_optimizers_by_name(name, kind, weight_decay):
    made = OptimizerOptions(
        optimizer=name, learning_rate=0.05, momentum=0.7, weight_decay=weight_decay
    ).build()
    config = made.get_config()
    assert type(made) is kind
    assert float(made.learning_rate) == pytest.approx(0.05)
    assert (config["weight_decay"] or 0) == weight_decay
    if name == "sgd":
        assert config["momentum"] == 0.7


def test_nesterov():
    """The formula: v = m v - rate g; w += m v - rate g, with g = 1."""
    made = OptimizerOptions(optimizer="sgd", learning_rate=0.1, momentum=0.5, nesterov=True).build()
    weight, velocity, expected = tf.Variable([2.0]), 0.0, 2.0
    for _ in range(3):
        made.apply_gradients([(tf.ones(1), weight)])
        velocity = 0.5 * velocity - 0.1
        expected += 0.5 * velocity - 0.1
        np.testing.assert_allclose(weight, [expected], rtol=1e-6)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "rmsprop"])
def test_weight_decay_is_decoupled(name):
    """Without a gradient a step takes rate x decay of the weight away, and nothing else."""
    made = OptimizerOptions(optimizer=name, learning_rate=0.1, weight_decay=0.5).build()
    weight = tf.Variable([2.0, -4.0])
    made.apply_gradients([(tf.zeros(2), weight)])
    np.testing.assert_allclose(weight, [1.9, -3.8], rtol=1e-6)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "rmsprop"])
def test_l2_is_part_of_the_gradient(name):
    """As an optimizer without it that is given the sum, moments and all."""
    options = dict(optimizer=name, learning_rate=0.1)
    coupled = OptimizerOptions(l2=0.25, **options).build()
    plain = OptimizerOptions(**options).build()
    first, second = tf.Variable([2.0, -4.0]), tf.Variable([2.0, -4.0])
    for number in range(4):
        gradient = tf.constant([0.3 * number, 0.1])
        coupled.apply_gradients([(gradient, first)])
        plain.apply_gradients([(gradient + 0.25 * second, second)])
    np.testing.assert_array_equal(first, second)
    assert np.all(np.abs(first.numpy()) < [2, 4])


def test_the_l1_norm_is_of_kernels():
    """The sign of each weight, of those that are zero none; biases cost nothing."""
    made = OptimizerOptions(optimizer="sgd", momentum=0.0, learning_rate=0.5, weight_l1=0.2).build()
    kernel, bias = tf.Variable([[2.0, -3.0, 0.0]]), tf.Variable([2.0, -3.0])
    made.apply_gradients([(tf.ones([1, 3]), kernel), (tf.ones(2), bias)])
    np.testing.assert_allclose(kernel, [[1.4, -3.4, -0.5]], rtol=1e-6)
    np.testing.assert_allclose(bias, [1.5, -3.5], rtol=1e-6)


def test_sgd_is_caffes():
    """V = 0.9 V - rate (gradient + decay w), w += V, rate = 0.01 (1 + 1e-4 t)^-0.75, by hand."""
    made = OptimizerOptions(
        optimizer="sgd", learning_rate=0.01, l2=5e-4, learning_rate_schedule="InverseDecay"
    ).build()
    weight, expected, velocity = tf.Variable([2.0, -3.0]), np.array([2.0, -3.0]), np.zeros(2)
    for step in range(5):
        gradient = np.array([0.5, -0.1]) * step
        made.apply_gradients([(tf.constant(gradient, tf.float32), weight)])
        rate = 0.01 * (1 + 1e-4 * step) ** -0.75
        velocity = 0.9 * velocity - rate * (gradient + 5e-4 * expected)
        expected = expected + velocity
    np.testing.assert_allclose(weight, expected, rtol=1e-6)


def test_inverse_decay():
    made = InverseDecay(0.01, gamma=1e-4, power=0.75)
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(made))
    for schedule in (made, again):
        rates = [float(schedule(step)) for step in (0, 10_000, 50_000)]
        np.testing.assert_allclose(rates, [0.01, 0.01 * 2**-0.75, 0.01 * 6**-0.75], rtol=1e-5)


def test_the_table_of_schedules_is_complete():
    public = {
        name
        for name, value in vars(keras.optimizers.schedules).items()
        if isinstance(value, type) and name != "LearningRateSchedule"
    }
    assert set(SCHEDULES) == public


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_by_name(name):
    arguments = SCHEDULES[name]
    made = OptimizerOptions(
        learning_rate=0.5,
        learning_rate_schedule=name,
        learning_rate_arguments=json.dumps(arguments),
    ).build()
    if name != "PiecewiseConstantDecay":
        arguments = dict(initial_learning_rate=0.5, **arguments)
    oracle = getattr(keras.optimizers.schedules, name)(**arguments)
    weight, rates = tf.Variable([1.0]), []
    made.build([weight])
    for step in range(8):
        expected = float(oracle(max(0, step - 1)))
        assert float(made.learning_rate) == pytest.approx(expected)
        made.apply_gradients([(tf.ones(1), weight)])
        rates.append(float(made.learning_rate))
    assert len(set(rates)) > 1


def test_initial_rate_can_be_given_among_the_arguments():
    arguments = dict(initial_learning_rate=3.0, decay_steps=1, decay_rate=0.5)
    made = OptimizerOptions(
        learning_rate_schedule="ExponentialDecay", learning_rate_arguments=json.dumps(arguments)
    ).build()
    made.build([])
    assert float(made.learning_rate) == 3


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(optimizer="lion"), "optimizer=lion: must be one of adam, adamw, sgd, rmsprop"),
        (dict(learning_rate=0.0), "learning_rate=0.0: must be above 0"),
        (dict(learning_rate=float("nan")), "learning_rate=nan: must be above 0"),
        (dict(momentum=1.1), "momentum=1.1: must be"),
        (dict(weight_decay=-1e-4), "weight_decay=-0.0001: must be at least 0"),
        (dict(l2=-1e-4), "l2=-0.0001: must be at least 0"),
        (dict(weight_l1=-1e-4), "weight_l1=-0.0001: must be at least 0"),
        (
            dict(learning_rate_schedule="Linear"),
            "learning_rate_schedule=Linear: must be one of CosineDecay, .*PolynomialDecay",
        ),
        (dict(learning_rate_schedule="LearningRateSchedule"), "must be one of CosineDecay"),
        (dict(learning_rate_schedule="deserialize"), "must be one of CosineDecay"),
    ]
    + [
        (
            dict(learning_rate_schedule="CosineDecay", learning_rate_arguments=arguments),
            "learning_rate_arguments=.*: not arguments of CosineDecay",
        )
        for arguments in ("", "{", "[1]", "7", "null", "{}", '{"steps": 5}', '{"decay_steps": "x"}')
    ],
)
def test_options_refuse(arguments, words):
    with pytest.raises(InputError, match=words):
        OptimizerOptions(**arguments).build()
