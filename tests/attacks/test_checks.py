"""What every attack refuses when it is called, and how little of it is in a graph."""

import dataclasses
import inspect

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import attacks, evaluate, values
from robust_sparse_tf.attacks import BY_NAME, FGSM, RandomIntensity, Transfer, checks
from robust_sparse_tf.attacks.base import Attack
from robust_sparse_tf.errors import InputError

X = np.linspace(0, 1, 4 * 6, dtype=np.float32).reshape(4, 6)
Y = np.array([0, 1, 2, 1])
WEIGHTS = np.linspace(-1, 1, 6 * 3, dtype=np.float32).reshape(6, 3)
every_attack = pytest.mark.parametrize("name", BY_NAME)


def logits(x: tf.Tensor) -> tf.Tensor:
    return x @ WEIGHTS


def test_the_table_is_of_all_attacks():
    """But for bases, and those that run other attacks, which have their own tests."""
    made = {kind for _, kind in inspect.getmembers(attacks, inspect.isclass)}
    whole = {kind for kind in made if issubclass(kind, Attack) and not inspect.isabstract(kind)}
    assert whole == {*BY_NAME.values(), RandomIntensity, Transfer} and len(BY_NAME) == 14


# What is known of tensors whose values are not.
SHAPES_AND_TYPES = {
    "no batch": (dict(x=X[0]), r"images of shape \(6,\): must be \[n, ...\], n above 0"),
    "batches that differ": (dict(y=Y[:3]), r"data of shapes \(4, 6\) and \(3,\): must be \[n"),
    "one-hot labels": (dict(y=np.eye(3, dtype=int)[Y]), r"shapes? .*\(4, 3\): must be .*\[n\]"),
    "nothing": (dict(x=X[:0], y=Y[:0]), r"images of shape \(0, 6\): must be \[n, ...\], n above 0"),
    "labels that are no integers": (dict(y=Y / 2), "labels of type float64: must be integers"),
    "no labels": (dict(y=None), "labels of type NoneType: must be integers"),
    "words": (dict(x=[["a"]]), "x of type list: must be float32"),
    "targets": (dict(targets=Y), "targeted=False: must not be called with targets"),
}
VALUES = {
    "negative labels": (dict(y=Y - 1), "labels from -1 to 1: must be in 0 to 2, as the model"),
    "large labels": (dict(y=Y + 1), "labels from 1 to 3: must be in 0 to 2, as the model"),
    "wrong number of classes": (
        dict(model=lambda x: logits(x)[:, :2]),
        "labels from 0 to 2: must be in 0 to 1, as the model returns 2 classes",
    ),
    "above the range": (dict(x=X + 0.5), r"images of values 0.5 to 1.5: must be in \[0, 1\]"),
    "below the range": (dict(x=X - 0.5), r"images of values -0.5 to 0.5: must be in \[0, 1\]"),
    "bytes": (dict(x=np.full([4, 6], 255, np.uint8)), "images of values 255 to 255: must be in"),
    "no numbers": (dict(x=np.where(X > 0.9, np.nan, X)), "images: 1 of them hold NaN; must be"),
    "images that do not fit": (dict(x=X[:, :5]), r"images of shape \(4, 5\): do not fit the model"),
    "softmax": (
        dict(model=lambda x: tf.nn.softmax(logits(x))),
        "model: returns probabilities .softmax.; must return logits",
    ),
    "one output": (
        dict(model=lambda x: logits(x)[:, :1]),
        r"model: returns shape \(4, 1\) for 4 images; must be logits",
    ),
    "a class for an image": (
        dict(model=lambda x: tf.argmax(logits(x), 1)),
        r"model: returns shape \(4,\) for 4 images; must be logits",
    ),
    "no logits": (
        dict(model=lambda x: logits(x) * np.nan),
        "model: returns NaN for clean images; must return logits",
    ),
}


# All attacks share one `__call__`, so the whole table is for one of them, and a row for the others.
SHARED = [("fgsm", case) for case in SHAPES_AND_TYPES | VALUES]
SHARED += [(name, "above the range") for name in BY_NAME if name != "fgsm"]


