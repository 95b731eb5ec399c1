import numpy as np
import pytest

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.sparsity import Magnitude, densities, masked_weights


@pytest.mark.parametrize("density", [1.0, 0.5, 0.013, 1e-9])
def test_magnitude_density_holds_in_each_layer(density):
    model = models.lenet_300_100((8, 8, 1))
    before = [np.abs(kernel) for kernel in model.get_weights()]
    sparse = sparsify(model, Magnitude(density))
    for (_, weight, mask, *_), kernel in zip(masked_weights(sparse), before, strict=True):
        kept = mask.numpy() == 1
        assert kept.sum() == max(1, round(density * kernel.size))
        np.testing.assert_array_equal(np.abs(weight), np.where(kept, kernel, 0))
        assert kernel[kept].min() >= kernel[~kept].max(initial=0)


def test_magnitude_density_is_of_all_weights_when_pruned_again():
    sparse = sparsify(models.lenet_300_100((8, 8, 1)), Magnitude(0.5))
    Magnitude(0.2).prune(sparse)
    assert densities(sparse)[0] == pytest.approx(0.2)
    Magnitude(0.2).prune(sparse)
    assert densities(sparse)[0] == pytest.approx(0.2)
    assert set(densities(sparse)[1].values()) == {0.2}


@pytest.mark.parametrize("density", [0.0, 1.1])
def test_magnitude_refuses(density):
    with pytest.raises(InputError, match=f"density={density}: must be above 0 and at most 1"):
        Magnitude(density)
