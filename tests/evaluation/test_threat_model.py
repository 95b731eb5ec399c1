"""Evaluations and measures stay inside the threat model, or are refused."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import attacks, evaluate, evaluation
from robust_sparse_tf.attacks import FGSM, Attack, Ball, DeepFool, MinimumNorm, Transfer
from robust_sparse_tf.bounds import logit_bounds, margin_bounds
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import Evaluator

BYTES = Ball("linf", 8.0, 0.0, 255.0)
X = np.random.default_rng(0).uniform(0, 255, [6, 4]).astype(np.float32)
WEIGHTS = np.random.default_rng(1).normal(size=[4, 3]).astype(np.float32)
Y = np.argmax(X @ WEIGHTS, axis=1)


def logits(x: tf.Tensor) -> tf.Tensor:
    return x @ WEIGHTS


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential([layers.Input((4,)), layers.Dense(5, "relu"), layers.Dense(3)])


@pytest.mark.parametrize("name", attacks.BY_NAME)
def test_attacks_of_another_range_are_refused(name):
    """Clipped to [0, 1] they had success at distances far above any epsilon, and so no effect."""
    kind = attacks.BY_NAME[name]
    with pytest.raises(InputError, match=r"attacks\['x'\]: keeps to values in \[0, 1\]; must"):
        evaluate(logits, (X, Y), {"x": kind()}, ball=BYTES)
    wide = Transfer(attack=FGSM(high=255.0), sources=(logits,))
    for attack in (kind(high=255.0), wide):
        with pytest.raises(InputError, match=r"keeps to values in \[0, 255\]; must"):
            evaluate(logits, (X / 255, Y), {"x": attack})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Nearest(MinimumNorm):
    """Returns something else than the nearest example."""

    wrong: float = 0.0

    def perturb(self, model, x, labels, seed):
        return x + self.wrong


class Broken(Attack):
    """Overrides the call that would mend NaN."""

    norm = "linf"
    given = float("nan")

    def __call__(self, model, x, y, **others):
        return self.perturb(model, x, y, (0, 0))

    def perturb(self, model, x, labels, seed):
        return x + self.given


class Smaller(Broken):
    def perturb(self, model, x, labels, seed):
        return x[:, :2]


@pytest.mark.parametrize(
    "attack, words",
    [
        (Nearest(wrong=2.0), "left its threat model .*must stay within inf and"),
        (Nearest(wrong=-2.0), "left its threat model"),
        (Nearest(wrong=float("inf")), "left its threat model"),
        (Broken(), "left its threat model"),
        (Smaller(), r"returned shape \(None, 2\); must return \(None, 4\)"),
    ],
)
def test_what_comes_back_is_checked(attack, words):
    with pytest.raises(InputError, match=f"attack x: {words}"):
        evaluate(logits, (X / 255, Y), {"x": attack}, epsilons=[0.1], check_masking=False)


@pytest.mark.parametrize("shift", [0.2, float("inf"), -2.0])
def test_measures_check_what_comes_back(shift):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Far(FGSM):
        def perturb(self, model, x, labels, seed):
            return x + shift

    with pytest.raises(InputError, match="attack attack: left its threat model for 6 of 6"):
        evaluation.r_inf(logits, (X / 512, Y), Far(epsilon=0.1))
    with pytest.raises(InputError, match="found examples at an infinite distance"):
        evaluation.r_2(logits, (X / 255, Y), Nearest(wrong=float("inf")))


def nan_above(x: tf.Tensor) -> tf.Tensor:
    found = logits(x)
    return tf.where(x[:, :1] > 1, np.nan, found) + 0 * found


def test_models_without_logits_for_some_images():
    """Beyond those that are looked at first."""
    x = np.tile(X / 255, [10, 1])
    x[50:, 0] = 2
    data = x, np.tile(Y, 10)
    with pytest.raises(InputError, match="returns NaN for 10 of 60 images"):
        evaluate(nan_above, data, {"x": FGSM(high=2.0)}, ball=Ball("linf", 0.1, 0.0, 2.0))


ON_INPUTS = {
    "logit_bounds": lambda m, x, ball: logit_bounds(m, x, ball),
    "margin_bounds": lambda m, x, ball: margin_bounds(m, x, Y, ball),
    "safe_distance": lambda m, x, ball: evaluation.safe_distance(m, x, ball),
    "local_lipschitz": lambda m, x, ball: evaluation.local_lipschitz(m, x, ball),
    "clever": lambda m, x, ball: evaluation.clever(m, x, ball, batches=2, samples=2),
    "certified_accuracy": lambda m, x, ball: evaluation.certified_accuracy(m, (x, Y), ball=ball),
}
WRONG = {"bytes": X, "signed": X / 128 - 1, "no number": X * np.nan, "integers": X.astype(np.uint8)}


@pytest.mark.parametrize("measure", ON_INPUTS)
@pytest.mark.parametrize("case", WRONG)
def test_certificates_are_of_inputs_in_the_range(measure, case, network):
    """Outside the box around them is empty, and examples were certified that one step fools."""
    with pytest.raises(InputError, match="must be"):
        ON_INPUTS[measure](network, WRONG[case], Ball("linf", 0.05))


@pytest.mark.parametrize("measure", ON_INPUTS)
@pytest.mark.parametrize("positional", [False, True])
def test_certificates_are_of_layers_at_inference(measure, positional):
    """Those of a dropout that is always on held for no network."""
    inputs = keras.Input((4,))
    drop, training = keras.layers.Dropout(0.5), {} if positional else {"training": True}
    dropped = drop(keras.layers.Dense(8, "relu")(inputs), *[True] * positional, **training)
    model = keras.Model(inputs, keras.layers.Dense(3)(dropped))
    with pytest.raises(InputError, match="called with training=True|returns other logits each"):
        ON_INPUTS[measure](model, X / 255, Ball("linf", 0.1))


def test_tells_of_examples_that_mix():
    def centred(x: tf.Tensor) -> tf.Tensor:
        return logits(x - tf.reduce_mean(x, axis=0))

    attack = {"fgsm": FGSM(epsilon=0.1)}
    for model, mixed in ((centred, 1), (logits, 0)):
        report = evaluate(model, (X / 255, Y), attack, check_masking=False)
        assert len([line for line in report.warnings if "mixed examples" in line]) == mixed


def test_certificates_in_a_graph(network):
    ball = Ball("linf", 0.05)
    bounds = tf.function(lambda x: margin_bounds(network, x, Y, ball), autograph=False)
    np.testing.assert_allclose(bounds(X / 255), margin_bounds(network, X / 255, Y, ball), rtol=1e-4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="images of values"):
        bounds(tf.constant(X))


@pytest.mark.parametrize(
    "measure",
    [
        *sorted(ON_INPUTS.keys() - {"clever", "certified_accuracy"}),
        pytest.param("certified_accuracy", marks=pytest.mark.slow),  # made of margin_bounds
    ],
)
def test_certificates_in_the_range_of_bytes(measure, network):
    """As in [0, 1] of the network whose first layer is scaled; a rounding error is none."""
    layers = keras.layers
    scaled = keras.Sequential([layers.Input((4,)), layers.Rescaling(1 / 255), *network.layers])
    found = ON_INPUTS[measure](scaled, np.maximum(X, 255 * 1.0000001 * (X > 250)), BYTES)
    expected = ON_INPUTS[measure](network, X / 255, Ball("linf", 8 / 255))
    factor = {"safe_distance": 255, "local_lipschitz": 1 / 255}.get(measure, 1)
    np.testing.assert_allclose(found, factor * np.array(expected), rtol=0.1, atol=0.02)


@pytest.mark.parametrize(
    "measure",
    [
        lambda data: Evaluator(logits, {"fgsm": FGSM()})(data),
        lambda data: evaluation.r_inf(logits, data, FGSM()),
        lambda data: evaluation.r_2(logits, data, DeepFool()),
        lambda data: evaluate(logits, data, {"fgsm": FGSM()}),
    ],
)
@pytest.mark.parametrize("case", WRONG)
def test_attacks_are_on_inputs_in_the_range(measure, case):
    with pytest.raises(InputError, match="must be"):
        measure((WRONG[case], Y))
