"""A model under several attacks: what is reported, saved, gone on with and refused."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import AdversarialModel, evaluate, models
from robust_sparse_tf.attacks import (
    APGD,
    FGSM,
    MIM,
    PGD,
    RFGSM,
    Attack,
    Ball,
    Bounded,
    DeepFool,
    Transfer,
)
from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import Evaluator
from robust_sparse_tf.evaluation.robustness import _described

ATTACKS = {"fgsm": FGSM(epsilon=0.1), "pgd": PGD(epsilon=0.1, step_size=0.03, steps=5)}


class Counting(FGSM):
    """Counts its traces, and may fail in a later batch."""

    traces = []

    def perturb(self, model, x, labels, seed):
        self.traces.append(x.shape)
        return super().perturb(model, x, labels, seed)


@pytest.fixture(scope="module")
def report(trained, digits):
    return evaluate(trained, digits[2], ATTACKS, [0.0, 0.05, 0.1], batch_size=100)


def test_figures_are_those_of_the_evaluator(report, trained, digits):
    """Which attacks what is wrong already, too: its attacks can only lose more."""
    found = Evaluator(trained, ATTACKS)(digits[2])
    assert report.accuracy("clean") == found["clean_accuracy"]
    for name, accuracy in found["robust_accuracy"].items():
        assert report.accuracy(name, 0.1) == pytest.approx(accuracy, abs=0.01)
    assert report.accuracy("fgsm", 0.0) == report.accuracy("clean")


def test_outcomes_are_of_each_example(report, trained, digits):
    x, y = digits[2].gather(tf.range(digits[2].size, dtype=tf.int64))
    predicted = np.argmax(trained.network(x), axis=1)
    np.testing.assert_array_equal(report.predictions, predicted)
    np.testing.assert_array_equal(report.labels, y)
    (outcome,) = (o for o in report.outcomes if (o.attack, o.epsilon) == ("pgd", 0.1))
    np.testing.assert_array_equal(outcome.tried, report.right)
    attacked = ATTACKS["pgd"](trained.network, x, y)
    stands = (np.argmax(trained.network(attacked), axis=1) == y.numpy()) & report.right
    assert np.mean(outcome.stands == stands) > 0.99
    distance = np.abs(attacked - x).max(axis=(1, 2, 3))
    np.testing.assert_allclose(outcome.distance[report.right], distance[report.right], atol=1e-6)
    assert not outcome.distance[~report.right].any()
    np.testing.assert_array_equal(outcome.queries, 5.0 * outcome.tried)
    np.testing.assert_array_equal(outcome.seconds > 0, outcome.tried)
    worst = report.worst("linf", 0.1)
    fgsm = next(o for o in report.outcomes if (o.attack, o.epsilon) == ("fgsm", 0.1))
    np.testing.assert_array_equal(worst, outcome.stands & fgsm.stands)


def test_accuracy_falls_with_epsilon_and_strength(report):
    for name in ("fgsm", "pgd", "worst"):
        values = [report.accuracy(name, epsilon) for epsilon in (0.0, 0.05, 0.1)]
        assert values == sorted(values, reverse=True) and values[0] > values[-1]
    for epsilon in (0.05, 0.1):
        worst = report.accuracy("worst", epsilon)
        assert worst <= min(report.accuracy(name, epsilon) for name in ATTACKS)


def test_nearest_examples_count_at_each_radius(trained, digits):
    """Found once; at a radius those that are nearer are lost."""
    attacks = {"near": DeepFool(), "ball": PGD(norm="l2", step_size=0.1, steps=20)}
    found = evaluate(trained, digits[2], attacks, [0.3, 0.6, 1.0], check_masking=False)
    assert found.outcomes[0].epsilon is None and found.accuracy("near", 0.3) > 0.5
    whole = found.outcomes[0]
    for outcome in (o for o in found.outcomes[1:] if o.attack == "near"):
        fooled = whole.tried & ~whole.stands & (whole.distance <= outcome.epsilon)
        np.testing.assert_array_equal(outcome.stands, found.right & ~fooled)
        # An attack that looks for the nearest finds about what one in the ball does.
        ball = found.accuracy("ball", outcome.epsilon)
        assert found.accuracy("near", outcome.epsilon) == pytest.approx(ball, abs=0.1)


def test_each_attack_is_traced_once(trained, digits):
    """Whatever the number and the sizes of batches."""
    Counting.traces.clear()
    evaluate(trained, digits[2], {"one": Counting()}, [0.1], batch_size=70, check_masking=False)
    assert Counting.traces == [(None, 8, 8, 1)]


def test_nothing_is_traced_where_nothing_is_left(trained, digits, tmp_path):
    Counting.traces.clear()
    told = dict(check_masking=False, state=str(tmp_path / "state.npz"))
    for _ in range(2):
        evaluate(trained, digits[2], {"one": Counting()}, [0.1], **told)
    assert len(Counting.traces) == 1


def test_batches_change_nothing(report, trained, digits):
    other = evaluate(trained, digits[2], ATTACKS, [0.1], batch_size=37, check_masking=False)
    for name in ATTACKS:
        assert other.accuracy(name) == report.accuracy(name, 0.1)


def test_seeds(trained, digits):
    attacks = {"pgd": PGD(epsilon=0.15, step_size=0.1, steps=1, random_start=True)}
    first, again, other = (
        evaluate(trained, digits[2], attacks, seed=seed, check_masking=False) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.outcomes[0].distance, again.outcomes[0].distance)
    np.testing.assert_array_equal(first.outcomes[0].stands, again.outcomes[0].stands)
    assert np.any(first.outcomes[0].stands != other.outcomes[0].stands)


def test_arrays_and_functions(report, trained, digits):
    images = digits[2].images.astype(np.float32)
    found = evaluate(
        lambda x: trained.network(x), (images, digits[2].labels), ATTACKS, check_masking=False
    )
    assert found.accuracy("pgd") == report.accuracy("pgd", 0.1)


def test_an_interrupted_evaluation_goes_on(report, trained, digits, tmp_path):
    """Batches that are done are not done again, and the end is that of a whole one."""

    class Stop(Exception):
        pass

    seen: list[tuple[str, int, int]] = []

    def stop(*progress) -> None:
        seen.append(progress)
        if len(seen) == 3:
            raise Stop

    arguments = dict(batch_size=100, state=str(tmp_path / "state.npz"), check_masking=False)
    with pytest.raises(Stop):
        evaluate(trained, digits[2], ATTACKS, [0.1], on_batch=stop, **arguments)
    done = list(seen)
    found = evaluate(
        trained, digits[2], ATTACKS, [0.1], on_batch=lambda *p: seen.append(p), **arguments
    )
    size = int(report.right.sum())
    batches = [min(number * 100, size) for number in range(1, -(-size // 100) + 1)]
    assert seen == [(name, number, size) for name in ATTACKS for number in batches]
    assert seen[:3] == done
    for outcome in found.outcomes:
        whole = next(o for o in report.outcomes if (o.attack, o.epsilon) == (outcome.attack, 0.1))
        np.testing.assert_array_equal(outcome.stands, whole.stands)
        np.testing.assert_array_equal(outcome.distance, whole.distance)
        np.testing.assert_array_equal(outcome.queries, whole.queries)
    with pytest.raises(InputError, match="is of other data, attacks or seeds"):
        evaluate(trained, digits[2], ATTACKS, [0.2], **arguments)
    with pytest.raises(InputError, match="is of other data, attacks or seeds"):
        evaluate(trained, digits[1], ATTACKS, [0.1], **arguments)
    (tmp_path / "state.npz").write_bytes(b"no state")
    with pytest.raises(InputError, match="holds no state of an evaluation"):
        evaluate(trained, digits[2], ATTACKS, [0.1], **arguments)


def test_a_line_as_each_attack_ends(trained, digits, tmp_path, capsys):
    """With what was attacked now; none where none are wanted."""
    few = digits[2].first(20)
    size = round(20 * Evaluator(trained)(few)["clean_accuracy"])
    attacks = ATTACKS | {"deepfool": DeepFool()}
    arguments = dict(state=str(tmp_path / "state.npz"), check_masking=False)
    evaluate(trained, few, attacks, [0.1], **arguments)
    lines = capsys.readouterr().out.splitlines()
    names = ["fgsm (epsilon 0.1)", "pgd (epsilon 0.1)", "deepfool"]
    assert lines[0] == f"clean: accuracy {5 * size:.2f} % of 20 examples"
    for line, name in zip(lines[1:], names, strict=True):
        assert line.startswith(f"{name}: robust accuracy ") and f"({size} examples in " in line
    evaluate(trained, few, attacks, [0.1], **arguments)
    assert capsys.readouterr().out.count("(0 examples in 0 s)") == 3
    evaluate(trained, few, attacks, [0.1], verbose=False, **arguments)
    assert capsys.readouterr().out == ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cheat(Bounded):
    """Leaves its ball."""

    def perturb(self, model, x, labels, seed):
        return self.clip(x + 2 * self.epsilon)


class Shift(Attack):
    norm = "linf"

    def perturb(self, model, x, labels, seed):
        return x + 2


IMAGES, LABELS = np.zeros([4, 8, 8, 1], np.float32), np.arange(4)
LOGITS = keras.layers.Dense(10)


def head(function=lambda logits: logits):
    return lambda x: function(LOGITS(tf.reshape(x, [-1, 64])))


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(data=[1, 2]), "data of type list: must be a robust_sparse_tf.data.Split or"),
        (dict(data=(IMAGES, LABELS[:3])), r"data of shapes \(4, 8, 8, 1\) and \(3,\): must be"),
        (dict(data=(IMAGES[:0], LABELS[:0])), "must be .* n above 0"),
        (dict(data=(IMAGES, LABELS / 2)), "labels of type float64: must be integers"),
        (dict(data=(IMAGES, LABELS + 7)), "labels from 7 to 10: must be in 0 to 9"),
        (dict(data=(IMAGES, LABELS - 1)), "labels from -1 to 2: must be in 0 to 9"),
        (dict(data=(IMAGES + 1.5, LABELS)), r"images of values 1.5 to 1.5: must be in \[0, 1\]"),
        (dict(data=(IMAGES * np.nan, LABELS)), "images: 4 of them hold NaN"),
        (dict(data=(IMAGES[:, :7], LABELS)), "images of shape .4, 7, 8, 1.: do not fit the model"),
        (dict(model=head(tf.nn.softmax)), "model: returns probabilities .softmax.; must return"),
        (dict(model=head(lambda x: x[:, :3])), "labels from 0 to 3: must be in 0 to 2"),
        (dict(model=head(lambda x: x[:, 0])), "model: returns shape .* must be logits"),
        (dict(model=head(lambda x: x * np.nan)), "model: returns NaN for clean images"),
        (dict(model=3), "model of type int: must be a tf_keras model, or a function"),
        (
            dict(attacks="strong", epsilons=[0.1]),
            "attacks=strong: must be one of quick, standard, rand",
        ),
        (dict(attacks=FGSM()), "attacks=FGSM.*: must be quick, standard, rand or attacks by name"),
        (dict(attacks={}), "attacks={}: must be"),
        (dict(attacks={"x": 3}), "attacks.'x'.=3: must be an untargeted Attack"),
        (dict(attacks={"x": FGSM(targeted=True)}), "must be an untargeted Attack"),
        (dict(attacks="quick"), r"epsilons=\(\): must be given"),
        (dict(attacks={"clean": FGSM()}), "attacks.'clean'.: this name is taken"),
        (dict(epsilons=0.1), "epsilons=0.1: must be a list of numbers"),
        (dict(epsilons=[np.nan]), "epsilon=nan: must be at least 0 and a finite number"),
        (dict(epsilons=[-0.1]), "epsilon=-0.1: must be at least 0"),
        (dict(attacks={"x": Cheat()}), "attack x: left its threat model"),
        (dict(attacks={"x": Shift()}), "attack x: left its threat model"),
    ],
)
def test_refuses(change, words):
    arguments = dict(model=head(), data=(IMAGES, LABELS), attacks=ATTACKS) | change
    with pytest.raises(InputError, match=words):
        evaluate(**arguments)


def test_the_whole_of_a_report(report, trained, digits):
    small = Split(digits[2].images[:5], digits[2].labels[:5], num_classes=10, batch_size=5)
    one = evaluate(trained, small, "quick", [0.1])
    assert [row["attack"] for row in one.rows()] == ["clean", "fgsm", "pgd_10", "pgd_40", "worst"]
    with pytest.raises(InputError, match="attack=pgd, epsilon=None: must be one of"):
        report.accuracy("pgd")


def test_each_row_of_a_report_can_be_had(trained, digits):
    """Of attacks in several norms, and of those that look for the nearest, at any distance."""
    attacks = {"fgsm": FGSM(), "l2": FGSM(norm="l2"), "near": DeepFool(steps=1)}
    found = evaluate(trained, digits[2].first(20), attacks, [0.1, 0.1, 0.5], check_masking=False)
    rows = found.rows()
    assert len(rows) == 1 + 2 + 2 + 3 + 4
    for row in rows:
        assert found.row(row["attack"], row["epsilon"], row["norm"]) == row
    assert found.accuracy("near", np.float32(0.1)) == found.accuracy("near", 0.1)
    with pytest.raises(InputError, match="attack=worst, epsilon=0.5: must be one of"):
        found.accuracy("worst", 0.5)
    assert repr(found) == found._repr_markdown_() == found.to_markdown()
    assert found._repr_html_().count("<tr>") == 1 + len(found.rows())
    for norm, epsilon in (("l1", 0.1), ("linf", 0.3)):
        with pytest.raises(InputError, match=f"norm={norm}, epsilon={epsilon}: must be one of"):
            found.worst(norm, epsilon)
    with pytest.raises(InputError, match="epsilon='0.1': must be at least 0 and a finite number"):
        found.accuracy("fgsm", "0.1")


def test_the_ball_of_an_ensemble(digits):
    """The one given; else, without epsilons, that of the attack in training, whatever its norm."""
    network = models.linear((8, 8, 1))
    robust = AdversarialModel(network, attack=FGSM(norm="l2", epsilon=0.25))
    for model, told, norm, epsilons in (
        (robust, dict(), "l2", {0.25}),
        (robust, dict(epsilons=[0.1]), "linf", {0.1}),
        (network, dict(ball=Ball("l2", 0.5)), "l2", {0.5}),
        (network, dict(ball=Ball("l2", 0.5), epsilons=[0.1, 0.2]), "l2", {0.1, 0.2}),
    ):
        report = evaluate(model, digits[2].first(5), "quick", check_masking=False, **told)
        assert {outcome.norm for outcome in report.outcomes} == {norm}
        assert {outcome.epsilon for outcome in report.outcomes} == epsilons


def test_the_range_is_that_of_the_attack_in_training(digits):
    x, y = 2 * digits[2].images[:5] - 1, digits[2].labels[:5]
    robust = AdversarialModel(models.linear((8, 8, 1)), attack=FGSM(epsilon=0.25, low=-1.0))
    assert evaluate(robust, (x, y), "quick", check_masking=False).outcomes
    with pytest.raises(InputError, match="0"):
        evaluate(robust, (x, y), "quick", [0.25], check_masking=False)


class Noisy:
    """Logits of two classes: the second wins for a given share of the passes."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._drawn = tf.random.Generator.from_seed(0)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        second = self._drawn.uniform(tf.shape(x)[:1]) < self._share
        return 5 * tf.one_hot(tf.cast(second, tf.int32), 2) + 0 * tf.reduce_sum(x)


