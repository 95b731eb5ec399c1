import numpy as np
import pytest

from robust_sparse_tf import models


@pytest.mark.parametrize(
    "options, weights", [(dict(), 166_850), (dict(width=1.5), 374_014), (dict(width=0.5), 42_182)]
)
def test_strided_cnn(options, weights):
    assert models.strided_cnn(**options).count_params() == weights


def test_initial_weights_are_narrow():
    """The deviation falls with the number of inputs, not with its root."""
    network = models.strided_cnn((8, 10, 3), 5)
    for name, inputs in (("conv_1", 48), ("conv_2", 256), ("hidden_1", 192), ("logits", 100)):
        kernel = network.get_layer(name).kernel.numpy()
        assert np.prod(kernel.shape[:-1]) == inputs
        assert kernel.std() == pytest.approx(np.sqrt(2 * np.pi) / inputs, rel=0.1)
