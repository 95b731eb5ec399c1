"""The command that exports a trained model and measures the files."""

import json
import shutil
from pathlib import Path

import keras as keras3
import numpy as np
import pytest
import tf_keras as keras

from experiments import export as command
from experiments.evaluations import export_options
from robust_sparse_tf import models
from robust_sparse_tf.export.device_profiles import PROFILES
from robust_sparse_tf.export.record import read

QUICK = ["--calls=3", "--attacked=5", "--compared=40", "--representative=20"]
REFUSED = 2


def call(capfd, *argv: str) -> tuple[int, str, str]:
    """Runs the command line in this process: (exit code, stdout, stderr)."""
    capfd.readouterr()
    code = command.main(["export", *argv])
    captured = capfd.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(scope="module")
def exported(base, tmp_path_factory) -> Path:
    """The files of a round of a run."""
    folder = tmp_path_factory.mktemp("exported")
    formats = "--formats=tflite_full_int8,tflite_int4_sparse,packed"
    place = f"--model={base.path / 'rounds' / '2'}"
    names = f"--class_names={','.join('abcdefghij')}"
    assert command.main(["export", place, formats, f"--output={folder}", names, *QUICK]) == 0
    return folder


def test_report(exported):
    report = read(str(exported / "export.json"))
    rows = {row.format: row for row in report.rows}
    assert set(rows) == {"tflite_full_int8", "packed"} and set(report.refused) == {
        "tflite_int4_sparse"
    }
    assert report.model == "lenet_300_100 lottery round 2"
    assert (report.norm, report.epsilon, report.examples) == ("linf", 0.1, 5), "of the run"
    row = rows["tflite_full_int8"]
    assert row.images == 40 and row.agreement > 0.9
    assert row.bytes == (exported / row.file).stat().st_size
    assert report.dense_bytes > row.bytes and report.faster(row) > 0
    assert row.memory > 0 and 0 < row.median <= row.p95
    assert row.robust <= min(row.attacks.values()) <= row.clean
    assert {"transfer_pgd", "square", "twin_pgd"} <= set(row.attacks)
    assert rows["packed"].median is None and rows["packed"].robust is None


def test_files(exported):
    text = (exported / "export.md").read_text()
    assert "| tflite_full_int8" in text and "- tflite_int4_sparse: " in text
    overlay = json.loads((exported / "tflite_full_int8.tflite.density.json").read_text())
    assert len(overlay["results"]) == 3, "a density for each layer"
    names = {path.name for path in exported.iterdir()} - {".lock"}
    assert names == {
        "export.json",
        "export.md",
        "packed.safetensors",
        "tflite_full_int8.tflite",
        "tflite_full_int8.tflite.density.json",
    }


@pytest.mark.slow
def test_quantisation_aware_training(base, tmp_path, capfd):
    argv = ["--formats=tflite_full_int8", "--qat_steps=3", f"--output={tmp_path}", *QUICK]
    code, out, err = call(capfd, f"--model={base.path}", *argv)
    assert (code, err) == (0, "")
    (row,) = read(str(tmp_path / "export.json")).rows
    assert "trained further with quantised weights and activations for 3 steps" in out
    assert row.agreement > 0.9 and not row.compacted


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, str]:
    """Paths that the command refuses, and a model without a run."""
    folder = tmp_path_factory.mktemp("places")
    model = models.mlp((8, 8, 1), hidden=(8,))
    model.save(folder / "own.keras")
    keras3.Sequential([keras3.layers.Input((8, 8, 1)), keras3.layers.Flatten()]).save(
        folder / "keras3.keras"
    )
    whole = (folder / "own.keras").read_bytes()
    (folder / "cut.keras").write_bytes(whole[: len(whole) // 2])
    inputs = keras.Input((8, 8, 1))
    outputs = keras.layers.Lambda(lambda x: x[:, 0, :, 0])(inputs)
    keras.Model(inputs, outputs).save(folder / "code.keras")
    (folder / "empty").mkdir()
    return {path.stem: str(path) for path in folder.iterdir()}


BAD = {
    "no model": ([], "model: must be given"),
    "unknown format": (
        ["--model={own}", "--formats=zip"],
        "formats=['zip']: must be one of saved_model, keras3, onnx, packed",
    ),
    "unknown profile": (
        ["--model={own}", "--device_profile=gpu"],
        "device_profile=gpu: must be one of x86, arm, int8",
    ),
    "no run": (["--model={empty}"], "must be the directory of a finished run"),
    "not there": (["--model=nowhere"], "model=nowhere: does not exist"),
    "Keras 3": (["--model={keras3}", "--dataset=digits"], "Keras 3"),
    "truncated": (
        ["--model={cut}", "--dataset=digits"],
        "cannot be read, is damaged or incomplete",
    ),
    "code": (["--model={code}", "--dataset=digits"], "holds code (Lambda); give --trust"),
    "no data": (["--model={own}", "--attacked=0"], "dataset: must be given"),
    "no epsilon": (["--model={own}", "--dataset=digits"], "epsilon: must be given"),
    "large epsilon": (["--model={own}", "--epsilon=8"], "epsilon=8: must be at most 1 in linf"),
    "training without a run": (
        ["--model={own}", "--dataset=digits", "--epsilon=0.1", "--qat_steps=2"],
        "qat_steps=2: must be 0 for a model without a run",
    ),
    "training without the format": (
        ["--model={own}", "--qat_steps=2", "--formats=onnx"],
        "qat_steps=2: has no effect without tflite_full_int8",
    ),
    "names": (
        ["--model={own}", "--dataset=digits", "--attacked=0", "--class_names=a,b"],
        "class_names=('a', 'b'): must be 10, one for each logit",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_refusals(case, places, tmp_path, capfd):
    words, line = BAD[case]
    out = f"--output={tmp_path / 'out'}"
    code, _, err = call(capfd, *(word.format(**places) for word in words), out)
    assert code == REFUSED and line in err and len(err.strip().splitlines()) == 1
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"]
    assert not left


def test_all_refused(places, tmp_path, capfd):
    argv = ["--formats=tflite_int4_sparse", "--dataset=digits", "--attacked=0"]
    code, out, _ = call(
        capfd, f"--model={places['own']}", *argv, f"--output={tmp_path}", *QUICK[:1]
    )
    assert code == REFUSED and "- tflite_int4_sparse: model mlp: cannot be" in out


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_choose_formats(name):
    options = export_options.parse(["export", "--model=here", f"--device_profile={name}"])
    assert export_options.formats(options) == list(PROFILES[name].formats)


def test_folder_is_beside_the_model(tmp_path):
    options = export_options.parse(["export"])
    assert export_options.folder(str(tmp_path), options) == str(tmp_path / "export")
    assert export_options.folder("some/model.keras", options) == "some/export"


def test_a_model_file_alone(places, tmp_path, capfd):
    """Without a run: latency and sizes, and no attack."""
    path = shutil.copy(places["own"], tmp_path / "own.keras")
    argv = ["--formats=tflite_fp32", "--dataset=digits", "--attacked=0", "--calls=3"]
    code, out, err = call(capfd, f"--model={path}", *argv, "--compared=40")
    assert (code, err) == (0, "")
    report = read(str(tmp_path / "export" / "export.json"))
    assert report.model == "mlp" and report.rows[0].robust is None
    assert np.isfinite(report.rows[0].difference) and out.rstrip().endswith("export")