def test_models_with_noise_are_judged_by_several_passes():
    data = np.zeros((400, 2), np.float32), np.ones(400, int)
    attacks = {"fgsm": FGSM(epsilon=0.1)}
    report = evaluate(Noisy(0.9), data, attacks, passes=25, check_masking=False)
    row = next(row for row in report.rows() if row["attack"] == "clean")
    assert report.judged.shape == (400, 25) and row["accuracy"] == 1  # in most passes
    error = (0.9 * 0.1 / 400 / 25) ** 0.5
    assert row["expected"] == pytest.approx(0.9, abs=4 * error)
    assert 0.5 * error < row["standard_error"] < 1.5 * error
    assert (
        f"{100 * row['expected']:.2f} ± {100 * row['standard_error']:.2f}" in report.to_markdown()
    )
    assert (
        "over 25 passes" not in evaluate(Noisy(1), data, attacks, check_masking=False).to_markdown()
    )


def test_an_evaluation_of_a_noisy_model_goes_on(tmp_path):
    """Although the model predicts something else each time."""
    data = np.zeros((40, 2), np.float32), np.ones(40, int)
    path = str(tmp_path / "state.npz")
    state = dict(state=path, check_masking=False, passes=3, identity="noise of 0.7")
    first = evaluate(Noisy(0.7), data, {"fgsm": FGSM(epsilon=0.1)}, **state)
    again = evaluate(Noisy(0.7), data, {"fgsm": FGSM(epsilon=0.1)}, **state)
    np.testing.assert_array_equal(first.outcomes[0].judged, again.outcomes[0].judged)


