"""Fixtures of all tests: digits, small sparse networks, and one that is trained."""

import os
import signal
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hypothesis
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import data, models, sparsity
from robust_sparse_tf.training import AdversarialModel

# A shell that starts the tests in the background has them ignore interrupts, which some send.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Two devices for MirroredStrategy; this has to come before anything else of TensorFlow runs.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

# As many threads as runs on two cores have: in both, a run in this process has the same bits.
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(2)

hypothesis.settings.register_profile(
    "tests", max_examples=25, deadline=None, derandomize=True, database=None
)
hypothesis.settings.load_profile("tests")

DIGITS = (8, 8, 1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Each test draws the same numbers, whichever tests ran before it."""
    keras.utils.set_random_seed(0)


def _make_lenet(density: float = 0.3, seed: int = 0) -> keras.Sequential:
    keras.utils.set_random_seed(seed)
    return sparsity.sparsify(models.lenet_300_100(DIGITS), sparsity.Magnitude(density))


@pytest.fixture(scope="session")
def make_lenet() -> Callable[..., keras.Sequential]:
    """Makes sparse LeNets for digits; the same seed gives the same weights."""
    return _make_lenet


@pytest.fixture(scope="session")
def digits() -> tuple[data.Split, data.Split, data.Split]:
    """Digits as (train, validation, test), in batches of 32."""
    return data.load("digits", batch_size=32)


@pytest.fixture(scope="session")
def batch(digits) -> tuple[tf.Tensor, tf.Tensor]:
    """Sixteen test digits and their labels."""
    return digits[2].gather(tf.range(16, dtype=tf.int64))


@pytest.fixture(scope="session")
def trained(digits) -> AdversarialModel:
    """A sparse LeNet that reads most clean digits. Not to be changed by a test."""
    model = AdversarialModel(_make_lenet(0.2))
    model.compile(keras.optimizers.Adam(2e-3), jit_update=False, steps_per_execution=50)
    model.fit(digits[0], epochs=1, steps_per_epoch=150, verbose=0)
    return model
