import numpy as np
import tensorflow as tf
from dynamic_networks import state

from robust_sparse_tf.sparsity import FlyingBird


def test_flying_bird_drops_half_and_grows_as_many():
    change = FlyingBird().change([state(200)], tf.constant(1, tf.int64))[0]
    assert np.sum(change.kept) == np.sum(change.grown) == 100
