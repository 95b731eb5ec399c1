import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf.attacks.dlr import dlr, targeted_dlr
from robust_sparse_tf.errors import InputError

LOGITS = np.float32([[5, 1, 3, 2, -4], [5, 1, 3, 2, -4], [0, 0.5, -1, 8, 7]])
LABELS = [0, 2, 4]


def test_values_by_hand():
    np.testing.assert_allclose(dlr(LOGITS, LABELS), [-2 / 3, 2 / 3, 1 / 7.5], rtol=1e-6)
    # 5, 3, 2, 1 and 8, 7, .5, 0 are the largest four.
    np.testing.assert_allclose(
        targeted_dlr(LOGITS, LABELS, [3, 0, 0]), [-3 / 3.5, 2 / 3.5, -7 / 7.75], rtol=1e-6
    )


@hypothesis.given(scale=st.floats(0.01, 100), shift=st.floats(-5, 5), seed=st.integers(0, 1000))
def test_scale_and_shift_change_nothing_and_the_sign_tells_who_wins(scale, shift, seed):
    random = np.random.default_rng(seed)
    logits = random.normal(size=[8, 6]).astype(np.float32)
    labels, targets = np.stack([random.permutation(6)[:2] for _ in range(8)], axis=1)
    other = np.float32(scale * logits + shift)
    value, targeted = dlr(logits, labels), targeted_dlr(logits, labels, targets)
    # Rounding of the shifted logits, in units of the spread of the unshifted ones.
    rounding = 1e-5 * (1 + abs(shift) / scale) / np.abs(np.diff(np.sort(logits)[:, -3:])).min()
    np.testing.assert_allclose(dlr(other, labels), value, rtol=0, atol=rounding)
    np.testing.assert_allclose(
        targeted_dlr(other, labels, targets), targeted, rtol=0, atol=rounding
    )
    np.testing.assert_array_equal(value > 0, logits.argmax(axis=1) != labels)
    rows = np.arange(8)
    np.testing.assert_array_equal(targeted > 0, logits[rows, targets] > logits[rows, labels])


def test_gradient_does_not_fade_where_cross_entropy_saturates():
    logits = tf.constant([[200.0, 20.0, 10.0, 0.0]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        value, targeted = dlr(logits, [0]), targeted_dlr(logits, [0], [1])
    for loss in (value, targeted):
        gradient = tape.gradient(loss, logits).numpy()
        assert np.all(np.isfinite(gradient)) and np.abs(gradient).max() > 1e-3


def test_equal_logits_give_numbers():
    logits = tf.zeros([2, 4])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = dlr(logits, [0, 1]) + targeted_dlr(logits, [0, 1], [2, 3])
    np.testing.assert_array_equal(value, [0, 0])
    assert np.all(np.isfinite(tape.gradient(value, logits)))


def test_too_few_classes_are_refused():
    with pytest.raises(InputError, match="loss=dlr: needs at least 3 classes, the model has 2"):
        dlr(tf.zeros([1, 2]), [0])
    with pytest.raises(
        InputError, match="loss=targeted_dlr: needs at least 4 classes, the model has 3"
    ):
        targeted_dlr(tf.zeros([1, 3]), [0], [1])
    dlr(tf.zeros([1, 3]), [0])
    targeted_dlr(tf.zeros([1, 4]), [0], [1])
