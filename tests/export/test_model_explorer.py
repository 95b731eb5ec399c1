"""The overlay for Model Explorer: its format, and the densities in it."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import export
from robust_sparse_tf.errors import InputError

layers = keras.layers


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Kernels of densities 1/4 (columns of zeros), 1 and 1/10."""
    keras.utils.set_random_seed(0)
    made = keras.Sequential([layers.Input((8, 8, 3)), layers.Conv2D(8, 3, activation="relu")])
    for layer in (layers.DepthwiseConv2D(3), layers.Flatten(), layers.Dense(50)):
        made.add(layer)
    rng = np.random.default_rng(0)
    conv, dense = made.layers[0], made.layers[-1]
    conv.kernel.assign(conv.kernel * (np.arange(8) < 2))
    mask = rng.permutation(dense.kernel.shape.num_elements()) % 10 == 0
    dense.kernel.assign(dense.kernel * mask.reshape(dense.kernel.shape))
    return made


def converted(model, optimizations, types=()):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = optimizations
    converter.target_spec.supported_types = list(types)
    return converter.convert()


KINDS = {
    "dense": ([], ()),
    "sparse": ([tf.lite.Optimize.EXPERIMENTAL_SPARSITY], ()),
    "half": ([tf.lite.Optimize.DEFAULT], [tf.float16]),
    "dynamic int8": ([tf.lite.Optimize.DEFAULT], ()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_densities(kind, model, tmp_path):
    path, written = tmp_path / "model.tflite", tmp_path / "density.json"
    path.write_bytes(converted(model, *KINDS[kind]))
    size = export.to_model_explorer(str(path), str(written))
    content = json.loads(written.read_text())
    assert size == written.stat().st_size
    rough = 0.01 if kind == "dynamic int8" else 1e-6  # small weights become zero
    values = [result["value"] for result in content["results"].values()]
    expected = [np.count_nonzero(w) / w.size for w in model.get_weights() if w.ndim > 1]
    np.testing.assert_allclose(values, expected, atol=rough)
    assert export.entropy_bound(str(path)) < export.sizes(str(path)).bytes
    assert_node_data(content)
    details = export.tflite_runner.Interpreter(model_path=str(path)).get_tensor_details()
    assert set(content["results"]) <= {each["name"] for each in details}


def assert_node_data(content: dict) -> None:
    """Holds it to `GraphNodeData` of Model Explorer 0.1 (node_data_builder.py)."""
    assert set(content) == {"name", "results", "thresholds"} and isinstance(content["name"], str)
    # The page takes a file for the data of one graph unless it has "results" in "results".
    assert "results" not in content["results"]
    for name, result in content["results"].items():
        assert isinstance(name, str) and set(result) == {"value"}
        assert isinstance(result["value"], float) and 0 <= result["value"] <= 1
    limits = [threshold["value"] for threshold in content["thresholds"]]
    assert limits == sorted(limits) and limits[-1] == 1  # the first that is not below counts
    for threshold in content["thresholds"]:
        assert set(threshold) == {"value", "bgColor"}
        assert re.fullmatch("#[0-9a-f]{6}", threshold["bgColor"])


def test_codes_of_four_bits(tmp_path):
    """Read back from a file of the quantizer, with an odd number of weights."""
    from ai_edge_quantizer import quantizer, recipe

    model = keras.Sequential([layers.Input((5,)), layers.Dense(3)])
    kernel = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, 0.5, 0]], np.float32)
    model.set_weights([kernel, np.zeros(3)])
    path, quantised = tmp_path / "model.tflite", tmp_path / "int4.tflite"
    path.write_bytes(converted(model, []))
    chosen = quantizer.Quantizer(str(path))
    chosen.load_quantization_recipe(recipe.dynamic_wi4_afp32())
    chosen.quantize().export_model(str(quantised))
    export.to_model_explorer(str(quantised), str(tmp_path / "density.json"))
    (result,) = json.loads((tmp_path / "density.json").read_text())["results"].values()
    assert result["value"] == pytest.approx(5 / 15, abs=1e-6)


def test_files_that_are_refused(tmp_path):
    flat = keras.Sequential([layers.Input((4,)), layers.ReLU()])
    cases = {"none": None, "text": b"no model", "flat": converted(flat, [])}
    for name, content in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}: ") as caught:
            export.to_model_explorer(str(tmp_path / name), str(tmp_path / "density.json"))
        assert "\n" not in str(caught.value) and not (tmp_path / "density.json").exists()
    (tmp_path / "cut").write_bytes(cases["flat"][:40])
    with pytest.raises(InputError, match="cut"):
        export.to_model_explorer(str(tmp_path / "cut"), str(tmp_path / "density.json"))
