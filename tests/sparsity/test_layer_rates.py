import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity import LayerRates, densities, masked_weights


def dense_pair(first: np.ndarray, last: np.ndarray) -> keras.Model:
    """A sparse model of two layers with given kernels."""
    model = keras.Sequential(
        [
            keras.layers.Input(first.shape[:1]),
            keras.layers.Dense(first.shape[1], use_bias=False),
            keras.layers.Dense(last.shape[1], use_bias=False),
        ]
    )
    model.set_weights([first, last])
    return sparsify(model)


rates = st.floats(0, 0.9)


@hypothesis.settings(max_examples=12)
@hypothesis.given(
    hnp.arrays(np.float32, (6, 5), elements=st.sampled_from([-1.0, -0.5, 0.0, 0.5, 2.0])),
    hnp.arrays(np.float32, (5, 3), elements=st.floats(-3, 3, width=32, allow_subnormal=False)),
    st.lists(st.tuples(rates, rates), min_size=1, max_size=4),
)
def test_rounds_of_layer_rates(first, last, rounds):
    """Exact counts whatever the ties; what is pruned stays away, even at the largest weight."""
    model = dense_pair(first, last)
    entries = list(masked_weights(model))
    for hidden, output in rounds:
        before = [entry.mask.numpy() for entry in entries]
        for entry in entries:  # weights grow where there is no mask, as they must not
            entry.weight.assign(entry.weight + 100 * (1 - entry.mask))
        LayerRates(hidden, output).prune(model)
        for entry, old, rate in zip(entries, before, (hidden, output), strict=True):
            mask, weight = entry.mask.numpy(), entry.weight.numpy()
            active = int(old.sum())
            assert mask.sum() == max(1, active - round(rate * active))
            assert np.all(mask <= old)
            assert np.all(weight[mask == 0] == 0)
            kernel = np.abs(first if mask.shape == first.shape else last)
            np.testing.assert_array_equal(np.abs(weight), kernel * mask)
            lost = kernel[(old == 1) & (mask == 0)]
            assert lost.size == 0 or kernel[mask == 1].min() >= lost.max()


def test_published_densities():
    """P_m of LeNet-300-100 on MNIST, in percent, after m rounds of 20 % and 10 %."""
    model = sparsify(models.lenet_300_100())
    published = {0: 100.0, 3: 51.3, 8: 16.9, 11: 8.7, 15: 3.6, 18: 1.8}
    found = {}
    for number in range(19):
        whole, layers = densities(model)
        found[number] = 100 * whole
        LayerRates().prune(model)
    assert {number: found[number] for number in published} == pytest.approx(published, abs=0.1)
    # The output layer loses half as much a round.
    assert layers["hidden_1"] == pytest.approx(0.8**18, rel=1e-3)
    assert layers["logits"] == pytest.approx(0.9**18, rel=0.02)


def test_a_third_rounded_down():
    """16 rounds leave 2 of 784 weights: 99.74 %, and 99.85 % of large layers."""
    model = dense_pair(np.ones((784, 1), np.float32), np.ones((1, 235_200), np.float32))
    counts = []
    for _ in range(16):
        LayerRates(1 / 3, 1 / 3, "down").prune(model)
        counts.append([int(entry.mask.numpy().sum()) for entry in masked_weights(model)])
    small, large = zip(*counts, strict=True)
    assert small == (523, 349, 233, 156, 104, 70, 47, 32, 22, 15, 10, 7, 5, 4, 3, 2)
    assert 1 - large[-1] / 235_200 == pytest.approx(0.9985, abs=5e-5)


def test_rounds_stop_at_a_density():
    """Of 1,000 weights 300 go, then of 700 those above the last 500; what is pruned stays away."""
    model = dense_pair(np.ones((10, 100), np.float32), np.ones((100, 2), np.float32))
    counts = []
    for _ in range(4):
        LayerRates(0.3, 0.1, prune_until=0.5).prune(model)
        counts.append([int(entry.mask.numpy().sum()) for entry in masked_weights(model)])
    assert counts == [[700, 180], [500, 162], [500, 146], [500, 131]]
    LayerRates(0.9, 0.9, prune_until=0.7).prune(model)
    assert [int(entry.mask.numpy().sum()) for entry in masked_weights(model)] == [500, 131]


def test_one_weight_stays_in_each_layer():
    model = dense_pair(np.ones((4, 3), np.float32), np.ones((3, 2), np.float32))
    for _ in range(2):
        LayerRates(1.0, 1.0).prune(model)
        assert [int(entry.mask.numpy().sum()) for entry in masked_weights(model)] == [1, 1]


@pytest.mark.parametrize(
    ("ends", "kept"),
    [
        (dict(dense_first=True), [20, 5]),
        (dict(dense_last=True), [10, 10]),
        (dict(dense_first=True, dense_last=True), [20, 10]),
    ],
)
def test_ends_stay_dense(ends, kept):
    model = dense_pair(np.ones((4, 5), np.float32), np.ones((5, 2), np.float32))
    LayerRates(0.5, 0.5, **ends).prune(model)
    assert [int(entry.mask.numpy().sum()) for entry in masked_weights(model)] == kept


def test_densities():
    model = dense_pair(np.ones((4, 5), np.float32), np.ones((5, 2), np.float32))
    LayerRates(0.75, 0.5).prune(model)
    whole, layers = densities(model)
    assert whole == (5 + 5) / 30
    assert list(layers.values()) == [0.25, 0.5]
    assert list(layers) == [entry.name for entry in masked_weights(model)]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(prune_hidden=-0.1), "prune_hidden=-0.1: must be at least 0"),
        (dict(prune_until=1.5), "prune_until=1.5: must be at least 0 and at most 1"),
        (dict(prune_rounding="up"), "prune_rounding=up: must be one of nearest, down"),
        (dict(prune_output=1.01), "prune_output=1.01: .* at most 1"),
    ],
)
def test_layer_rates_refuse(arguments, words):
    with pytest.raises(InputError, match=words):
        LayerRates(**arguments)
