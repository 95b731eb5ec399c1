import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity import LayerState
from robust_sparse_tf.sparsity.methods.snfs import SNFS, apportion


def apportioned(total: int, shares: list[float], rooms: list[int]) -> np.ndarray:
    found = apportion(
        tf.constant(total), tf.constant(shares, tf.float32), tf.constant(rooms, tf.int32)
    )
    return found.numpy()


@st.composite
def problems(draw):
    """A total, shares (some of them zero, some far apart) and rooms that can hold the total."""
    count = draw(st.integers(1, 6))
    share = st.one_of(st.just(0.0), st.floats(2**-40, 2**20, width=32))
    shares = draw(st.lists(share, min_size=count, max_size=count))
    rooms = draw(
        st.lists(
            st.one_of(st.integers(0, 50), st.integers(0, 2**28)), min_size=count, max_size=count
        )
    )
    return draw(st.integers(0, sum(rooms))), shares, rooms


@given(problems())
def test_apportion_gives_all_and_respects_rooms(problem):
    total, shares, rooms = problem
    found = apportioned(total, shares, rooms)
    assert found.sum() == total
    assert np.all(found >= 0) and np.all(found <= rooms)


@given(st.integers(0, 2**27), st.lists(st.floats(2**-10, 2**10, width=32), min_size=1, max_size=6))
def test_apportion_is_proportional_where_there_is_room(total, shares):
    found = apportioned(total, shares, [2**28] * len(shares))
    exact = total * np.float64(shares) / np.sum(np.float64(shares))
    assert np.abs(found - exact).max() <= len(shares) + 1e-6


@given(problems())
def test_apportion_spreads_what_full_layers_leave(problem):
    """Layers that are not full have numbers in proportion to their shares."""
    total, shares, rooms = problem
    found = apportioned(total, shares, rooms)
    open_ones = [i for i in range(len(rooms)) if found[i] < rooms[i] and shares[i] >= 1e-3]
    for i in open_ones:
        for j in open_ones:
            part = shares[i] / (shares[i] + shares[j])
            both = int(found[i]) + int(found[j])
            assert abs(found[i] - part * both) <= len(rooms) + 1e-6


@pytest.mark.parametrize(
    "total, shares, rooms, expected",
    [
        (10, [1, 1], [50, 50], [5, 5]),
        (10, [3, 1, 1], [50, 50, 50], [6, 2, 2]),
        (10, [3, 1, 1], [2, 50, 50], [2, 4, 4]),
        (9, [100, 2, 1], [0, 50, 50], [0, 6, 3]),
        (5, [0, 0], [3, 3], [3, 2]),
        (6, [1, 0], [4, 4], [4, 2]),
        (0, [1, 2], [3, 3], [0, 0]),
        (6, [1, 2], [3, 3], [3, 3]),
        (7, [5], [7], [7]),
    ],
)
def test_apportion_of_known_cases(total, shares, rooms, expected):
    found = apportioned(total, shares, rooms)
    np.testing.assert_array_equal(found, expected)


def states(momenta: list[float], active: float = 0.5, size: int = 20) -> list[LayerState]:
    """Layers of size x size weights with a given mean momentum of their active weights."""
    rng = np.random.default_rng(0)
    layers = []
    for index, momentum in enumerate(momenta):
        mask = rng.permutation(size * size).reshape(size, size) < active * size * size
        gradient = np.where(mask, rng.choice([-1, 1], mask.shape) * momentum, 1e3)
        weight = np.where(mask, rng.normal(size=mask.shape), 0)
        tensors = (np.float32(weight), mask, np.float32(gradient))
        layers.append(LayerState(f"{index}", index, mask.shape, *map(tf.constant, tensors)))
    return layers


def change(method, layers) -> tuple[list[int], list[int]]:
    changes = method.change(layers, tf.constant(1, tf.int64))
    kept, grown = zip(*[(int(np.sum(c.kept)), int(np.sum(c.grown))) for c in changes], strict=True)
    return list(kept), list(grown)


def test_shares_follow_the_mean_momentum_of_active_weights():
    """Of 120 dropped, as 1 : 1 : 2 wants it; the momentum of pruned weights does not count."""
    kept, grown = change(SNFS(drop_fraction=0.2), states([0.125, 0.125, 0.25]))
    assert kept == [160, 160, 160]
    assert grown == [30, 30, 60]


def test_a_mean_is_over_as_many_weights_as_are_active():
    """Not over all: a sparser layer of equal momentum has an equal share."""
    layers = [*states([0.3], 0.1), *states([0.3], 0.5)]
    kept, grown = change(SNFS(drop_fraction=0.5), layers)
    assert kept == [20, 100]
    assert grown == [60, 60]


def test_full_layers_leave_their_share_to_others():
    kept, grown = change(SNFS(drop_fraction=0.5), states([100.0, 1.0, 1.0], 0.9))
    assert kept == [180, 180, 180]
    assert grown == [220, 160, 160]


def test_layers_without_momentum_keep_the_whole_count():
    kept, grown = change(SNFS(drop_fraction=0.3), states([0.0, 0.0]))
    assert sum(kept) + sum(grown) == 400


def test_blocks_grow_whole_and_keep_the_whole_count():
    method = SNFS(0.5, drop_fraction=0.4, structure="block:4x5")
    rng = np.random.default_rng(0)
    layers = []
    for state in states([1.0, 2.0]):
        active = method.structures([state])[0].keep(np.float32(rng.random((20, 20))), 200)
        layers.append(state._replace(active=active, gradient=tf.ones([20, 20]) * (state.place + 1)))
    kept, grown = change(method, layers)
    assert kept == [120, 120]
    assert grown == [60, 100]


@pytest.mark.parametrize("structure", ["2:4", "1:2@outputs", "channels"])
def test_refused_structures(structure):
    with pytest.raises(InputError, match=f"^structure={structure}: must not be"):
        SNFS(0.5, structure=structure)


def test_units_of_one_size_in_all_layers():
    with pytest.raises(InputError, match="^conv_structure=weights: must be that of structure"):
        SNFS(0.5, structure="block:4x1", conv_structure="weights")