def subclasses(kind: type) -> set[type]:
    """Those of the library; tests have their own."""
    own = {kind} if kind.__module__.startswith("robust_sparse_tf.") else set()
    return own.union(*map(subclasses, kind.__subclasses__()))


def call(attack: Attack, model=logits, x=X, y=Y, **others) -> tf.Tensor:
    return attack(model, x, y, **others)


def test_all_attacks_share_one_call():
    found = subclasses(Attack)
    assert found >= {*BY_NAME.values(), RandomIntensity, Transfer}
    assert [kind for kind in found if kind.__call__ is not Attack.__call__] == []


@pytest.mark.parametrize("name, case", SHARED)
def test_attacks_refuse(name, case):
    change, words = (SHAPES_AND_TYPES | VALUES)[case]
    with pytest.raises(InputError, match=words):
        call(BY_NAME[name](), **change)


@pytest.mark.parametrize("case", SHAPES_AND_TYPES)
def test_attacks_refuse_in_a_graph(case):
    change, words = SHAPES_AND_TYPES[case]
    with pytest.raises(InputError, match=words):
        tf.function(lambda: call(FGSM(), **change), autograph=False)()


@every_attack
def test_attacks_refuse_options(name):
    kind = BY_NAME[name]
    with pytest.raises(InputError, match="norm=l3: must be one of linf, l2, l1"):
        kind(norm="l3")
    with pytest.raises(InputError, match="high=0.0: must be above low=0.0"):
        kind(high=0.0)
    if issubclass(kind, attacks.Bounded):
        with pytest.raises(InputError, match="epsilon=-0.1: must be at least 0"):
            kind(epsilon=-0.1)
    if not kind.can_target:
        with pytest.raises(InputError, match=f"targeted=True: {kind.__name__} has no targeted"):
            kind(targeted=True)


TARGETED = [name for name, kind in BY_NAME.items() if kind.can_target]
TARGETS = [
    (None, "targeted=True: must not be called without targets"),
    (Y / 2, "targets of type float64: must be integers"),
    (Y[:3], r"data of shapes \(4, 6\) and \(3,\): must be"),
    (Y + 1, "targets from 1 to 3: must be in 0 to 2"),
]


@pytest.mark.parametrize(
    "name, targets, words",
    [("fgsm", *row) for row in TARGETS]
    + [(name, *TARGETS[-1]) for name in TARGETED if name != "fgsm"],
)
def test_targeted_attacks_refuse(name, targets, words):
    with pytest.raises(InputError, match=words):
        call(BY_NAME[name](targeted=True), y=None, targets=targets)


@pytest.mark.parametrize("case", ["above the range", "softmax", "no numbers", "no batch"])
def test_predicted_labels(case):
    """The model's own need no check, but all else does; labels given are not looked at."""
    attack = FGSM(attack_labels="predicted")
    change, words = (SHAPES_AND_TYPES | VALUES)[case]
    with pytest.raises(InputError, match=words):
        call(attack, **change | {"y": None})
    np.testing.assert_array_equal(call(attack, y=None), call(attack, y=Y + 7))


def test_transfer_refuses_what_does_not_fit_a_source():
    attack = Transfer(attack=FGSM(), sources=(lambda x: logits(x)[:, :2],))
    with pytest.raises(InputError, match="labels from 0 to 2: must be in 0 to 1"):
        call(attack)
    with pytest.raises(InputError, match="images of values 0.5 to 1.5"):
        call(attack, x=X + 0.5)


LABELS = {
    "uint8": Y.astype(np.uint8),
    "int32": Y.astype(np.int32),
    "float32": Y.astype(np.float32),
    "uint8 [n, 1]": Y[:, None].astype(np.uint8),
    "float64 [n, 1]": Y[:, None] / 1,
    "list": Y.tolist(),
}


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("graph", [False, True])
def test_labels_of_any_number_are_taken(case, graph):
    """And own ranges."""
    attack = FGSM(low=-1.0, high=2.0, epsilon=0.1)
    labelled = tf.function(call, autograph=False) if graph else call
    found = labelled(attack, x=3 * X - 1, y=LABELS[case])
    np.testing.assert_array_equal(found, call(attack, x=3 * X - 1))


