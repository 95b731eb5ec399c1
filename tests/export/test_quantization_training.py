"""Training for 8 bits keeps zeros, and its file computes what the network computes."""

import numpy as np
import pytest
import tf_keras as keras
from ai_edge_litert.interpreter import Interpreter

from robust_sparse_tf import AdversarialModel, attacks
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export import quantization_aware, to_tflite, verify
from robust_sparse_tf.export.quantization import quantization_of

layers = keras.layers


def pruned(network: keras.Model) -> list[np.ndarray]:
    return [w.numpy() == 0 for w in network.trainable_weights if w.shape.rank > 1]


@pytest.fixture(scope="module")
def aware(trained, digits):
    """Trained in an adversarial model, then by its own `fit`. Not to be changed by a test."""
    network = quantization_aware(trained)
    zeros = pruned(network)
    model = AdversarialModel(network, attack=attacks.FGSM(epsilon=0.02))
    model.compile(keras.optimizers.Adam(1e-3), jit_update=False)
    model.fit(digits[0], epochs=1, steps_per_epoch=5, verbose=0)
    network.compile(
        keras.optimizers.AdamW(1e-3, weight_decay=0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    network.fit(digits[0].images[:160], digits[0].labels[:160], verbose=0)
    return network, zeros


def test_training_changes_the_weights_and_keeps_the_zeros(aware, trained):
    network, zeros = aware
    before = [w.numpy() for w in trained.network.trainable_weights if w.shape.rank > 1]
    after = [w.numpy() for w in network.trainable_weights if w.shape.rank > 1]
    for own, given, kernel in zip(zeros, before, after, strict=True):
        assert own.mean() > 0.5 and (kernel[own] == 0).all()
        assert (given[own] == 0).all() and (kernel[~own] != given[~own]).mean() > 0.9


def test_it_begins_as_the_given_network(trained, digits):
    """Though with 8 bits; ranges of weights are those of the weights, not tfmot's -6 to 6."""
    images = digits[2].images
    network = quantization_aware(trained)
    same = network(images).numpy().argmax(1) == trained.network(images).numpy().argmax(1)
    assert same.mean() > 0.9


def test_the_file_has_the_trained_ranges(aware, digits, tmp_path):
    """Whatever the representative images, which only serve to compare."""
    network, zeros = aware
    path = tmp_path / "model.tflite"
    images = digits[1].images[:20]
    to_tflite(network, path, quantization="full_int8", representative=images)
    found = verify(path, network, digits[2].images)
    assert found.agreement > 0.99
    content = path.read_bytes()
    assert quantization_of(content) == "full_int8"
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    kernels = {
        tuple(each["shape"]): interpreter.get_tensor(each["index"])
        for each in interpreter.get_tensor_details()
        if each["dtype"] == np.int8 and len(each["shape"]) == 2 and each["shape"][0] > 1
    }
    for own in zeros:
        assert (kernels[own.T.shape][own.T] == 0).all()


@pytest.mark.parametrize("quantization", ["fp32", "fp16", "int8", "int4"])
def test_other_quantisations_are_refused(quantization, aware, tmp_path):
    path = tmp_path / "model.tflite"
    with pytest.raises(InputError, match=f"^quantization={quantization}: must be full_int8"):
        to_tflite(aware[0], path, quantization=quantization)
    assert not path.exists()


def test_batch_normalisation_is_folded(tmp_path):
    keras.utils.set_random_seed(0)
    inner = [layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU()]
    model = keras.Sequential([layers.Input((8, 8, 1)), *inner, layers.Flatten(), layers.Dense(3)])
    network, path = quantization_aware(model), tmp_path / "model.tflite"
    to_tflite(network, path, quantization="full_int8")
    images = np.random.default_rng(0).random((100, 8, 8, 1), np.float32)
    assert verify(path, network, images).agreement > 0.95


class Doubled(layers.Layer):
    def call(self, inputs):
        return 2 * inputs


@pytest.mark.parametrize(
    ("shape", "inner", "name"),
    [
        ((4,), lambda: layers.Rescaling(2.0, name="own"), "Rescaling"),
        ((4,), lambda: layers.Lambda(lambda x: 2 * x, name="own"), "Lambda"),
        ((4,), lambda: Doubled(name="own"), "Doubled"),
        ((4,), lambda: keras.Sequential([layers.Dense(3)], name="own"), "Sequential"),
        ((4, 3), lambda: layers.GRU(3, name="own"), "GRU"),
        ((4, 3), lambda: layers.Conv1D(3, 4, name="own"), "Conv1D"),
        ((4,), lambda: layers.BatchNormalization(name="own"), "BatchNormalization"),
    ],
)
def test_layers_that_cannot_be_quantised_are_named(shape, inner, name):
    model = keras.Sequential([layers.Input(shape), inner(), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(InputError, match=f"^model {model.name}: .*own.*{name}") as caught:
        quantization_aware(model)
    assert "\n" not in str(caught.value)


def test_other_models_are_refused(aware):
    with pytest.raises(InputError, match="is quantisation-aware already"):
        quantization_aware(aware[0])
    with pytest.raises(InputError, match="must be a tf_keras model"):
        quantization_aware(None)
