import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from networks import slow

from robust_sparse_tf.sparsity import SET, SparseModel, sparsify
from robust_sparse_tf.sparsity.slots import slots_of

optimizers, legacy = keras.optimizers, keras.optimizers.legacy

# The number of slots of a weight, and the value at which each starts.
CASES = {
    "sgd": (lambda: optimizers.SGD(0.1), [0]),
    "momentum": (lambda: optimizers.SGD(0.1, momentum=0.9), [0]),
    "adam": (lambda: optimizers.Adam(), [0, 0]),
    "amsgrad": (lambda: optimizers.Adam(amsgrad=True), [0, 0, 0]),
    "adamw": (lambda: optimizers.AdamW(), [0, 0]),
    "nadam": (lambda: optimizers.Nadam(), [0, 0]),
    "adamax": (lambda: optimizers.Adamax(), [0, 0]),
    "lion": (lambda: optimizers.Lion(), [0]),
    "rmsprop": (lambda: optimizers.RMSprop(), [0]),
    "rmsprop_centered": (lambda: optimizers.RMSprop(momentum=0.9, centered=True), [0, 0, 0]),
    "adadelta": (lambda: optimizers.Adadelta(), [0, 0]),
    "adagrad": (lambda: optimizers.Adagrad(initial_accumulator_value=0.25), [0.25]),
    "ftrl": (lambda: optimizers.Ftrl(initial_accumulator_value=0.25), [0, 0.25]),
    "average": (lambda: optimizers.SGD(0.1, use_ema=True), [0, 0]),
    "legacy_sgd": (lambda: legacy.SGD(0.1, momentum=0.9), [0]),
    "legacy_adam": (lambda: legacy.Adam(), [0, 0]),
    "legacy_adagrad": (lambda: legacy.Adagrad(initial_accumulator_value=0.25), [0.25]),
    "legacy_ftrl": (lambda: legacy.Ftrl(initial_accumulator_value=0.25), [0, 0.25]),
    "scaled": (lambda: keras.mixed_precision.LossScaleOptimizer(optimizers.Adam()), [0, 0]),
    "legacy_scaled": (lambda: keras.mixed_precision.LossScaleOptimizer(legacy.Adam()), [0, 0]),
}

# Of those whose variables are kept and named alike, one is updated each time.
ALIKE = {"sgd", "amsgrad", "adamw", "nadam", "adamax", "lion", "rmsprop", "adadelta"}
ALIKE |= {"legacy_sgd", "legacy_adagrad"}


def network() -> keras.Sequential:
    """Two kernels of the same shape, and a bias of the length of their sides."""
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense
    return keras.Sequential([keras.layers.Input((4,)), dense(4, name="first"), dense(4)])


def sparse() -> SparseModel:
    return sparsify(network(), SET(0.5, update_interval=2, drop_fraction=0.5))


def compiled(name: str, model: SparseModel) -> SparseModel:
    model.compile(CASES[name][0](), "mse", run_eagerly=True)
    return model


def examples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 8, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    return sparse()


@pytest.fixture(scope="module", params=CASES)
def new(request, model):
    """An optimizer's name, and a model compiled with it. Not to be changed by a test."""
    return request.param, compiled(request.param, model)


def test_slots_and_their_first_values(new):
    """A new optimizer's slots hold those values; but a moving average of weights starts there."""
    name, model = new
    for kernel in model.trainable_variables[::2]:
        slots = list(slots_of(model.optimizer, kernel))
        assert sorted(start for _, start in slots) == CASES[name][1]
        for slot, start in slots:
            assert slot.shape == kernel.shape
            average = name == "average" and slot.name.startswith("average")
            expected = kernel if average else np.full(kernel.shape, start)
            np.testing.assert_array_equal(slot, expected)


def test_slots_belong_to_their_weight(new):
    """No two of all kernels' slots are one, and the optimizer knows each."""
    name, model = new
    found = [
        id(slot)
        for kernel in model.trainable_variables
        for slot, _ in slots_of(model.optimizer, kernel)
    ]
    assert len(set(found)) == len(found) == 4 * len(CASES[name][1])
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    known = optimizer.variables() if callable(optimizer.variables) else optimizer.variables
    assert set(found) <= {id(variable) for variable in known}


@pytest.mark.parametrize("name", [slow(name) if name in ALIKE else name for name in CASES])
def test_an_update_clears_the_slots_of_what_goes_and_what_comes(name):
    model, (x, y) = compiled(name, sparse()), examples()
    model.step.assign(1)
    model.train_on_batch(x, y)
    kernels = model.trainable_variables[::2]
    before = [[slot.numpy() for slot, _ in slots_of(model.optimizer, kernel)] for kernel in kernels]
    weights = [kernel.numpy() for kernel in kernels]
    masks = [layer.pruning_vars[0][1].numpy() for layer in model.layers[1:]]
    model.train_on_batch(x, y)
    for kernel, old, weight, mask, layer in zip(
        kernels, before, weights, masks, model.layers[1:], strict=True
    ):
        kept = kernel.numpy() != 0
        np.testing.assert_array_equal(kernel, np.where(kept, weight, 0))
        now = layer.pruning_vars[0][1].numpy()
        assert kept.sum() == 4 and mask.sum() == now.sum() == 8
        for (slot, start), value in zip(slots_of(model.optimizer, kernel), old, strict=True):
            np.testing.assert_array_equal(slot, np.where(kept, value, start))
            assert np.any(value[~kept & (mask > 0)] != start)
    model.train_on_batch(x, y)
    for variable in model.variables:
        assert variable.dtype == tf.bool or np.isfinite(variable).all()