def test_two_classes_are_true_or_false():
    two = dict(model=lambda x: logits(x)[:, :2])
    expected = call(FGSM(), y=Y % 2, **two)
    np.testing.assert_array_equal(call(FGSM(), y=Y % 2 == 1, **two), expected)
    assert call(FGSM(), x=X[:1].tolist(), y=[2]).shape == (1, 6)


def test_values_are_asserted_in_a_graph():
    attack = FGSM()
    perturb = tf.function(lambda x: call(attack, x=x), autograph=False)
    with pytest.raises(tf.errors.InvalidArgumentError, match="images of values"):
        perturb(tf.constant(X * 255))
    words = r"^images of values .*nan.*: must be in \[0, 1\]; scale them"
    for place in range(X.size):  # wherever in what the processor reads at once
        broken = X.copy()
        broken.flat[place] = np.nan
        with pytest.raises(InputError, match=words), values.one_line():
            perturb(tf.constant(broken))
    np.testing.assert_array_equal(perturb(tf.constant(X)), call(attack))


@pytest.mark.parametrize("kind", [tf.float64, tf.float16, tf.uint8])
@pytest.mark.parametrize("graph", [False, True])
def test_images_of_any_number_are_taken(kind, graph):
    images = tf.cast(np.round(X), kind)
    attacked = tf.function(call, autograph=False) if graph else call
    found = attacked(FGSM(), x=images)
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, call(FGSM(), x=np.round(X)))


@pytest.mark.parametrize(
    "name, kind",
    [(name, "mixed_float16") for name in BY_NAME]
    + [(name, kind) for name in ("fgsm", "apgd") for kind in ("mixed_bfloat16", "float64")],
)
def test_networks_of_other_precision_are_attacked(name, kind):
    """Each gives float32, from a few steps, of a network whose logits are another type."""
    keras.utils.set_random_seed(0)
    inputs = keras.layers.Input((6,))
    network = keras.Model(
        inputs, keras.layers.Dense(3, dtype=keras.mixed_precision.Policy(kind))(inputs)
    )
    quick = {"steps": 2, "queries": 40, "binary_searches": 2, "samples": 4}
    given = {f.name for f in dataclasses.fields(BY_NAME[name])}
    attack = BY_NAME[name](**{k: v for k, v in quick.items() if k in given})
    found = call(attack, model=network)
    assert found.dtype == tf.float32 and np.isfinite(found).all()
    assert checks.in_float32(network) is checks.in_float32(network)


def test_rounding_is_allowed():
    rounded = X * np.float32(1 + 2**-23)
    assert rounded.max() > 1
    np.testing.assert_allclose(call(FGSM(), x=rounded), call(FGSM()), atol=1e-6)


@pytest.mark.parametrize("name", ["fgsm", "bim", "deepfool"])
def test_a_graph_is_larger_by_the_range_alone(name):
    """Nothing else of what is checked is in the graph, nor one more look at the model."""
    attack = BY_NAME[name]()

    def perturb(model, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        values.assert_images(x, attack.limits)
        found = attack.perturb(model, x, y, (0, 0))
        return tf.stop_gradient(tf.where(tf.math.is_nan(found), x, found))

    def traced(function) -> tuple[int, int]:
        seen = []

        def counted(x: tf.Tensor) -> tf.Tensor:
            seen.append(x.shape)
            return logits(x)

        batch = tf.TensorSpec([None, 6], tf.float32), tf.TensorSpec([None], tf.int64)
        whole = tf.function(lambda x, y: function(counted, x, y), autograph=False)
        whole = whole.get_concrete_function(*batch)
        return len(whole.graph.get_operations()), len(seen)

    assert traced(attack) == traced(perturb)


# These `evaluate` refuses in its own words, makes fit, or does not have.
OWN = {"no labels", "words", "targets"}


@pytest.mark.parametrize("case", sorted((SHAPES_AND_TYPES | VALUES).keys() - OWN))
def test_evaluate_refuses(case):
    """The same, before any attack."""
    change, words = (SHAPES_AND_TYPES | VALUES)[case]
    given = dict(x=X, y=Y, model=logits) | change
    with pytest.raises(InputError, match=words):
        evaluate(given["model"], (given["x"], given["y"]), {"fgsm": FGSM()})
