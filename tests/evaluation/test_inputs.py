import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import evaluate, evaluation
from robust_sparse_tf.attacks import FGSM, PGD, Ball, DeepFool, Square, losses
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import Evaluator, inputs
from robust_sparse_tf.models.layers import BinaryLogits

slow = pytest.mark.slow
ATTACKS = {"fgsm": FGSM(epsilon=0.1), "pgd": PGD(epsilon=0.1, step_size=0.03, steps=3)}


def by_if(x):
    """What only AutoGraph can trace."""
    if tf.reduce_mean(x) > 0:
        return x
    return -x


def by_cond(x):
    return tf.cond(tf.reduce_mean(x) > 0, lambda: x, lambda: -x)


class Branching(keras.layers.Layer):
    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def call(self, x):
        return self.branch(x)


def as_function(trained, branch):
    return lambda x: branch(trained.network(x))


def as_layer(trained, branch):
    return keras.Sequential([trained.network, Branching(branch)])


@pytest.mark.parametrize("make", [as_function, as_layer])
def test_models_may_branch_by_if(make, trained, digits):
    few = digits[2].first(40)
    one, other = (make(trained, branch) for branch in (by_if, by_cond))
    assert Evaluator(one, ATTACKS)(few) == Evaluator(other, ATTACKS)(few)
    one, other = (evaluate(model, few, ATTACKS, [0.1]) for model in (one, other))
    accuracies = [[row["accuracy"] for row in report.rows()] for report in (one, other)]
    assert accuracies[0] == accuracies[1]
    assert one.warnings == other.warnings


X = np.linspace(0, 1, 6 * 4, dtype=np.float32).reshape(6, 4)
Y = np.array([0, 1, 2, 0, 1, 2])
WEIGHTS = tf.constant(np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3))
PAIRS = tf.data.Dataset.from_tensor_slices((X, Y))
FORMS = {
    "arrays": (X, Y),
    "lists": (X.tolist(), Y.tolist()),
    "tensors": (tf.constant(X), tf.constant(Y)),
    "batches": PAIRS.batch(4),
    "examples": PAIRS,
    "a column of labels": (X, Y[:, None]),
    "bytes of labels": (X, Y.astype(np.uint8)),
    "floats of labels": (X, Y.astype(np.float16)),
    "float64": (X.astype(np.float64), Y.astype(np.int16)),
    "just outside": (X * np.float32(1.0000001), Y),
}
BAD = {
    "a list": ([X, Y], "data of type list: must be a robust_sparse_tf.data.Split or .images"),
    "weights": (PAIRS.map(lambda x, y: (x, y, y)).batch(2), "must be pairs .images, labels"),
    "no end": (PAIRS.batch(2).repeat(), "data: repeats without end"),
    "nothing": (PAIRS.take(0), "data: is empty"),
    "several inputs": (([X, X[:, :2]], Y), "images of type list: must be one array of numbers"),
    "words": (([["a"]], Y), "images of type list: must be one array of numbers"),
    "one-hot labels": ((X, np.eye(3)[Y]), "labels of shape .6, 3.: must be class numbers"),
    "pixels of labels": ((X, np.zeros([6, 2, 2], int)), "labels of shape .6, 2, 2.: must be"),
    "halves": ((X, Y / 2), "labels of type float64: must be integers"),
    "unknown labels": ((X, Y + 1), "labels from 1 to 3: must be in 0 to 2"),
    "bytes": (((X * 255).astype(np.uint8), Y), r"images of values 0 to 255: must be in \[0, 1\]"),
}
BALL = Ball("linf", 0.1)
MEASURES = {
    "evaluate": lambda model, data: evaluate(model, data, {"x": FGSM()}).accuracy("x"),
    "evaluator": lambda model, data: Evaluator(model, {"x": FGSM()})(data)["robust_loss"]["x"],
    "r_inf": lambda model, data: evaluation.r_inf(model, data, FGSM(epsilon=0.1)),
    "r_2": lambda model, data: evaluation.r_2(model, data, DeepFool(steps=3)),
    "bounds": lambda model, data: evaluation.multiclass_bounds(model, data, 0.1).r_2,
    "certified": lambda model, data: evaluation.certified_accuracy(model, data, ball=BALL),
}


@pytest.fixture(scope="module")
def linear():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])


@pytest.mark.parametrize("form", FORMS)
def test_data_of_any_form(form):
    images, labels = inputs.images_and_labels(FORMS[form], (0.0, 1.0))
    assert images.dtype == np.float32 and labels.dtype == np.int64
    np.testing.assert_allclose(images, X, atol=1e-6)
    assert images.max() == 1
    np.testing.assert_array_equal(labels, Y)


@pytest.mark.parametrize("measure", sorted(MEASURES.keys() - {"bounds"}))
def test_every_measure_takes_data_of_any_form(measure, linear):
    """As they have one reader, one form for each."""
    assert MEASURES[measure](linear, PAIRS.batch(4)) == MEASURES[measure](linear, (X, Y))


