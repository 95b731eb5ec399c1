import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity import Magnitude, Threshold, densities, masked_weights
from robust_sparse_tf.sparsity.methods.base import layer_states


def lenet() -> keras.Model:
    keras.utils.set_random_seed(0)
    return models.lenet_300_100((8, 8, 1))


def pair(first, last) -> keras.Model:
    first, last = np.float32(first), np.float32(last)
    model = keras.Sequential(
        [
            keras.layers.Input(first.shape[:1]),
            keras.layers.Dense(first.shape[1], use_bias=False),
            keras.layers.Dense(last.shape[1], use_bias=False),
        ]
    )
    model.set_weights([first, last])
    return model


@pytest.mark.parametrize("gamma", [0.0, 0.01, 0.05, 0.1])
def test_smaller_weights_go(gamma):
    dense = lenet()
    before = [kernel.copy() for kernel in dense.get_weights()]
    sparse = sparsify(dense, Threshold(gamma=gamma))
    for entry, kernel in zip(masked_weights(sparse), before, strict=True):
        np.testing.assert_array_equal(entry.mask, np.abs(kernel) >= np.float32(gamma))
        np.testing.assert_array_equal(entry.weight, kernel * entry.mask.numpy())


def test_a_weight_of_gamma_stays():
    sparse = sparsify(pair([[0.5, -0.5], [0.25, 0.75]], [[-0.4999], [0.0]]), Threshold(gamma=0.5))
    first, last = (entry.mask.numpy() for entry in masked_weights(sparse))
    np.testing.assert_array_equal(first, [[1, 1], [0, 1]])
    np.testing.assert_array_equal(last, [[0], [0]])


@pytest.mark.parametrize("density", [0.9, 0.5, 0.1, 0.001, 1.0])
def test_gamma_is_solved(density):
    dense = lenet()
    before = [kernel.copy() for kernel in dense.get_weights()]
    whole = np.sort(np.abs(np.concatenate([kernel.ravel() for kernel in before])))
    count = round(density * whole.size)
    method = Threshold(solve_density=density)
    gamma = method.solved_gamma(layer_states(sparsify(lenet()))).numpy()
    assert gamma == whole[-count]
    sparse = sparsify(dense, method)
    assert densities(sparse)[0] == count / whole.size
    for entry, kernel in zip(masked_weights(sparse), before, strict=True):
        np.testing.assert_array_equal(entry.mask, np.abs(kernel) >= gamma)


def test_solved_gamma_does_what_it_does_when_given():
    method = Threshold(solve_density=0.2)
    solved = sparsify(lenet(), method)
    gamma = float(method.solved_gamma(layer_states(sparsify(lenet()))))
    given = sparsify(lenet(), Threshold(gamma=gamma))
    for ours, theirs in zip(masked_weights(solved), masked_weights(given), strict=True):
        np.testing.assert_array_equal(ours.mask, theirs.mask)


def test_one_gamma_for_all_layers():
    """Weights are not equally large everywhere, and so neither are the layers' densities."""
    whole, layers = densities(sparsify(lenet(), Threshold(solve_density=0.3)))
    assert whole == pytest.approx(0.3, abs=1e-4)
    assert layers["logits"] > layers["hidden_1"] > layers["hidden_2"]


def test_what_is_pruned_stays_away():
    sparse = sparsify(lenet(), Magnitude(0.1))
    before = [entry.mask.numpy() for entry in masked_weights(sparse)]
    Threshold(gamma=0.0).prune(sparse)
    Threshold(solve_density=0.5).prune(sparse)  # less sparse than it is
    for entry, old in zip(masked_weights(sparse), before, strict=True):
        np.testing.assert_array_equal(entry.mask, old)
    Threshold(solve_density=0.05).prune(sparse)
    assert densities(sparse)[0] == 0.05


def test_a_tiny_density_leaves_a_weight():
    sparse = sparsify(
        pair([[0.1, -0.3], [0.2, 0.1]], [[0.1], [0.0]]), Threshold(solve_density=0.01)
    )
    assert [int(entry.mask.numpy().sum()) for entry in masked_weights(sparse)] == [1, 0]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(gamma=0.1, solve_density=0.5), "gamma=0.1: must be 0 if solve_density is given"),
        (dict(gamma=-0.1), "gamma=-0.1: must be at least 0"),
        (dict(gamma=float("nan")), "gamma=nan: must be at least 0 and a finite number"),
        (dict(solve_density=1.5), "solve_density=1.5: must be at least 0 and at most 1"),
    ],
)
def test_refuses(arguments, words):
    with pytest.raises(InputError, match=f"^{words}$"):
        Threshold(**arguments)
