"""What a run prints, and what its files and exports hold."""

import json
import math
import platform
import re
from importlib.metadata import version

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from matplotlib import image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from experiments.runs import best
from experiments.runs import options as flags
from experiments.runs.results import cost_table, markdown, table
from robust_sparse_tf import export
from robust_sparse_tf.texts import markdown_table

# What is printed


def test_says_nothing_but_its_own(base):
    """TensorFlow's log, which knows many forms, is in neither stream."""
    assert base.err == ""
    noise = r"[IWEF]0000|oneDNN|cuda|CUDA|XNNPACK|WARNING|INFO|tensorflow/|tf_keras/"
    assert not re.search(noise, base.out)


def test_shows_each_evaluation(base):
    shown = re.findall(
        r"^round (\d) iteration (\d+) density (\S+) % .*clean (\S+) %  fgsm (\S+) %  pgd (\S+) %",
        base.out,
        re.MULTILINE,
    )
    stored = []
    for record in base.records:
        robust = record["test"]["robust_accuracy"]
        fractions = (record["density"], record["test"]["clean_accuracy"], *robust.values())
        place = str(record["round"]), str(record["iteration"])
        stored.append((*place, *(f"{100 * value:.1f}" for value in fractions)))
    assert shown == stored


def test_says_at_once_what_it_runs(base):
    directory, run, *_ = base.out.splitlines()
    assert directory == f"directory: {base.path}"
    assert run == (
        "training lenet_300_100 on digits: lottery, under pgd (linf, epsilon 0.1), 3 rounds, "
        "120 steps, seed 0"
    )


def test_prints_agreement_and_path(base):
    agreement = 100 * base.results["export"]["agreement"]
    assert re.search(rf"^model\.tflite .* {agreement:.2f} %", base.out, re.MULTILINE)
    assert base.path.is_dir()
    assert base.path.name == base.results["name"]
    for name in ("config.json", "metrics.jsonl", "results.json", "results.md", "model.tflite"):
        assert str(base.path / name) in base.out.splitlines()


# What is written


def test_config(base, cli):
    config = json.loads((base.path / "config.json").read_text())
    given = [*cli.base_argv, f"--output_dir={base.path.parent}"]
    assert config["flags"] == flags.parse(["run", *given])
    assert config["flags"].keys() == {field.name for field in flags.fields()}
    assert config["seed"] == 0
    assert re.fullmatch("[0-9a-f]{40}|unknown", config["git_revision"])
    assert config["python"] == platform.python_version()
    assert {"tensorflow", "tf_keras", "cleverhans"} <= config["packages"].keys()
    for name, value in config["packages"].items():
        assert value == version(name)


def test_metrics_have_a_line_an_evaluation(base):
    places = [(record["round"], record["iteration"]) for record in base.records]
    assert places == [(number, step) for number in range(3) for step in (10, 20, 30, 40)]
    for record in base.records:
        assert set(record["train"]) == {"loss", "accuracy", "robust_accuracy"}
        assert math.isfinite(record["train"]["loss"])
        for split in ("validation", "test"):
            figures = record[split]
            assert list(figures["robust_loss"]) == ["fgsm", "pgd"]
            fractions = [figures["clean_accuracy"], *figures["robust_accuracy"].values()]
            assert all(0 <= value <= 1 for value in fractions)
            losses = [figures["clean_loss"], *figures["robust_loss"].values()]
            assert all(0 <= value < math.inf for value in losses)


def test_results_table(base):
    text = (base.path / "results.md").read_text()
    assert text == markdown(base.results)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    costs, weights = (
        markdown_table(each)
        for each in (cost_table(base.results), best.table(base.results["weights"]))
    )
    assert lines[-len(costs) - len(weights) :] == [*weights, *costs]
    lines = lines[: -len(costs) - len(weights)]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len(cells) == 2 + 3
    assert set(cells[1]) == {"---:"}
    assert [cells[0], *cells[2:]] == table(base.results)
    for row, entry in zip(cells[2:], base.results["rounds"], strict=True):
        row = dict(zip(cells[0], row, strict=True))
        assert row["round"] == str(entry["round"])
        assert row["density"] == f"{100 * entry['density']:.2f}"
        assert row["clean"] == f"{100 * entry['test']['clean_accuracy']:.2f}"
        assert row["pgd"] == f"{100 * entry['test']['robust_accuracy']['pgd']:.2f}"
        assert row["stop"] == str(entry["early_stopping"]["iteration"])