def test_passes_must_be_at_least_one(trained, digits):
    with pytest.raises(InputError, match="passes=0: must be at least 1"):
        evaluate(trained, digits[2], ATTACKS, passes=0)


def test_transfer_is_run_at_each_radius(trained, make_lenet, digits):
    source = make_lenet(seed=3)
    pgd = PGD(epsilon=0.1, step_size=0.05, steps=3)
    attacks = {"transfer": Transfer(attack=pgd, sources=(source,))}
    found = evaluate(trained, digits[2], attacks, [0.05, 0.2], check_masking=False)
    assert [outcome.epsilon for outcome in found.outcomes] == [0.05, 0.2]
    for outcome in found.outcomes:
        assert outcome.distance.max() == pytest.approx(outcome.epsilon, rel=1e-5)


def test_new_options_at_their_defaults_keep_stored_progress():
    """Attacks are described as before their later options, which count at other values."""
    for attack in (FGSM(), RFGSM(), MIM(), Transfer(attack=MIM(), sources=(len,))):
        assert "draws" not in _described(attack)
    assert "draws=1" in _described(PGD()) and "draws=2" in _described(FGSM(draws=2))
    assert "loss" not in _described(PGD()) and "loss='kl'" in _described(PGD(loss="kl"))
    assert "loss='ce'" in _described(APGD(loss="ce"))
