"""Which attacks take turns, and that each only sees what is left."""

import numpy as np
import pytest
import tensorflow as tf

import robust_sparse_tf as rst
from robust_sparse_tf import evaluate
from robust_sparse_tf.data import Split
from robust_sparse_tf.evaluation import ensembles

MEMBERS = {
    ("quick", "linf", 10): ["fgsm", "pgd_10", "pgd_40"],
    ("quick", "l2", 2): ["fgsm", "pgd_10", "pgd_40"],
    ("standard", "linf", 10): ["apgd_ce", "apgd_t", "fab_t", "square"],
    ("standard", "l2", 4): ["apgd_ce", "apgd_t", "fab_t", "square"],
    ("standard", "linf", 3): ["apgd_ce", "apgd_dlr", "fab_t", "square"],
    ("standard", "linf", 2): ["apgd_ce", "fab_t", "square"],
    ("rand", "l2", 10): ["apgd_ce", "apgd_dlr"],
    ("rand", "linf", 2): ["apgd_ce"],
}


@pytest.mark.parametrize("kind", MEMBERS, ids=str)
def test_members(kind):
    name, norm, classes = kind
    found = ensembles.make(name, rst.Ball(norm, 0.25, -1.0, 2.0), classes)
    assert list(found) == MEMBERS[kind]
    for attack in found.values():
        assert (attack.norm, attack.low, attack.high) == (norm, -1.0, 2.0)
        assert attack.epsilon == 0.25
    notes = ensembles.notes(name, classes)
    assert bool(notes) == (name != "quick" and classes < 4)
    assert all(f"{classes} classes" in note for note in notes)


def test_standard_is_the_published_set():
    """AutoAttack's: 100 steps each, 9 targets, 5,000 queries."""
    found = ensembles.make("standard", rst.Ball("linf", 0.3), 10)
    assert [found[n].steps for n in ("apgd_ce", "apgd_t", "fab_t")] == [100, 100, 100]
    assert (found["apgd_ce"].loss, found["apgd_t"].loss) == ("ce", "targeted_dlr")
    assert found["apgd_t"].target_classes == found["fab_t"].target_classes == 9
    assert found["square"].queries == 5000


@pytest.fixture(scope="module")
def few(digits) -> Split:
    return Split(digits[2].images[:60], digits[2].labels[:60], num_classes=10, batch_size=60)


@pytest.mark.slow
@pytest.mark.parametrize("norm, epsilon", [("linf", 0.08), ("l2", 0.5)])
def test_members_take_turns(norm, epsilon, trained, few):
    report = evaluate(trained, few, "standard", ball=rst.Ball(norm, epsilon), check_masking=False)
    left = report.right
    for outcome in report.outcomes:
        np.testing.assert_array_equal(outcome.tried, left)
        assert not np.any(outcome.stands & ~left)
        left = outcome.stands
    np.testing.assert_array_equal(report.worst(norm, epsilon), left)
    assert 0 < left.mean() < report.accuracy("clean")
    quick = evaluate(trained, few, "quick", ball=rst.Ball(norm, epsilon), check_masking=False)
    assert report.accuracy("worst") <= quick.accuracy("worst") + 1 / 60


@pytest.mark.parametrize("classes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_few_classes(classes, digits):
    """Where DLR is undefined the rest attacks, and it is said."""
    rng = np.random.default_rng(0)
    weight = np.float32(rng.normal(size=(64, classes)))
    chosen = digits[2].images[:40].astype(np.float32)

    def linear(x: tf.Tensor) -> tf.Tensor:
        return tf.reshape(x, [-1, 64]) @ weight

    labels = np.argmax(linear(chosen), axis=1)
    report = evaluate(linear, (chosen, labels), "standard", [0.02], check_masking=False)
    assert len(report.warnings) == 1 and f"{classes} classes" in report.warnings[0]
    # On a linear model with two classes the truth is known: the margin's gradient bounds it.
    if classes == 2:
        logits = linear(chosen).numpy()
        margin = np.abs(logits[:, 0] - logits[:, 1])
        gain = np.clip(chosen + 0.02, 0, 1), np.clip(chosen - 0.02, 0, 1)
        direction = (weight[:, 0] - weight[:, 1]).reshape(1, 8, 8, 1)
        sign = np.where(labels == 0, -1, 1).reshape(-1, 1, 1, 1)
        worst = np.where(sign * direction > 0, gain[0], gain[1])
        drop = np.abs(np.sum((worst - chosen) * direction, axis=(1, 2, 3)))
        clear = np.abs(margin - drop) > 1e-4
        np.testing.assert_array_equal(report.worst("linf", 0.02)[clear], (margin > drop)[clear])
