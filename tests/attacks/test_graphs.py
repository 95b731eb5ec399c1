"""Attacks called with a new callable each time keep the graphs of a few."""

import gc

import tensorflow as tf

from robust_sparse_tf.attacks import FGSM


def graphs() -> int:
    gc.collect()
    kind = tf.__internal__.FuncGraph
    return sum(issubclass(type(each), kind) for each in gc.get_objects())


def test_graphs_of_callables_that_are_gone_are_freed():
    x, y, weights = tf.zeros([2, 3]), tf.zeros([2], tf.int64), tf.ones([3, 2])
    before = graphs()
    for _ in range(20):
        FGSM()(lambda x: x @ weights, x, y)
    assert graphs() - before <= 8
