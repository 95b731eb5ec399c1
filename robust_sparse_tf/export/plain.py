"""The network that files hold."""

import tf_keras as keras

from robust_sparse_tf.sparsity import strip
from robust_sparse_tf.training.noise import has_noise, without_noise


def plain(model: keras.Model) -> keras.Model:
    """The stripped network, without noise on its weights; it shares them if there is none.

    Raises:
        InputError: for anything except a Sequential or functional tf_keras model.
    """
    network = strip(model)
    return without_noise(network) if has_noise(network) else network
