"""Runs that train on bounds: their results, the bracket of their reports, and resuming."""

import json
import shutil
import signal
import time

import pytest

from experiments import evaluate
from experiments.evaluations import loading
from robust_sparse_tf import export

ARGV = (
    "--dataset=digits",
    "--model=strided_cnn",
    "--width=0.25",
    "--objective=ibp",
    "--certified_epsilon=0.02",
    "--warmup_steps=5",
    "--ramp_steps=30",
    "--method=rigl",
    "--density=0.5",
    "--update_interval=10",
    "--iterations=40",
    "--evaluate_every=20",
    "--attack=none",
    "--eval.epsilon=0.02",
    "--eval.steps=2",
)


@pytest.fixture(scope="module")
def run(cli, tmp_path_factory):
    """A run that nothing interrupted."""
    return cli.call([*ARGV, f"--output_dir={tmp_path_factory.mktemp('whole')}"])


def test_results_hold_the_certified_accuracy(run):
    (end,) = run.results["rounds"]
    figures = end["test"]
    assert 0 <= figures["certified_accuracy"] <= figures["robust_accuracy"]["pgd"]
    table = (run.path / "results.md").read_text()
    assert "| round | density | clean | pgd | certified |" in table
    assert "certified" in run.out
    assert {"certified_accuracy", "accuracy", "loss"} <= set(run.records[-1]["train"])


def attacked(capfd, *argv: str) -> tuple[dict, str]:
    """The rows of a report by name, and what was printed."""
    asked = ["--attacks=fgsm", "--examples=60", "--epsilons=0.02", "--check_masking=false"]
    assert evaluate.main(["evaluate", *asked, *argv]) == 0
    printed = capfd.readouterr().out
    with open(f"{printed.splitlines()[-1]}/report.json") as file:
        return {row["attack"]: row["accuracy"] for row in json.load(file)["rows"]}, printed


def test_reports_show_the_bracket(run, capfd):
    rows, printed = attacked(capfd, f"--model={run.path}")
    assert rows["certified"] <= rows["worst"] <= rows["clean"]
    assert "| certified | 0.02 |" in printed
    tighter, _ = attacked(capfd, f"--model={run.path}", "--certify=linear")
    assert rows["certified"] <= tighter["certified"] <= tighter["worst"] == rows["worst"]
    without, _ = attacked(capfd, f"--model={run.path}", "--certify=none")
    assert without == {name: rows[name] for name in ("clean", "fgsm", "worst")}


def test_certified_images_can_be_left_out(run, capfd):
    rows, printed = attacked(capfd, f"--model={run.path}", "--skip_certified")
    every, _ = attacked(capfd, f"--model={run.path}")
    assert "Certified ones were not attacked" in printed
    assert rows == every


def test_other_models_are_certified_if_asked(run, capfd, tmp_path):
    file = tmp_path / "model.keras"
    shutil.copy(run.path / "rounds" / "0" / "model.keras", file)
    asked = (f"--model={file}", "--dataset=digits")
    assert "certified" not in attacked(capfd, *asked)[0]
    assert "certified" in attacked(capfd, *asked, "--certify=interval")[0]
    assert loading.bounds_of(str(file), "auto") == "none"


def test_files_without_layers_cannot_be_certified(run, capfd):
    argv = [f"--model={run.path / 'model.tflite'}", "--attacks=square", "--dataset=digits"]
    code = evaluate.main(["evaluate", *argv, "--certify=interval"])
    assert code == 2 and "must be a .keras, HDF5 or packed file" in capfd.readouterr().err


def test_resumed_after_a_kill_with_the_same_bits(cli, run, tmp_path):
    argv = [*ARGV, f"--output_dir={tmp_path}"]
    process = cli.start(argv)
    metrics = tmp_path / run.path.name / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.read_bytes()):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert cli.wait(process).code == -signal.SIGKILL
    again = cli.call(argv)
    assert again.results["resumed"]
    ours, theirs = (
        export.load_model(str(one.path / "rounds" / "0" / "model.keras")).get_weights()
        for one in (again, run)
    )
    assert all((own == other).all() for own, other in zip(ours, theirs, strict=True))
    assert again.results["rounds"] == run.results["rounds"]