@pytest.mark.parametrize("case", BAD)
def test_no_measure_takes_other_data(case, linear):
    data, words = BAD[case]
    for name, measure in MEASURES.items():
        if name != "bounds" or case != "bytes":  # which hold for inputs of any size
            with pytest.raises(InputError, match=words):
                measure(linear, data)


def in_arrays(x):
    return np.asarray(x) @ WEIGHTS.numpy()


def in_numpy(x):
    return x.numpy().astype(np.float64) @ WEIGHTS.numpy()


def predicting():
    model = keras.Sequential([keras.Input(WEIGHTS.shape[:1]), keras.layers.Dense(WEIGHTS.shape[1])])
    model.set_weights([WEIGHTS.numpy(), np.zeros(WEIGHTS.shape[1])])
    return functools.partial(model.predict, verbose=0)


@pytest.mark.parametrize(
    "make", [lambda: in_numpy, predicting, pytest.param(lambda: in_arrays, marks=slow)]
)
def test_functions_of_numpy(make):
    """Scores are all that some attacks need; of the others a report warns, and measures refuse."""
    function = make()
    chosen = {"square": Square(epsilon=0.3, queries=5), "fgsm": FGSM()}
    found, expected = (
        evaluate(model, (X, Y), chosen, check_masking=False)
        for model in (function, lambda x: x @ WEIGHTS)
    )
    assert found.accuracy("square") == expected.accuracy("square")
    assert found.warnings == ["no gradient: the model has none; only score-based attacks count"]
    for name in ("r_inf", "r_2"):
        with pytest.raises(InputError, match="model: has no gradient, which .* needs"):
            MEASURES[name](function, (X, Y))
    with pytest.raises(InputError, match="model: has no gradient, which CLEVER needs"):
        evaluation.clever(function, X, batches=2, samples=2)


OTHERS = [pytest.param(kind, marks=slow) for kind in ("mixed_bfloat16", "float64")]


@pytest.mark.parametrize("kind", ["mixed_float16", *OTHERS])
def test_networks_of_other_precision(kind):
    policy = keras.mixed_precision.Policy(kind)
    layers = [keras.layers.Dense(5, "relu", dtype=policy), keras.layers.Dense(2, dtype=policy)]
    network = keras.Sequential([keras.layers.Input((4,)), *layers])
    data = X, Y % 2
    report = evaluate(network, data, "quick", epsilons=[0.1], check_masking=False)
    assert 0 <= report.accuracy("worst") <= 1
    for name in ("evaluator", "r_inf", "r_2"):
        assert np.isfinite(MEASURES[name](network, data))
    assert np.isfinite(evaluation.clever(network, X, batches=2, samples=2)).all()
    assert np.isfinite(evaluation.usefulness(network, data).raw_robust).all()
    assert evaluation.activation_sparsity(network, data)
    kind = policy.compute_dtype
    for measure in (evaluation.local_lipschitz, evaluation.safe_distance):
        with pytest.raises(InputError, match=f"layer dense.*: computes in {kind}; bounds are of"):
            measure(network, X, BALL)
    with pytest.raises(InputError, match=f"computes in {kind}; bounds are of networks in float32"):
        MEASURES["certified"](network, data)


def test_gradients_of_half_precision_do_not_vanish():
    """In float16 those of confident predictions are 0, and no attack would move."""
    keras.utils.set_random_seed(0)
    networks = []
    for kind in ("float32", "mixed_float16"):
        policy = keras.mixed_precision.Policy(kind)
        dense = [keras.layers.Dense(8, "relu", dtype=policy), keras.layers.Dense(3, dtype=policy)]
        cast = keras.layers.Activation("linear", dtype="float32")
        networks.append(keras.Sequential([keras.layers.Input((4,)), *dense, cast]))
    weights = networks[0].get_weights()
    weights[-1][:] = [0, 21, 0]  # by which the second class is sure
    for network in networks:
        network.set_weights(weights)
    gradients = []
    for network in networks:
        logits, ones = inputs.as_logits(network), tf.ones([6], tf.int64)
        found = losses.value_and_gradient(losses.cross_entropy, logits, tf.constant(X), ones)
        gradients.append(found[2].numpy())
    assert 0 < np.abs(gradients[0]).max() < 6e-8  # the minimum number of float16
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=0.1, atol=1e-11)
    with tf.GradientTape() as tape:
        x = tf.constant(X)
        tape.watch(x)
        loss = losses.cross_entropy(networks[1](x, training=False), ones)
    assert not np.any(tape.gradient(loss, x))


def test_single_logits():
    one = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    for model in (one, lambda x: x @ WEIGHTS[:, :1]):
        with pytest.raises(InputError, match="of at least 2 classes; models.layers.BinaryLogits"):
            evaluate(model, (X, Y % 2), {"fgsm": FGSM()})
    two = keras.Sequential([*one.layers, BinaryLogits()])
    evaluate(two, (X, Y % 2), {"fgsm": FGSM()}, check_masking=False)
