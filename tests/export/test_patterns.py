"""Patterns of zeros are recognised as the structures that pruning makes."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export import pattern_of
from robust_sparse_tf.sparsity import structure


def kernel(text: str, shape: tuple[int, ...], density: float = 0.2, seed: int = 0) -> np.ndarray:
    """Random numbers, pruned by a structure."""
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    matrix = values.reshape(-1, shape[-1])
    kept = structure.parse(text).keep(tf.abs(matrix), round(density * matrix.size))
    return (matrix * kept.numpy()).reshape(shape)


@pytest.mark.parametrize("shape", [(64, 30), (4, 4, 8, 30)])
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("weights", "random"),
        ("block:4x1", "block:4x1"),
        ("block:16x1", "block:16x1"),
        ("2:4", "2:4"),
    ],
)
def test_patterns_of_pruning(text, kind, shape):
    found = pattern_of(kernel(text, shape))
    assert (found.kind, found.matrix) == (kind, len(shape) == 2)
    assert found.inputs == np.prod(shape[:-1])
    assert found.density == pytest.approx(0.5 if text == "2:4" else 0.2, abs=0.01)


def test_few_zeros_are_dense():
    assert pattern_of(kernel("weights", (64, 30), 0.75)).kind == "dense"
    assert pattern_of(kernel("weights", (64, 30), 0.65)).kind == "random"
    assert pattern_of(np.ones([4, 3])).density == 1
    assert pattern_of(np.zeros([4, 3])).density == 0


def test_pruned_units_are_blocks():
    """Even where the inputs are no multiple of four; the converter sees them so, too."""
    pruned = np.ones([30, 10])
    pruned[:, :5] = 0
    assert pattern_of(pruned).kind == "block:16x1"


@hypothesis.given(st.integers(1, 40), st.integers(1, 12), st.floats(0, 1), st.integers(0, 1000))
def test_patterns_do_not_depend_on_outputs_order(inputs, outputs, density, seed):
    rng = np.random.default_rng(seed)
    values = rng.random([inputs, outputs]) * (rng.random([inputs, outputs]) < density)
    found = pattern_of(values)
    assert found == pattern_of(values[:, ::-1])
    assert found.density == pytest.approx(np.mean(values != 0))
    assert (found.kind == "dense") == (np.mean(values == 0) < 0.3)


@pytest.mark.parametrize(
    "value", [None, "x", 1.0, [1.0], np.zeros([0, 3]), ["a", "b"], [[1], [1, 2]]]
)
def test_what_is_no_kernel_is_refused(value):
    with pytest.raises(InputError, match="^kernel of "):
        pattern_of(value)
