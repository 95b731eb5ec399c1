"""Files whose large buffers are behind the flatbuffer, as ai-edge-quantizer writes them."""

import json

import numpy as np
import pytest
import tf_keras as keras
from ai_edge_litert import schema_py_generated as schema

from robust_sparse_tf import export
from robust_sparse_tf.export.flatbuffer import read_model
from robust_sparse_tf.export.quantization import quantization_of
from robust_sparse_tf.export.tflite_kernels import tflite_kernels

SIZE = 784 * 300


@pytest.fixture(scope="module", params=["int8", "int4"])
def written(request, tmp_path_factory) -> tuple[str, str]:
    """A quantisation, and a file with a kernel of a quarter of zeros."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(300)])
    (kernel,) = (weight for weight in model.weights if weight.shape.rank == 2)
    mask = np.random.default_rng(0).random(kernel.shape) < 0.75
    kernel.assign(kernel * mask)
    path = str(tmp_path_factory.mktemp("large") / "model.tflite")
    export.to_tflite(model, path, quantization=request.param)
    return request.param, path


def content_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def test_buffers_are_behind(written):
    """So that the other tests show something."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(content_of(written[1])), 0)
    assert any(buffer.data is None and buffer.size > SIZE // 3 for buffer in model.buffers)


def test_bytes_of_buffers(written):
    largest = max(len(buffer.data) for buffer in read_model(content_of(written[1])).buffers)
    assert largest == (SIZE if written[0] == "int8" else SIZE // 2)


def test_quantisation_is_recognised(written):
    assert quantization_of(content_of(written[1])) == written[0]


def test_kernels_and_densities(written, tmp_path):
    (kernel,) = tflite_kernels(written[1])
    assert kernel.size == SIZE and kernel.active / SIZE == pytest.approx(0.75, abs=0.15)
    assert 0 < export.entropy_bound(written[1]) < SIZE
    export.to_model_explorer(written[1], str(tmp_path / "density.json"))
    (found,) = json.loads((tmp_path / "density.json").read_text())["results"].values()
    assert found["value"] == pytest.approx(kernel.active / SIZE, abs=1e-6)
