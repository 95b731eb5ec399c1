"""Methods are trained and evaluated with nothing but the method and the seed between them."""

import functools
import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import robust_sparse_tf as rst
from robust_sparse_tf.attacks import FGSM, PGD, DeepFool
from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.sparsity import SNIP, RigL, Static

EVALUATED = dict(evaluate_with={"fgsm": FGSM(epsilon=0.1)}, check_masking=False)
METHODS = {"dense": None, "static": Static(density=0.25)}
LINE = (
    r"(\w+), seed (\d): density ([\d.]+) %, clean [\d.]+ %, fgsm at 0.1 [\d.]+ %, "
    r"trained for \d+ \w+; (\d) of 2 done(, about \d+ \w+ left| in \d+ \w+)"
)


def build():
    return keras.Sequential(
        [keras.layers.Input([8, 8, 1]), keras.layers.Flatten(), keras.layers.Dense(10)]
    )


def compare(train, test, methods=METHODS, network=build, **given):
    asked = dict(seeds=1, optimizer=keras.optimizers.SGD(0.5)) | EVALUATED
    return rst.compare(methods, network, train, test, **asked | given)


@pytest.fixture(scope="module")
def few(digits):
    return digits[2].first(64)


@pytest.fixture(scope="module")
def found(digits, few):
    return compare(digits[0], few, attack=FGSM(epsilon=0.05), seeds=[3, 0], verbose=False)


def test_every_method_with_every_seed(found):
    trials = [(trial.method, trial.seed) for trial in found.trials]
    assert trials == [("dense", 3), ("dense", 0), ("static", 3), ("static", 0)]
    assert [trial.density for trial in found.trials] == [1, 1, 0.25, 0.25]
    accuracies = [trial.report.accuracy("clean") for trial in found.trials]
    assert min(accuracies) > 0.3 and len(set(accuracies)) > 1
    assert not found.warnings


def test_a_training_is_what_its_seed_says(found, digits, few):
    """By hand: the weights, the masks and the order of the images follow from the seed."""
    train = digits[0]
    keras.utils.set_random_seed(3)
    sparse = rst.sparsify(build(), Static(density=0.25, seed=3))
    model = rst.AdversarialModel(sparse, FGSM(epsilon=0.05), seed=3)
    model.compile(keras.optimizers.SGD(0.5))
    again = rst.data.Split(
        train.images, train.labels, num_classes=10, batch_size=32, shuffle=True, seed=3
    )
    model.fit(again, verbose=0)
    report = rst.evaluate(model, few, EVALUATED["evaluate_with"], check_masking=False)
    (trial,) = (t for t in found.trials if (t.method, t.seed) == ("static", 3))
    np.testing.assert_array_equal(trial.report.predictions, report.predictions)
    np.testing.assert_array_equal(trial.report.outcomes[0].stands, report.outcomes[0].stands)
    (other,) = (t for t in found.trials if (t.method, t.seed) == ("static", 0))
    assert (other.report.predictions != report.predictions).any()


def test_arrays_and_methods_that_look_at_gradients(digits, few, capsys):
    """A line is printed for each training, with the time that is left."""
    train = digits[0].images[:128], digits[0].labels[:128]
    before = list(tf.get_logger().filters)
    methods = {"snip": SNIP(density=0.5), "rigl": RigL(density=0.5)}
    result = compare(train, few, methods, batch_size=64)
    lines = capsys.readouterr().out.splitlines()
    assert tf.get_logger().filters == before
    shown = [re.fullmatch(LINE, line) for line in lines]
    assert [(m[1], m[2], m[4]) for m in shown] == [
        ("snip", "0", "1"),
        ("rigl", "0", "2"),
    ]
    assert {m[3] for m in shown} == {"50.0"}
    assert "left" in lines[0] and "left" not in lines[-1]
    assert result.methods == ["snip", "rigl"]


