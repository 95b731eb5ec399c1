"""Files whose large buffers are behind the flatbuffer, as ai-edge-quantizer writes them."""

import json

import numpy as np
import pytest
import tf_keras as keras
from ai_edge_litert import schema_py_generated as schema

from robust_sparse_tf import export
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.flatbuffer import read_model
from robust_sparse_tf.export.quantization import quantization_of
from robust_sparse_tf.export.tflite_kernels import tflite_kernels

SIZE = 784 * 300  # of the first of two kernels; small files have all buffers inside


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> str:
    """A file of 8-bit weights, with a kernel of a quarter of zeros."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((784,)), keras.layers.Dense(300), keras.layers.Dense(300)]
    )
    kernel, _ = (weight for weight in model.weights if weight.shape.rank == 2)
    mask = np.random.default_rng(0).random(kernel.shape) < 0.75
    kernel.assign(kernel * mask)
    path = str(tmp_path_factory.mktemp("large") / "model.tflite")
    export.to_tflite(model, path, quantization="int8")
    return path


def content_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def test_buffers_are_behind(written):
    """So that the other tests show something."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(content_of(written)), 0)
    assert any(buffer.data is None and buffer.size == SIZE for buffer in model.buffers)


def test_bytes_of_buffers(written):
    largest = max(len(buffer.data) for buffer in read_model(content_of(written)).buffers)
    assert largest == SIZE


def test_quantisation_is_recognised(written):
    assert quantization_of(content_of(written)) == "int8"


def test_kernels_and_densities(written, tmp_path):
    kernel, other = tflite_kernels(written)
    assert kernel.size == SIZE and kernel.active / SIZE == pytest.approx(0.75, abs=0.15)
    assert 0 < export.entropy_bound(written) < SIZE + 300 * 300
    export.to_model_explorer(written, str(tmp_path / "density.json"))
    found = json.loads((tmp_path / "density.json").read_text())["results"]
    assert found[kernel.output]["value"] == pytest.approx(kernel.active / SIZE, abs=1e-6)
    assert set(found) == {kernel.output, other.output}


def test_names_that_are_not_text(written):
    content = content_of(written)
    name = read_model(content).subgraphs[0].tensors[0].name
    assert content.count(name) >= 1
    damaged = content.replace(name, b"\x8a" * len(name))
    with pytest.raises(InputError, match="^content: must be that of a TFLite file"):
        export.tflite_function(damaged)
