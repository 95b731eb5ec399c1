"""Features that are known to be useful or not, as their images are the features."""

import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import data, models, sparsify
from robust_sparse_tf.data import Split
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import usefulness
from robust_sparse_tf.procedures import FeaturePruning, LotteryTicket
from robust_sparse_tf.sparsity import masked_weights
from robust_sparse_tf.training import AdversarialModel

LABELS = np.arange(20) % 2
# The first pixel says most of the label, but an attack turns it; the second says less, and stands;
# the third says nothing; the fourth lies. Rows are those of label 0 and of label 1.
SAYS = np.array([[0.0, 0.0, 0.4, 0.5], [0.04, 0.6, 0.4, 0.0]], np.float32)
WEIGHTS = np.array([50.0, 2.0, -1.0, 1.0], np.float32)


def split() -> Split:
    images = SAYS[LABELS].reshape(20, 2, 2, 1)
    return Split(images, LABELS, num_classes=2, batch_size=10)


def pixels() -> keras.Model:
    model = models.binary_linear((2, 2, 1))
    model.set_weights([WEIGHTS[:, None], np.array([-15.0], np.float32)])
    return sparsify(model)


def active(model) -> list[list[bool]]:
    """Which features each layer has left, the output layer last."""
    *hidden, last = [mask.numpy() == 1 for _, _, mask, *_ in masked_weights(model)]
    rows = last.any(axis=1)
    for mask in hidden[-1:]:
        np.testing.assert_array_equal(mask.any(axis=0), rows)
        np.testing.assert_array_equal(mask.all(axis=0), rows)
    np.testing.assert_array_equal(last.all(axis=1), rows)
    return rows.tolist()


@pytest.mark.parametrize(
    "measure, order", [("usefulness", [3, 2, 1, 0]), ("robust_usefulness", [0, 3, 2, 1])]
)
def test_least_useful_goes_first(measure, order):
    """One of four a round, down to the last, which stays."""
    model, left = pixels(), set(range(4))
    pruning = FeaturePruning(prune_features=0.3, prune_measure=measure)
    for feature in order[:-1]:
        pruning.prune(model, split())
        left.discard(feature)
        assert np.flatnonzero(active(model)).tolist() == sorted(left)
    pruning.prune(model, split())
    assert np.flatnonzero(active(model)).tolist() == sorted(left)


@pytest.mark.parametrize(
    "rate, active, kept",
    [
        (0.5, [1, 1, 1, 1], [0, 0, 1, 1]),
        (0.4, [1, 1, 0, 1], [0, 1, 0, 1]),
        (0.2, [1, 1, 0, 0], [1, 1, 0, 0]),
        (1.0, [1, 1, 1, 1], [0, 0, 0, 1]),
        (0.0, [0, 1, 1, 1], [0, 1, 1, 1]),
    ],
)
def test_kept(rate, active, kept):
    worth = np.array([-0.5, 0.1, 0.2, 0.9])
    found = FeaturePruning(prune_features=rate).kept(worth, np.array(active) == 1)
    assert found.tolist() == [bool(value) for value in kept]


@pytest.mark.parametrize("count, goes", [(10, 0), (20, 1), (1000, 1)])
def test_looks_at_as_many_images_as_asked(count, goes):
    """On the first ten the first pixel says nothing, on all more than the second."""
    images = np.zeros((20, 1, 2, 1), np.float32)
    images[10:, 0, 0, 0], images[:, 0, 1, 0] = 0.6 * LABELS[10:], 0.1 * LABELS
    model = models.binary_linear((1, 2, 1))
    model.set_weights([np.full((2, 1), 2.0), np.zeros(1)])
    sparse = sparsify(model)
    pruning = FeaturePruning(prune_features=0.4, prune_measure="usefulness", prune_images=count)
    pruning.prune(sparse, Split(images, LABELS, num_classes=2, batch_size=5))
    assert active(sparse) == [goes != 0, goes != 1]


def test_unit_goes_with_its_feature(digits):
    """The network is that without the unit."""
    train = data.load("digits", classes=[3, 7], batch_size=20)[0]
    keras.utils.set_random_seed(0)
    model = sparsify(models.mlp_300_100_100((8, 8, 1), 2, width=0.1))
    before = usefulness(model, train)
    FeaturePruning(prune_features=0.4, prune_images=train.size).prune(model, train)
    rows = np.array(active(model))
    assert rows.tolist() == (before.weighted_robust >= np.sort(before.weighted_robust)[4]).tolist()
    after = usefulness(model, train)
    np.testing.assert_allclose(after.weighted, np.where(rows, before.weighted, 0), atol=1e-6)


def test_rounds_go_on_with_fewer_features():
    train = data.load("digits", classes=[3, 7], batch_size=20)[0]
    keras.utils.set_random_seed(0)
    model = AdversarialModel(sparsify(models.mlp_300_100_100((8, 8, 1), 2, width=0.1)))
    model.compile(keras.optimizers.Adam(1e-2), jit_update=False)
    procedure = LotteryTicket(strategy="continued", rounds=3, iterations=4, evaluate_every=4)
    left = []
    records = procedure.run(
        model,
        train,
        lambda: {},
        pruner=FeaturePruning(prune_features=0.5, prune_images=50),
        on_round_end=lambda _: left.append(sum(active(model.network))),
    )
    assert left == [10, 5, 3]
    assert [record["layers"]["logits"] for record in records] == [1.0, 0.5, 0.3]


def test_refuses_more_classes(digits):
    with pytest.raises(InputError, match="two classes"):
        FeaturePruning().prune(sparsify(models.mlp((8, 8, 1))), digits[0])


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(prune_features=1.5), "prune_features=1.5: must be at least 0 and at most 1"),
        (dict(prune_measure="size"), "prune_measure=size: must be one of usefulness, robust"),
        (dict(prune_images=0), "prune_images=0: must be at least 1"),
    ],
)
def test_refuses(options, words):
    with pytest.raises(InputError, match=words):
        FeaturePruning(**options)
