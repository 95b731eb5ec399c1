"""What is told of losses before a model trains."""

import warnings

import pytest
import tf_keras as keras

from robust_sparse_tf import AdversarialModel, sparsify
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.sparsity import Static

layers, losses = keras.layers, keras.losses


def network(activation=None) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([layers.Input((4,)), layers.Dense(3, activation)])


@pytest.mark.parametrize(
    "loss, activation, told",
    [
        ("sparse_categorical_crossentropy", None, True),
        (losses.SparseCategoricalCrossentropy(), None, True),
        (losses.BinaryCrossentropy(), None, True),
        (losses.categorical_crossentropy, None, True),
        (losses.SparseCategoricalCrossentropy(from_logits=True), None, False),
        (losses.SparseCategoricalCrossentropy(), "softmax", False),
        (losses.BinaryCrossentropy(), "sigmoid", False),
        ("mse", None, False),
        (lambda labels, outputs: outputs, None, False),
    ],
)
def test_losses_of_probabilities_are_told_of_where_a_model_returns_logits(loss, activation, told):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", RunWarning)
        sparsify(network(activation)).compile("sgd", loss)
    assert any("give it from_logits=True" in str(each.message) for each in warned) == told


def test_metrics_of_probabilities_are_told_of():
    for metric in ("ce", keras.metrics.SparseCategoricalCrossentropy()):
        with pytest.warns(RunWarning, match="expects probabilities, but the model ret"):
            AdversarialModel(network()).compile(metrics=[metric, "accuracy"])


@pytest.mark.parametrize("make", [lambda model: model, AdversarialModel])
def test_weights_of_the_dense_network_are_refused_in_one_line(make, tmp_path):
    dense, model = network(), make(sparsify(network(), Static(0.5)))
    names = ["dense", "dense.h5", "dense.weights.h5"]
    for name in names:
        dense.save_weights(tmp_path / name)
    calls = [lambda: model.set_weights(dense.get_weights()), lambda: model.set_weights(None)]
    calls += [lambda name=name: model.load_weights(tmp_path / name) for name in [*names, "none"]]
    for call in calls:
        with pytest.raises(InputError) as caught:
            call()
        assert len(str(caught.value).splitlines()) == 1
