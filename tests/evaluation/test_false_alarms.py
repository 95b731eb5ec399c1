"""Honest networks raise no warning; known illusions raise that of the check meant for them.

Tiny networks on digits. Evaluations run eagerly, as tracing would take longer than the attacks.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import evaluate, models, sparsity
from robust_sparse_tf.attacks import FGSM, PGD, Attack
from robust_sparse_tf.callbacks import CatastrophicOverfitting
from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.evaluation import Report
from robust_sparse_tf.training import AdversarialModel, Mixed

pytestmark = pytest.mark.slow

EPSILON = 0.1
STRONG = PGD(epsilon=EPSILON, steps=10, random_start=True)
Model = Callable[[tf.Tensor], tf.Tensor]


@pytest.fixture(autouse=True)
def _eagerly() -> Iterator[None]:
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def network() -> keras.Sequential:
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(100, activation="relu") for _ in range(2)]
    return keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), *hidden, keras.layers.Dense(10)]
    )


def fitted(digits, attack=None, model=None, steps=300, rate=2e-3, clean=0.5, callbacks=()):
    tf.config.run_functions_eagerly(False)
    model = AdversarialModel(model or network(), attack, Mixed(clean_weight=clean))
    model.compile(keras.optimizers.Adam(rate), jit_update=False, steps_per_execution=50)
    model.fit(digits[0], epochs=1, steps_per_epoch=steps, verbose=0, callbacks=list(callbacks))
    return model.network


def stepped(digits, loss: Callable[..., tf.Tensor], steps: int) -> keras.Sequential:
    """A network after steps of Adam on loss(network, images, labels, fraction of the steps)."""
    tf.config.run_functions_eagerly(False)
    model, optimizer = network(), keras.optimizers.Adam(2e-3)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(numbers: tf.Tensor, share: tf.Tensor) -> None:
        x, y = digits[0].gather(numbers)
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(model, x, y, share))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    drawn = np.random.default_rng(0)
    for number in range(steps):
        step(tf.constant(drawn.integers(digits[0].size, size=100)), tf.constant(number / steps))
    return model


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def trades(model, x, y, share) -> tf.Tensor:
    """Cross-entropy, and 6 times the divergence of the predictions under attack."""
    attacked = PGD(epsilon=EPSILON, steps=4, random_start=True)(model, x, y)
    clean, robust = model(x), model(attacked)
    gap = tf.nn.log_softmax(clean) - tf.nn.log_softmax(robust)
    return cross_entropy(y, clean) + 6 * tf.reduce_sum(tf.nn.softmax(clean) * gap, axis=1)


def interval_bounds(model, x, y, share) -> tf.Tensor:
    """Half the cross-entropy, half that of the worst logits in a ball that grows."""
    radius = EPSILON * tf.minimum(1.0, 2 * tf.cast(share, tf.float32))
    low, high = (tf.reshape(tf.clip_by_value(x + r, 0, 1), [-1, 64]) for r in (-radius, radius))
    for layer in model.layers[1:]:
        middle, half = (low + high) / 2, (high - low) / 2
        middle = middle @ layer.kernel + layer.bias
        half = half @ tf.abs(layer.kernel)
        low, high = layer.activation(middle - half), layer.activation(middle + half)
    label = tf.one_hot(y, 10, on_value=True, off_value=False)
    return (cross_entropy(y, model(x)) + cross_entropy(y, tf.where(label, low, high))) / 2


@pytest.fixture(scope="module")
def natural(digits):
    return fitted(digits)


@pytest.fixture(scope="module")
def robust(digits):
    return fitted(digits, PGD(epsilon=EPSILON, steps=4, random_start=True))


def noisy(model: Model, deviation: float) -> Model:
    drawn = tf.random.Generator.from_seed(0)
    return lambda x: model(x + deviation * drawn.normal(tf.shape(x)))


def report_of(model, split: Split, attack: Attack = STRONG, **options) -> Report:
    return evaluate(model, split, {"attack": attack}, verbose=False, **options)


def sparse(digits) -> keras.Sequential:
    method = sparsity.RigL(density=0.2, update_interval=20, stop_step=200)
    attack = PGD(epsilon=EPSILON, steps=4, random_start=True)
    return fitted(digits, attack, sparsity.sparsify(network(), method))


HONEST: dict[str, tuple[Callable[..., Model], Attack]] = {
    "natural": (lambda digits, natural, robust: natural, STRONG),
    "pgd": (lambda digits, natural, robust: robust, STRONG),
    "trades": (lambda digits, natural, robust: stepped(digits, trades, 300), STRONG),
    "ibp": (lambda digits, natural, robust: stepped(digits, interval_bounds, 1200), STRONG),
    "sparse": (lambda digits, natural, robust: sparse(digits), STRONG),
    "noisy": (
        lambda digits, natural, robust: noisy(robust, 0.1),
        PGD(epsilon=EPSILON, steps=10, random_start=True, draws=8),
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_networks_raise_nothing(name, digits, natural, robust):
    make, attack = HONEST[name]
    model = make(digits, natural, robust)
    tf.config.run_functions_eagerly(True)
    report = report_of(model, digits[2], attack, training=digits[0])
    assert report.accuracy("clean") > 0.85
    assert report.warnings == []


def test_noise_alone_raises_only_its_own(digits, natural):
    found = report_of(noisy(natural, 0.2), digits[2], PGD(epsilon=0.05, random_start=True))
    assert [line.split(":")[0] for line in found.warnings] == ["noise at inference"]


def shaded(x: tf.Tensor) -> tf.Tensor:
    """An image in 17 shades, by a function of NumPy, which has no derivative."""
    return tf.ensure_shape(tf.numpy_function(lambda v: np.rint(16 * v) / 16, [x], x.dtype), x.shape)


# A model made of an honest one, an attack, and the check that must fail.
ILLUSIONS: dict[str, tuple[Callable[[keras.Sequential], Model], Attack, str]] = {
    "quantised input": (lambda net: lambda x: net(tf.round(8 * x) / 8), STRONG, "no gradient"),
    "non-differentiable front": (lambda net: lambda x: net(shaded(x)), STRONG, "no gradient"),
    "noise without EOT": (lambda net: noisy(net, 0.2), STRONG, "noise at inference"),
    "temperature of 1e3": (lambda net: lambda x: 1e3 * net(x), STRONG, "zero gradients"),
    "saturated sigmoid": (
        lambda net: lambda x: 1e3 * net(tf.sigmoid(60 * (x - 0.5))),
        STRONG,
        "black box stronger than white box",
    ),
    "shattered gradients": (
        lambda net: lambda x: net(x + 0.05 * tf.sin(1000 * x)),
        STRONG,
        "black box stronger than white box",
    ),
    "unreaching attack": (lambda net: net, PGD(epsilon=0.3, steps=7, step_size=2 / 255), "reach"),
    "own labels": (
        lambda net: net,
        PGD(epsilon=EPSILON, steps=10, random_start=True, attack_labels="predicted"),
        "own labels",
    ),
}


@pytest.mark.parametrize("name", ILLUSIONS)
def test_illusions_are_caught(name, digits, natural):
    make, attack, check = ILLUSIONS[name]
    report = report_of(make(natural), digits[2], attack)
    assert check in {each.name for each in report.checks if each.status == "failed"}


Moments = list[tuple[tf.Tensor, tf.Tensor]]


def flattened(
    net: keras.Sequential, x: tf.Tensor, moments: Moments | None = None, *, through: bool = False
) -> tuple[tf.Tensor, Moments]:
    """Logits with hidden units within a deviation of their mean set to it.

    "MeanSparse: Post-Training Robustness Enhancement Through Mean-Centered Feature Sparsification"
    (Amini et al., 2024, https://arxiv.org/abs/2406.05927).

    Args:
        net: the network.
        x: images.
        moments: mean and variance of the units of each layer; by default those of the batch.
        through: whether gradients pass as if no unit was set.

    Returns:
        The logits, and the moments.
    """
    *hidden, last = (layer for layer in net.layers if isinstance(layer, keras.layers.Dense))
    x, used = tf.reshape(x, [-1, 64]), []
    for number, layer in enumerate(hidden):
        values = tf.matmul(x, layer.kernel) + layer.bias
        used.append(moments[number] if moments else tf.nn.moments(tf.stop_gradient(values), 0))
        mean, variance = used[-1]
        near = tf.abs(values - mean) <= tf.sqrt(variance)
        flat = tf.where(near, mean + tf.zeros_like(values), values)
        x = tf.nn.relu(values + tf.stop_gradient(flat - values) if through else flat)
    return last(x), used


def test_units_set_to_their_mean(digits):
    """Attacks find no gradient where all units that matter are set."""

    def loss(net, x, y, share):
        return cross_entropy(y, flattened(net, x, through=True)[0])

    net = stepped(digits, loss, 300)
    _, moments = flattened(net, digits[0].gather(tf.range(1000, dtype=tf.int64))[0])
    tf.config.run_functions_eagerly(True)
    report = report_of(lambda x: flattened(net, x, moments)[0], digits[2])
    assert report.accuracy("clean") > 0.85
    assert "zero gradients" in {each.name for each in report.checks if each.status == "failed"}


def test_softmax_is_refused(digits, natural):
    """As a function, and as a network."""
    squashed = keras.Sequential([natural, keras.layers.Softmax()])
    for model in (squashed, lambda x: tf.nn.softmax(natural(x))):
        with pytest.raises(InputError, match="softmax"):
            report_of(model, digits[2])


def test_training_on_test_images(digits, natural):
    seen = (digits[2].images[:50], digits[2].labels[:50])
    found = report_of(natural, digits[2], training=seen, check_masking=False)
    size = digits[2].size
    assert found.warnings == [f"test images in training: 50 of {size} images are training images"]


def test_training_against_one_step(digits):
    """In training by its own callback; in an evaluation, by labels that the step writes."""
    attack = FGSM(epsilon=0.5)
    watch = CatastrophicOverfitting(digits[0], every=500)
    with pytest.warns(RunWarning, match="catastrophic overfitting"):
        network = models.lenet_300_100((8, 8, 1))
        model = fitted(digits, attack, network, 1500, 4e-3, 0.0, [watch])
    tf.config.run_functions_eagerly(True)
    report = report_of(model, digits[2], attack)
    failed = {each.name for each in report.checks if each.status == "failed"}
    assert "label leaking" in failed
