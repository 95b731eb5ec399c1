"""A file that disagrees with its model is deleted and reported."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import OpResolverType

from robust_sparse_tf import export, models, strip
from robust_sparse_tf.errors import InputError, TrainingError
from robust_sparse_tf.export import tflite_logits, to_tflite, verification, verify
from robust_sparse_tf.export.quantization import quantised

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def content(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("verified") / "model.tflite"
    to_tflite(trained, path, sparse=False)
    return path.read_bytes()


@pytest.fixture
def path(content, tmp_path):
    (tmp_path / "model.tflite").write_bytes(content)
    return tmp_path / "model.tflite"


def test_figures_of_a_right_file(path, trained, digits):
    """As computed by hand, with XNNPACK and without; for bytes as for floats."""
    images = digits[2].images
    found = verify(path, trained, images)
    assert (found.images, found.agreement, found.agreement_without_xnnpack) == (360, 1, 1)
    expected = trained.network(images).numpy()
    logits = [tflite_logits(path.read_bytes(), images, each) for each in OPTIONS]
    assert found.difference == pytest.approx(np.abs(logits[0] - expected).max(), abs=1e-6)
    assert found.difference_without_xnnpack < 1e-4
    assert "100.0 % of predictions agree" in str(found) and "without XNNPACK" in str(found)
    pixels = np.rint(images * 255).astype(np.uint8)
    assert verify(path, trained, pixels).agreement == 1
    assert path.exists()


OPTIONS = (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)


@pytest.mark.parametrize("bits", [8, 4])
def test_quantised_files_may_differ_more(bits, path, trained, digits):
    path.write_bytes(quantised(path.read_bytes(), bits))
    found = verify(path, trained, digits[2].images)
    assert found.agreement > 0.9 and found.difference > 1e-3
    assert path.exists()


def tampered(content: bytes, kernel: np.ndarray, value: float) -> bytes:
    """The file with another number in place of the kernel's largest."""
    stored = np.ascontiguousarray(kernel.T).tobytes()
    assert content.count(stored) == 1
    largest = np.float32(kernel.flat[np.abs(kernel).argmax()])
    changed = stored.replace(largest.tobytes(), np.float32(value).tobytes())
    return content.replace(stored, changed)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (30.0, r"logits differ by up to \d+.*; must be at least 99 %, and at most 0"),
        (np.nan, "logits differ by up to nan"),
    ],
)
def test_a_tampered_file_is_deleted_and_reported(value, words, path, trained, digits):
    kernel = trained.network.layers[-1].get_weights()[0]
    path.write_bytes(tampered(path.read_bytes(), kernel, value))
    with pytest.raises(TrainingError, match=f"is deleted, as it disagrees.*{words}") as caught:
        verify(path, trained, digits[2].images)
    assert "on 360 images" in str(caught.value) and "\n" not in str(caught.value)
    assert not path.exists()


def test_another_model_disagrees(path, trained, make_lenet, digits):
    path.write_bytes(quantised(path.read_bytes(), 4))
    with pytest.raises(TrainingError, match="must be at least 80 %"):
        verify(path, make_lenet(0.5, seed=1), digits[2].images)
    assert not path.exists()


@pytest.mark.parametrize("resolver", OPTIONS)
def test_a_difference_with_or_without_xnnpack_is_enough(
    resolver, path, trained, digits, monkeypatch
):
    right = verification.tflite_logits
    monkeypatch.setattr(
        verification,
        "tflite_logits",
        lambda content, images, own: right(content, images, own) + (own == resolver),
    )
    with pytest.raises(TrainingError, match="is deleted"):
        verify(path, trained, digits[2].images)
    assert not path.exists()


def test_a_file_that_does_not_run_is_deleted(path, trained, digits, monkeypatch):
    def failing(*given):
        raise RuntimeError("failed to delegate node 1\nmore")

    monkeypatch.setattr(verification, "tflite_logits", failing)
    with pytest.raises(TrainingError, match=r"does not run \(failed to delegate node 1\)$"):
        verify(path, trained, digits[2].images)
    assert not path.exists()


WRITERS = {
    "model": export.to_saved_model,
    "model.keras": export.to_keras3,
    "model.onnx": export.to_onnx,
    "model.safetensors": export.to_packed,
    "own.keras": lambda model, path: strip(model).save(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_other_formats(name, trained, digits, make_lenet, tmp_path, recwarn):
    path = str(tmp_path / name)
    WRITERS[name](trained, path)
    found = verify(path, trained, digits[2].images)
    assert found.agreement == 1 and found.difference < 1e-4
    assert found.agreement_without_xnnpack is None and "XNNPACK" not in str(found)
    assert not [each for each in recwarn if "is a program" in str(each.message)]
    with pytest.raises(TrainingError, match="is deleted, as it disagrees"):
        verify(path, make_lenet(0.5, seed=1), digits[2].images)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_read_is_refused_and_kept(path, trained, digits):
    """Such as a path that was not meant; nothing is deleted."""
    images, whole = digits[2].images, path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged|TFLite file") as caught:
        verify(path, trained, images)
    assert "\n" not in str(caught.value) and path.exists()
    with pytest.raises(InputError, match=r"images of shape \(360, 8, 7, 1\): must be"):
        verify(path, trained, images[:, :, 1:])
    with pytest.raises(InputError, match="does not exist"):
        verify(path.with_name("none"), trained, images)
    with pytest.raises(InputError, match="must be a tf_keras model"):
        verify(path, lambda x: x, images)
    path.write_text("no model")
    with pytest.raises(InputError, match="cannot be read"):
        verify(path, models.linear(SHAPE), images)
    assert path.exists()
