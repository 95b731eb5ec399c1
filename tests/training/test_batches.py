"""What adversarial training takes as images, labels and weights, and what it refuses."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from adversarial_models import FGSM_ATTACK, robust, values

from robust_sparse_tf.attacks import FGSM
from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError

layers = keras.layers
RANDOM = np.random.RandomState(0)
X = RANDOM.rand(12, 4, 4, 1).astype(np.float32)
Y = RANDOM.randint(0, 3, 12)
W = RANDOM.rand(12).astype(np.float32)
CLASS_WEIGHT = {0: 1.0, 1: 2.0, 2: 0.5}


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3)], "mine")


def stream(*arrays) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(arrays).batch(6)


def trained(*data, attack=FGSM_ATTACK, **fit) -> list[np.ndarray]:
    """The weights after two steps, without a graph, which takes longer."""
    model = robust(network(), attack, run_eagerly=True)
    if not isinstance(data[0], tf.data.Dataset):
        fit["batch_size"] = 6
    model.fit(*data, shuffle=False, verbose=0, **fit)
    return values(model.network)


@pytest.fixture(scope="module")
def expected() -> list[np.ndarray]:
    return trained(X, Y)


class Sequence(keras.utils.Sequence):
    """Batches of six, whose sizes no graph knows before."""

    def __init__(self, *arrays) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return 2

    def __getitem__(self, number: int) -> tuple:
        return tuple(array[6 * number : 6 * number + 6] for array in self.arrays)


LABELS = {
    "uint8": Y.astype(np.uint8),
    "int16": Y.astype(np.int16),
    "float32": Y.astype(np.float32),
    "[n, 1]": Y[:, None],
    "uint8 [n, 1]": Y[:, None].astype(np.uint8),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_of_any_number(case, expected):
    for data in ((X, LABELS[case]), (stream(X, LABELS[case]),)):
        np.testing.assert_equal(trained(*data), expected)


FORMS = {
    "lists": (list(X), list(map(int, Y))),
    "nested lists": (X.tolist(), Y.tolist()),
    "lists of one": ([X], [Y]),
    "a dictionary of one": ({"any": X}, Y),
    "tensors": (tf.constant(X), tf.constant(Y)),
    "weights in a list": (X, Y, [1.0] * 12),
    "a sequence": (Sequence(X, Y[:, None]),),
    "a stream of dictionaries": (stream({"any": X}, Y),),
}


@pytest.mark.parametrize("case", FORMS)
def test_data_of_any_form(case, expected):
    x, y, weights, *_ = *FORMS[case], None, None
    given = {} if isinstance(x, Sequence | tf.data.Dataset) else {"batch_size": 6}
    model = robust(network(), FGSM_ATTACK, run_eagerly=True)
    validation = tuple(each for each in (x, y, weights) if each is not None)
    model.fit(
        *(x, y),
        sample_weight=weights,
        shuffle=False,
        verbose=0,
        validation_data=validation if len(validation) > 1 else x,
        **given,
    )
    for ours, theirs in zip(values(model.network), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-7)


def test_true_and_false_are_classes():
    np.testing.assert_equal(trained(X, Y > 1), trained(X, (Y > 1).astype(int)))


@pytest.mark.parametrize("kind", ["float64", "float16", "uint8", "int32"])
def test_images_of_any_number(kind):
    images = np.round(X)
    np.testing.assert_equal(trained(stream(images.astype(kind), Y)), trained(images, Y))


BROKEN = np.where(X > 0.9, np.nan, X)
REFUSED = {
    "one-hot": (X, np.eye(3)[Y], r"labels of shape \(\w+, 3\): must be class numbers \[n\]"),
    "halves": (X, Y / 2, "labels of type float64: must be integers"),
    "words": (X, Y.astype(str), "labels of type string: must be integers"),
    "below": (X, Y - 1, r"labels from -1 to \d: must be in 0 to 2, as the model returns 3 classes"),
    "above": (X, Y + 1, r"labels from \d to 3: must be in 0 to 2, as the model returns 3 classes"),
    "bytes": (
        (X * 255).astype(np.uint8),
        Y,
        r"images of values \d+ to \d+: must be in \[0, 1\]; s",
    ),
    "-1 to 1": (2 * X - 1, Y, r"images of values -0.9\d+ to 0.9\d+: must be in \[0, 1\]; scale"),
    "NaN": (BROKEN, Y, "images.*(NaN|nan)"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("form", ["arrays", "stream", "graph", "evaluate"])
def test_refused_in_one_line(case, form):
    """The same whatever the form; of streams when the batch comes."""
    x, y, words = REFUSED[case]
    model = robust(network(), FGSM_ATTACK, run_eagerly=form != "graph")
    act = model.evaluate if form == "evaluate" else model.fit
    data = (x, y) if form in ("arrays", "evaluate") else (stream(x, y),)
    with pytest.raises(InputError, match=f"^{words}") as caught:
        act(*data, verbose=0)
    assert "\n" not in str(caught.value)


def test_others_are_refused():
    cases = [
        ((X,), {}, "y=None: must be labels"),
        ((X, Y[:5]), {}, "data of shapes .*: must be"),
        ((X[:, :3], Y), {}, r"images of shape \(12, 3, 4, 1\): must be \(None, 4, 4, 1\)"),
        ((X, Y), {"sample_weight": W[:3]}, r"sample_weight of shape \(3,\)"),
        ((X, Y), {"sample_weight": W * np.nan}, "weights of examples: must be finite"),
        ((X, Y), {"class_weight": {0: 1.0}}, "class_weight=.*: must give a weight to each class"),
        ((X, Y), {"validation_data": (X * 9, Y)}, "images of values"),
        ((stream(X),), {}, "batches must be .images, labels. or"),
        ((None, Y), {}, "x=None: must be images"),
        ((X.astype(str), Y), {}, "images of type ndarray of <U.*: must be one array of numbers"),
        ((X[0], 1), {}, r"labels of shape \(\): must be class numbers .*; batch them"),
        ((stream(X, Y), Y), {}, "`y` argument is not supported"),
        ((stream(X, Y).repeat(),), {}, "When providing an infinite dataset"),
        ((stream(X[:0], Y[:0]),), {}, "Expected input data to be non-empty"),
        ((stream(X[:, :3], Y),), {}, r"images of shape \(6, 3, 4, 1\): must be"),
        ((stream(X, Y, W * np.nan),), {}, "weights of examples: must be finite"),
        ((X, Y), {"class_weight": {0: 1.0, 1: None, 2: 1.0}}, "class_weight=None: must be a"),
        ((X, Y), {"batch_size": 0}, "batch_size=0: must be at least 1"),
        ((X, Y), {"epochs": "3"}, "epochs='3': must be"),
        ((X, Y), {"validation_split": 1.5}, "validation_split=1.5: must be at most"),
        ((X, Y), {"validation_data": "test"}, "validation_data of type str: must be"),
        ((X, Y), {"validation_data": (X, Y, W, W)}, "validation_data of 4 parts: must be 2 or 3"),
    ]
    model = robust(network(), FGSM_ATTACK, run_eagerly=True)
    for data, given, words in cases:
        with pytest.raises(InputError, match=f"^{words}") as caught:
            model.fit(*data, verbose=0, **given)
        assert "\n" not in str(caught.value)


def test_networks_without_a_gradient():
    """Of integer inputs there is none; without an attack they train."""
    inputs = layers.Input((4, 4, 1), dtype="uint8")
    whole = keras.Model(inputs, network()(layers.Rescaling(1 / 255)(inputs)))
    for attack in (FGSM(epsilon=8.0, high=255.0), FGSM(epsilon=8.0, high=255.0, norm="l2")):
        with pytest.raises(InputError, match="^model: has no gradient with respect to its inputs"):
            robust(whole, attack, run_eagerly=True).fit((X * 255).astype(np.uint8), Y, verbose=0)
    robust(whole, None, run_eagerly=True).fit((X * 255).astype(np.uint8), Y, verbose=0)


def test_errors_of_others_stay_as_they_are():
    class Failing(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            raise ValueError("of the user")

    with pytest.raises(ValueError, match="of the user") as caught:
        robust(network()).fit(X, Y, verbose=0, callbacks=[Failing()])
    assert not isinstance(caught.value, InputError)


def test_sizes_that_no_graph_knows():
    model = robust(network(), FGSM_ATTACK)
    for data, words in (
        (Sequence(X[:, :3], Y), r"images of sizes 3 4 1: must be \[4, 4, 1\]"),
        (Sequence(X, np.eye(3)[Y]), "labels: must be one class number for each image"),
    ):
        with pytest.raises(InputError, match=f"^{words}"):
            model.fit(data, verbose=0)


def test_what_is_refused_has_changed_nothing():
    model = robust(network(), FGSM_ATTACK)
    before = values(model.network)
    for data in (stream(X, Y, W * np.nan), stream(BROKEN, Y), stream(X, Y + 3)):
        with pytest.raises(InputError):
            model.fit(data.take(1), verbose=0)
    np.testing.assert_equal(values(model.network), before)


def test_xla_leaves_no_check_out():
    """Of streams, whose values are asserted in the graph."""
    model = robust(network(), FGSM_ATTACK, jit_compile=True)
    before = values(model.network)
    for act, data, words in (
        (model.fit, stream(X * 255, Y), "images of values"),
        (model.fit, stream(X, Y + 3), "labels from"),
        (model.evaluate, stream(X * 255, Y), "images of values"),
    ):
        with pytest.raises(InputError, match=f"^{words}"):
            act(data, verbose=0)
    np.testing.assert_equal(values(model.network), before)


def test_validation_data_are_those_of_this_fit():
    """Of a `fit` that was stopped while it validated tf_keras keeps the data."""

    class Stopping(keras.callbacks.Callback):
        def on_test_end(self, logs=None):
            raise KeyboardInterrupt

    model, fresh = (robust(network(), run_eagerly=True) for _ in range(2))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=[Stopping()])
    fresh.fit(X, Y, verbose=0)
    found, wanted = (
        each.fit(X, Y, verbose=0, shuffle=False, validation_data=(X[:3], Y[:3])).history["val_loss"]
        for each in (model, fresh)
    )
    assert found == pytest.approx(wanted, rel=1e-5)


def test_without_an_attack_any_number_will_do():
    """But for what is none."""
    trained(X * 255, Y, attack=None)
    for data in ((BROKEN, Y), (stream(BROKEN, Y),), (X / 0.0, Y)):
        with pytest.raises(InputError, match="images"), np.errstate(all="ignore"):
            trained(*data, attack=None)


def test_a_split_is_compared_with_the_range():
    split = Split(X, Y, num_classes=3, batch_size=6)
    with pytest.raises(InputError, match=r"images of values .*: must be in \[0, 0.5\]"):
        robust(network(), FGSM(epsilon=0.1, high=0.5)).fit(split, verbose=0)
    with pytest.raises(InputError, match="labels from 0 to 2: must be in 0 to 1"):
        two = keras.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2)])
        robust(two, FGSM_ATTACK).fit(split, verbose=0)


def plain(**fit) -> tuple[list[np.ndarray], float]:
    model = network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, run_eagerly=True)
    history = model.fit(X, Y, batch_size=6, shuffle=False, verbose=0, **fit).history
    return values(model), history["loss"][-1]


WEIGHTS = {
    "examples": {"sample_weight": W},
    "examples [n, 1]": {"sample_weight": W[:, None]},
    "classes": {"class_weight": CLASS_WEIGHT},
    "both": {"sample_weight": W, "class_weight": CLASS_WEIGHT},
}


@pytest.mark.parametrize(
    "case",
    [
        *(pytest.param(case, marks=pytest.mark.slow) for case in ("examples", "classes")),
        "examples [n, 1]",
        "both",
    ],
)
def test_weights_are_those_of_keras(case):
    weights, loss = plain(**WEIGHTS[case])
    model = robust(network(), run_eagerly=True)
    fit = dict(batch_size=6, shuffle=False, verbose=0)
    history = model.fit(X, Y, **fit, **WEIGHTS[case]).history
    assert history["loss"][-1] == pytest.approx(loss, rel=1e-5)
    for ours, theirs in zip(values(model.network), weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    split = Split(X, Y, num_classes=3, batch_size=12)  # all at once: the order changes nothing
    one, whole = (robust(network(), FGSM_ATTACK, run_eagerly=True) for _ in range(2))
    one.fit(split, verbose=0, **WEIGHTS[case])
    whole.fit(X, Y, batch_size=12, verbose=0, **WEIGHTS[case])
    for ours, theirs in zip(values(one.network), values(whole.network), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_weights_of_classes_and_examples_multiply():
    own = W * np.array([CLASS_WEIGHT[label] for label in Y], np.float32)
    both, one = (robust(network(), FGSM_ATTACK, run_eagerly=True) for _ in range(2))
    fit = dict(batch_size=5, shuffle=False, verbose=0)  # the last batch is smaller
    both.fit(X, Y, sample_weight=W, class_weight=CLASS_WEIGHT, **fit)
    one.fit(X, Y, sample_weight=own, **fit)
    for model in (both, one):
        model.train_on_batch(X, Y)  # of the weights of the call before nothing is left
    for ours, theirs in zip(values(both.network), values(one.network), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_weights_from_a_stream():
    np.testing.assert_equal(trained(stream(X, Y, W)), trained(X, Y, sample_weight=W))
