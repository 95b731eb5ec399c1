"""Schedules: when masks change, and by how much."""

import math

import numpy as np
import pytest
import tensorflow as tf
from dynamic_networks import compiled, examples

from robust_sparse_tf.sparsity import SET, masked_weights
from robust_sparse_tf.sparsity.methods.schedule import decayed, is_due


@pytest.mark.parametrize("start, stop, interval", [(0, 0, 4), (3, 0, 4), (3, 11, 4), (5, 20, 1)])
def test_is_due(start, stop, interval):
    expected = [s for s in range(start, stop or 40, interval) if s]
    found = [
        s
        for s in range(40)
        if is_due(tf.constant(s, tf.int64), start=start, stop=stop, interval=interval)
    ]
    assert found == expected


@pytest.mark.parametrize("decay", ["constant", "cosine", "polynomial"])
@pytest.mark.parametrize("stop", [0, 20])
def test_decays(decay, stop):
    for step in (0, 1, 7, 19, 20, 25):
        done = min(step / stop, 1) if stop else 0
        factor = dict(
            constant=1, cosine=(1 + math.cos(math.pi * done)) / 2, polynomial=(1 - done) ** 2
        )[decay]
        found = decayed(0.4, decay, tf.constant(step, tf.int64), stop=stop, power=2.0)
        assert float(found) == pytest.approx(0.4 * factor, abs=1e-7)


@pytest.mark.parametrize(
    "decay", ["cosine", pytest.param("constant", marks=pytest.mark.slow), "polynomial"]
)
def test_the_number_dropped_decays(decay):
    """Grown weights start at zero, and so tell how many they are."""
    method = SET(
        0.5, update_interval=2, stop_step=10, drop_decay=decay, drop_fraction=0.6, decay_power=1
    )
    model = compiled(method, run_eagerly=True)
    x, y = examples(1)
    hidden = next(e for e in masked_weights(model) if e.name == "hidden")
    found = []
    for _ in range(10):
        model.train_on_batch(x, y)
        found.append(144 - np.count_nonzero(hidden.weight))
    done = np.arange(2, 10, 2) / 10
    factor = dict(constant=1 + 0 * done, cosine=(1 + np.cos(np.pi * done)) / 2, polynomial=1 - done)
    assert [found[s] for s in (2, 4, 6, 8)] == [round(n) for n in 0.6 * 144 * factor[decay]]
    assert found[:2] == [0] * 2
