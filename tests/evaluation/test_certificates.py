import numpy as np
import pytest
from linear_problem import distances, model, split

from robust_sparse_tf.attacks import FGSM, PGD, Ball
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import Evaluator, certified_accuracy, evaluate
from robust_sparse_tf.evaluation.certificates import Certifier
from robust_sparse_tf.evaluation.robustness import plan
from robust_sparse_tf.training import AdversarialModel
from robust_sparse_tf.training.objectives import IBP

NETWORK = model(5)
DATA = split(NETWORK, 5)
EXACT = distances(NETWORK, DATA.images, 1)
RIGHT = np.argmax(NETWORK(DATA.images), axis=1) == DATA.labels
WIDE = Ball("linf", 0.0, -1e3, 1e3)


@pytest.mark.parametrize("method", ["interval", "linear"])
def test_which_examples_of_a_linear_model_are_certified(method):
    epsilon = float(np.median(EXACT))
    clear = np.abs(EXACT - epsilon) > 1e-3 * epsilon
    found = Certifier(NETWORK, WIDE.at(epsilon), batch_size=3, method=method)(DATA)
    np.testing.assert_array_equal(found[clear], (RIGHT & (epsilon < EXACT))[clear])
    assert 0 < found.mean() < 1


def test_an_epsilon_or_a_ball():
    epsilon = float(np.median(EXACT))
    expected = certified_accuracy(NETWORK, DATA, ball=Ball("linf", epsilon))
    assert certified_accuracy(NETWORK, DATA, epsilon) == expected
    assert certified_accuracy(NETWORK, DATA, epsilon, ball=Ball("linf", 9.0)) == expected
    assert certified_accuracy(NETWORK, DATA, 0) == RIGHT.mean()


@pytest.mark.parametrize(
    "given, words",
    [
        (dict(), "epsilon=None: must be given, or a ball"),
        (dict(epsilon=-0.1), "epsilon=-0.1: must be at least 0"),
        (dict(epsilon=WIDE), "epsilon=Ball.*: must be at least 0 and a finite number"),
        (dict(epsilon=0.1, ball="linf"), "ball='linf': must be a Ball"),
        (dict(epsilon=0.1, batch_size=0), "batch_size=0: must be at least 1"),
        (dict(epsilon=0.1, method="exact"), "method=exact: must be one of interval, linear"),
    ],
)
def test_refuses(given, words):
    with pytest.raises(InputError, match=words):
        certified_accuracy(NETWORK, DATA, **given)


def test_reports_have_a_row_of_what_is_certified():
    epsilon = float(np.median(EXACT))
    asked = dict(attacks={"pgd": PGD(epsilon=epsilon, steps=3)}, check_masking=False, verbose=False)
    plain = evaluate(NETWORK, DATA, **asked)
    assert plain.certified == {}
    report = evaluate(NETWORK, DATA, certify="interval", **asked)
    expected = certified_accuracy(NETWORK, DATA, epsilon)
    assert report.accuracy("certified") == expected
    assert expected <= report.accuracy("worst")
    assert report.rows()[:-1] == [
        row | {"seconds": own["seconds"]}
        for row, own in zip(plain.rows(), report.rows(), strict=False)
    ]
    assert "| certified |" in report.to_markdown()


@pytest.mark.parametrize("attacks", ["quick", {"pgd": PGD(epsilon=0.1)}])
def test_certified_examples_need_no_attack(attacks):
    """Left out, they count as robust; the others are attacked, and the worst case is the same."""
    asked = dict(
        epsilons=[float(np.median(EXACT))],
        certify="interval",
        check_masking=False,
        verbose=False,
    )
    every = evaluate(NETWORK, DATA, attacks, **asked)
    fewer = evaluate(NETWORK, DATA, attacks, skip_certified=True, **asked)
    (safe,) = fewer.certified.values()
    assert 0 < safe.sum() < every.right.sum()
    for outcome in fewer.outcomes:
        assert not np.any(outcome.tried & safe) and np.all(outcome.stands[safe])
    np.testing.assert_array_equal(fewer.outcomes[0].tried, fewer.right & ~safe)
    assert every.accuracy("worst") == fewer.accuracy("worst")
    assert "Certified ones were not attacked" in fewer.to_markdown()
    assert "Certified ones" not in every.to_markdown()


def test_models_that_train_on_bounds_are_certified_by_default():
    robust = AdversarialModel(NETWORK, objective=IBP())
    asked = dict(epsilons=[0.01], check_masking=False, verbose=False)
    attacks = {"fgsm": FGSM(epsilon=0.01)}
    assert ("linf", 0.01) in evaluate(robust, DATA, attacks, **asked).certified
    assert not evaluate(robust, DATA, attacks, certify="none", **asked).certified
    assert certified_accuracy(robust, DATA) == certified_accuracy(NETWORK, DATA, 0.3)
    assert plan(robust, DATA, "quick", [], None).ball == Ball("linf", 0.3)


@pytest.mark.parametrize(
    "model, certify, words",
    [
        (NETWORK, "exact", "certify=exact: must be one of none, interval, linear"),
        (lambda x: NETWORK(x), "interval", "model of type .*function: must be a tf_keras model"),
    ],
)
def test_reports_refuse(model, certify, words):
    with pytest.raises(InputError, match=words):
        evaluate(model, DATA, {"fgsm": FGSM(epsilon=0.1)}, certify=certify)


def test_nothing_can_be_left_out_without_bounds():
    with pytest.raises(InputError, match="^skip_certified=True: must be False with certify=none"):
        evaluate(NETWORK, DATA, {"fgsm": FGSM(epsilon=0.1)}, skip_certified=True)


def test_evaluators_of_certified_training_measure_it():
    found = Evaluator(NETWORK, objective=IBP(certified_epsilon=0.01))(DATA)
    assert found["certified_accuracy"] == certified_accuracy(NETWORK, DATA, 0.01)
    assert "certified_accuracy" not in Evaluator(NETWORK)(DATA)
