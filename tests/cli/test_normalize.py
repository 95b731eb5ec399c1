"""A run whose network begins with the data set's means and deviations."""

import numpy as np
import pytest
import tf_keras as keras

from experiments import evaluate
from robust_sparse_tf import export, models

ARGV = [
    "--dataset=digits",
    "--normalize=dataset",
    "--rounds=2",
    "--iterations=4",
    "--evaluate_every=4",
    "--attack.epsilon=0.1",
    "--attack.steps=2",
    "--eval_attacks=fgsm",
    "--train_size=120",
    "--augment=crop_flip",
]


@pytest.fixture(scope="module")
def normalized(cli, tmp_path_factory):
    """A run on digits, whose means are made up here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.NORMALIZATIONS, "digits", ((0.25,), (0.5,)))
        folder = tmp_path_factory.mktemp("normalized")
        return cli.call([*ARGV, f"--output_dir={folder}"])


def test_networks_and_exports_begin_with_it(normalized):
    assert normalized.code == 0, normalized.err
    network = keras.models.load_model(normalized.path / "rounds" / "1" / "model.keras")
    layer = network.get_layer("normalize")
    x = np.random.default_rng(0).random((3, 8, 8, 1), np.float32)
    np.testing.assert_allclose(layer(x), (x - 0.25) / 0.5, rtol=1e-6, atol=1e-6)
    found = export.tflite_function((normalized.path / "model.tflite").read_bytes())
    np.testing.assert_allclose(found(x), network(x), atol=1e-4)
    assert normalized.results["export"]["agreement"] == 1


def test_it_is_evaluated(normalized):
    asked = ["--attacks=fgsm", "--epsilons=0.1", "--check_masking=false", "--examples=20"]
    assert evaluate.main(["evaluate", f"--model={normalized.path}", *asked]) == 0
    assert list(normalized.path.glob("robustness/*/report.json"))


def test_means_are_of_the_channels():
    for name, (mean, std) in models.NORMALIZATIONS.items():
        channels = 3 if name.startswith("cifar") else 1
        assert len(mean) == len(std) == channels
        models.mlp((8, 8, channels), mean=mean, std=std)
