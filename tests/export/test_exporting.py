"""Several formats at once: what is written, what is refused, and what is said."""

import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import export, models, sparsify
from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.export import tflite
from robust_sparse_tf.export.formats import FORMATS, format_of
from robust_sparse_tf.sparsity import Magnitude

IMAGES = np.random.default_rng(0).integers(0, 256, [100, 8, 8, 1], np.uint8)


@pytest.fixture(scope="module")
def pruned() -> keras.Model:
    """An MLP with few units that matter, and noise in training."""
    keras.utils.set_random_seed(0)
    model = models.mlp((8, 8, 1), hidden=(32, 16))
    noisy = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.GaussianNoise(0.1, name="noise"), *model.layers]
    )
    method = Magnitude(0.25, structure="channels", dense_last=True)
    return sparsify(noisy, method)


@pytest.fixture(scope="module")
def exports(pruned, tmp_path_factory) -> export.Exports:
    folder = tmp_path_factory.mktemp("exports")
    names = ["tflite_fp32", "tflite_full_int8", "tflite_int4_sparse", "packed"]
    return export.to_formats(pruned, str(folder), names, IMAGES, representative=IMAGES)


def test_files(exports):
    """Pixels of 0 to 255 are scaled, for the comparison and for the ranges of activations."""
    written = {each.format.name: each for each in exports.written}
    assert set(written) == {"tflite_fp32", "tflite_full_int8", "packed"}
    for each in written.values():
        assert each.verification.images == 100 and each.verification.agreement >= 0.95
        assert export.sizes(each.path) == (each.bytes, each.gzip_bytes)
    assert {name: each.compacted for name, each in written.items()} == {
        "tflite_fp32": True,
        "tflite_full_int8": True,
        "packed": False,
    }
    assert set(exports.refused) == {"tflite_int4_sparse"}
    assert "ai-edge-quantizer" in exports.refused["tflite_int4_sparse"]


def test_notes(exports):
    assert exports.notes[0] == "noise layers are off in the files: noise"
    assert exports.notes[1].startswith("compacted from ")


def test_without_compaction(pruned, tmp_path):
    found = export.to_formats(pruned, str(tmp_path), ["packed"], IMAGES, compact=False)
    assert [each.compacted for each in found.written] == [False] and len(found.notes) == 1


def test_a_file_that_disagrees_is_left_out(pruned, tmp_path, monkeypatch):
    """As if the converter had mixed up two classes."""
    right = tflite.to_tflite

    def wrong(model: keras.Model, path: str, **options: object) -> int:
        rolled = keras.layers.Lambda(lambda logits: logits[:, ::-1])(model.outputs[0])
        return right(keras.Model(model.inputs, rolled), path)

    monkeypatch.setattr(tflite, "to_tflite", wrong)
    found = export.to_formats(pruned, str(tmp_path), ["tflite_fp32"], IMAGES)
    assert not found.written and "is deleted, as it disagrees" in found.refused["tflite_fp32"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_names(name):
    found = format_of(name)
    assert found.name == name and found.file_name.startswith(name)
    assert name.endswith("_sparse") == found.sparse


@pytest.mark.parametrize(
    "structure, compacted",
    # Compaction leaves single weights of blocks.
    [("weights", True), ("block:4x1", False)],
)
def test_sparse_files_hold_the_smaller_network(structure, compacted, tmp_path):
    keras.utils.set_random_seed(0)
    network = models.mlp((8, 8, 1), hidden=(128, 64))
    sparse = sparsify(network, Magnitude(0.05, structure=structure))
    found = export.to_formats(sparse, str(tmp_path), ["tflite_fp32_sparse"], IMAGES)
    ((written,), small) = found.written, export.compact(sparse).model
    assert any(note.startswith("compacted from ") for note in found.notes)
    assert written.compacted == compacted
    assert written.bytes == export.sizes(written.path).bytes
    other = sparse if compacted else small
    try:
        assert written.bytes < export.to_tflite(other, str(tmp_path / "other.tflite"), sparse=True)
    except TrainingError:  # the converter takes single weights for blocks
        assert not compacted


def test_unknown_format(pruned, tmp_path):
    with pytest.raises(InputError, match="^formats=zip: must be among saved_model, keras3, onnx"):
        export.to_formats(pruned, str(tmp_path), ["zip"], IMAGES)


@pytest.mark.slow
def test_mobilenet_goes_the_whole_way(tmp_path):
    """96x96x3, 10 classes, random weights, pruned to 80 %: written, or refused in one line."""
    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNetV2((96, 96, 3), weights=None, classes=10)
    network.layers[-1].activation = keras.activations.linear  # logits
    sparse = sparsify(network, Magnitude(0.2))
    images = np.random.default_rng(0).random([50, 96, 96, 3], np.float32)
    found = export.to_formats(sparse, str(tmp_path), list(FORMATS), images, representative=images)
    written = {each.format.name for each in found.written}
    assert {"saved_model", "keras3", "onnx", "packed", "tflite_fp32", "tflite_fp16"} <= written
    assert written | set(found.refused) == set(FORMATS)
    for line in found.refused.values():
        assert len(line.splitlines()) == 1 and "MobileNetV2" in line or "mobilenetv2" in line
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {each.format.file_name for each in found.written}
