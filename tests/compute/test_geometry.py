"""Sizes and borders of layers."""

import pytest

from robust_sparse_tf.compute import Geometry
from robust_sparse_tf.errors import InputError


@pytest.mark.parametrize(
    ("inputs", "kernel", "stride", "same", "outputs", "borders"),
    [
        ((8, 8), (3, 3), 1, True, (8, 8), (1, 1)),
        ((8, 8), (3, 3), 2, True, (4, 4), (1, 1)),
        ((8, 6), (5, 5), 1, False, (4, 2), (0, 4)),
        ((8, 8), (1, 1), 2, True, (4, 4), (0, 0)),
        ((1, 1), (7, 7), 1, True, (1, 1), (3, 3)),
    ],
)
def test_outputs_and_borders(inputs, kernel, stride, same, outputs, borders):
    found = Geometry.convolution((*inputs, 2), (*kernel, 2, 3), stride, same)
    assert found.outputs == (*outputs, 3)
    assert (found.input_border, found.output_border) == borders


def test_sizes_that_overflow_are_refused():
    with pytest.raises(InputError, match="too large for sparse compute"):
        Geometry.dense(2**16, 2**15)
    with pytest.raises(InputError, match="too large for sparse compute"):
        Geometry.convolution((2**13, 2**13, 2), (1, 1, 2, 1), 1, True)
    with pytest.raises(InputError, match="as large as the kernel"):
        Geometry.convolution((2, 2, 1), (3, 3, 1, 1), 1, False)