def test_one_that_diverges_is_left_out(digits, few):
    """And a warning; the others stay. Where all do, there is nothing to compare."""

    class Break(keras.callbacks.Callback):
        """Spoils dense networks."""

        def on_train_batch_end(self, batch, logs=None):
            if not isinstance(self.model.network, rst.sparsity.SparseModel):
                self.model.network.weights[0].assign_add(np.full([64, 10], np.nan))

    train = digits[0].first(64)
    result = compare(train, few, callbacks=[Break()], verbose=False)
    assert result.methods == ["static"]
    (warning,) = result.warnings
    assert re.fullmatch(r"dense, seed 0: the loss is not finite from step \d on", warning)
    with pytest.raises(TrainingError, match="dense, seed 0: the loss .* learning rate"):
        compare(train, few, {"dense": None}, callbacks=[Break()], verbose=False)


@pytest.mark.parametrize(
    "wrong, told",
    [
        (dict(methods={}), "methods={}: must be methods by name"),
        (dict(methods=RigL()), "must be methods by name"),
        (dict(methods={"rigl": RigL}), "must be a method of rst.sparsity, or None"),
        (dict(methods={"rigl": 0.1}), "methods['rigl']=0.1: must be a method"),
        (dict(methods={1: None}), "name of a method=1: must be a string"),
        (dict(network=build), None),
        (dict(network=3), "build=3: must be a function of 0 arguments"),
        (dict(network=lambda x: x), "must be a function of 0 arguments"),
        (dict(network=lambda: None), "must be a"),
        (dict(network=functools.cache(build)), "build: returned a network that shares"),
        (dict(seeds=0), "seeds=0: must be at least 1"),
        (dict(seeds=1.5), "seeds=1.5: must be"),
        (dict(seeds="ab"), "seeds='ab': must be"),
        (dict(seeds=[]), "seeds=[]: must be a number of seeds"),
        (dict(seeds=[1, 1]), "seeds=[1, 1]: must be"),
        (dict(seeds=[-1]), "seed=-1: must be at least 0"),
        (dict(epochs=0), "epochs=0: must be at least 1"),
        (dict(verbose=2), "verbose=2: must be True or False"),
        (dict(check_masking="no"), "check_masking='no': must be"),
        (dict(optimizer="fast"), "optimizer='fast': must be a tf_keras optimizer"),
        (dict(attack=DeepFool()), "must be untargeted and follow the gradient"),
        (dict(objective="mixed"), "objective='mixed': must be an Objective"),
        (dict(train=None), "train of type NoneType: must be a Split"),
        (dict(train=iter([])), "must be a Split"),
        (dict(train=(np.zeros([3, 8, 8, 1]), np.zeros(2, int))), "3 images and 2 labels"),
        (dict(train=(np.zeros([3, 8, 8, 1]), np.zeros(3, int)), batch_size=0.5), "batch_size=0.5"),
        (dict(test=None), "data of type NoneType: must be"),
        (dict(evaluate_with="quick"), "epsilons=(): must be given"),
        (dict(evaluate_with="fast", epsilons=[0.1]), "attacks=fast: must be one of quick"),
        (dict(evaluate_with={"pgd": PGD}), "must be an untargeted Attack"),
        (dict(epsilons=0.1), "epsilons=0.1: must be a list of numbers"),
        (dict(ball="linf"), "ball='linf': must be a Ball"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(wrong, told, digits, few, monkeypatch):
    def fit(*args, **kwargs):
        raise InterruptedError

    monkeypatch.setattr(rst.AdversarialModel, "fit", fit)
    given = dict(train=digits[0].first(8), test=few.first(8)) | wrong
    if told is None:  # nothing is wrong, and it is trained
        with pytest.raises(InterruptedError):
            compare(**given)
        return
    with pytest.raises(InputError, match=re.escape(told)) as caught:
        compare(**given)
    assert "\n" not in str(caught.value)


def test_a_method_that_does_not_fit_is_refused_before_training(digits, few, capsys):
    methods = {"dense": None, "rigl": RigL(density=0.1, layer_densities={"conv*": 0.5})}
    with pytest.raises(InputError, match="conv"):
        compare(digits[0], few, methods)
    assert not capsys.readouterr().out