def test_figures(base):
    names = sorted(path.name for path in (base.path / "figures").glob("*.png"))
    assert names == ["accuracy.png", "early_stopping.png"]
    for name in names:
        pixels = image.imread(base.path / "figures" / name)
        height, width, _ = pixels.shape
        assert height > 300 and width > 600
        colors = np.unique((255 * pixels).astype(np.uint8).reshape(height * width, -1), axis=0)
        assert len(colors) > 50


def test_tensorboard(base):
    """A run of TensorBoard for each round, whose steps are the round's."""
    folders = sorted((base.path / "tensorboard").iterdir())
    numbers = sorted({record["round"] for record in base.records})
    assert [folder.name for folder in folders] == [f"round_{number:02}" for number in numbers]
    for number, folder in zip(numbers, folders, strict=True):
        records = [record for record in base.records if record["round"] == number]
        _check_round(folder, number, records, base.results["flags"])


def _check_round(folder, number, records, flags):
    reader = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    reader.Reload()

    def points(tag: str) -> list[tuple[int, float]]:
        return [(p.step, float(tf.make_ndarray(p.tensor_proto))) for p in reader.Tensors(tag)]

    def expected(value) -> list[tuple[int, float]]:
        return [(record["iteration"], pytest.approx(value(record))) for record in records]

    def texts(tag: str) -> list:
        return [json.loads(tf.make_ndarray(p.tensor_proto).item()) for p in reader.Tensors(tag)]

    assert points("network/density") == expected(lambda r: r["density"])
    for name in ("loss", "accuracy", "robust_accuracy"):
        assert points(f"train/{name}") == expected(lambda r, n=name: r["train"][n])
    for split in ("validation", "test"):
        for name in ("loss", "accuracy"):
            clean = expected(lambda r, s=split, n=name: r[s][f"clean_{n}"])
            assert points(f"{split}/clean_{name}") == clean
            for attack in ("fgsm", "pgd"):
                robust = expected(lambda r, s=split, n=name, a=attack: r[s][f"robust_{n}"][a])
                assert points(f"{split}/{attack}_{name}") == robust
    (run,) = texts("run")
    assert (run["round"], run["first_step"]) == (number, 40 * number)
    assert set(run["hparams"]) == set(flags)
    steps = [record["step"] for record in texts("accuracy")]
    assert steps == [40 * number + record["iteration"] for record in records]
    assert len(reader.Tensors("topology")) == len(records)


@pytest.mark.filterwarnings("ignore")
def test_exported_models(base, digits, files):
    """Both exports hold the sparse network whose figures the results give."""
    test = digits[2]
    model = keras.models.load_model(base.path / "saved_model", compile=False)
    masks = files.arrays(base.path / "rounds" / "2" / "masks.npz")
    weights = {w.name.split("/")[0]: w.numpy() for w in model.trainable_weights}
    for name, weight in weights.items():
        assert not weight[~masks[name]].any()
    assert weights.keys() == masks.keys()
    predicted = model.predict(test.images, verbose=0).argmax(1)
    exported = export.tflite_logits((base.path / "model.tflite").read_bytes(), test.images)
    accuracy = base.results["rounds"][-1]["test"]["clean_accuracy"]
    assert np.mean(predicted == test.labels) == pytest.approx(accuracy, abs=2 / test.size)
    agreement = base.results["export"]["agreement"]
    assert np.mean(exported.argmax(1) == predicted) == pytest.approx(agreement, abs=2 / test.size)
    size = (base.path / "model.tflite").stat().st_size
    assert base.results["export"]["tflite_bytes"] == size
