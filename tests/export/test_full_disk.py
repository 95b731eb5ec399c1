"""Files that cannot be written whole: one line with the path, and nothing is left."""

import contextlib
import resource

import pytest

from robust_sparse_tf import export, models
from robust_sparse_tf.files import WriteError

WRITERS = {
    "model.keras": export.to_keras3,
    "model.onnx": export.to_onnx,
    "model.safetensors": export.to_packed,
    "saved_model": export.to_saved_model,
    "model.tflite": export.to_tflite,
}


@contextlib.contextmanager
def largest_file(size: int):
    """Lets no file grow beyond a size in bytes, as if the disk was full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk(name, tmp_path):
    model, path = models.mlp((4, 4, 1), hidden=[50]), tmp_path / name
    with largest_file(2000), pytest.raises(WriteError) as caught:
        WRITERS[name](model, str(path))
    assert str(path) in str(caught.value) and len(str(caught.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_full_disk_while_an_overlay_is_written(tmp_path):
    path = tmp_path / "model.tflite"
    export.to_tflite(models.mlp((4, 4, 1), hidden=[50]), str(path))
    with largest_file(100), pytest.raises(WriteError, match=r"density\.json"):
        export.to_model_explorer(str(path), str(tmp_path / "density.json"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.tflite"]


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_is_not_there(name, tmp_path):
    path = tmp_path / "none" / name
    if name == "saved_model":  # folders are made
        assert export.to_saved_model(models.mlp((4, 4, 1), hidden=[5]), str(path)) > 0
        return
    with pytest.raises(WriteError, match="none"):
        WRITERS[name](models.mlp((4, 4, 1), hidden=[5]), str(path))
