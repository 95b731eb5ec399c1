"""Every command and every example of the README works."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
import test_experiments_readme
from stopped_sweep import first_report

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
with open(os.path.join(ROOT, "README.md")) as _file:
    README = _file.read()
# The commands are run as they stand, but for less of the same work.
SHORT = ["--rounds=2", "--iterations=20", "--evaluate_every=10"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [
    words
    for block in blocks("sh")
    for line in block.splitlines()
    if (words := shlex.split(line, comments=True))
]
RUNS = [command for command in COMMANDS if "experiments.run" in command]
MAKES = [command for command in COMMANDS if command[0] == "make"]
ALL_SWEEPS = [command for command in COMMANDS if "experiments.sweep" in command]
STUDIES = [command for command in ALL_SWEEPS if command in test_experiments_readme.COMMANDS]
SWEEPS = [command for command in ALL_SWEEPS if command not in STUDIES]
(REPORT,) = [command for command in COMMANDS if "experiments.report" in command]
(EVALUATE,) = [command for command in COMMANDS if "experiments.evaluate" in command]
OTHERS = [c for c in COMMANDS if c not in [*RUNS, *MAKES, *ALL_SWEEPS, REPORT, EVALUATE]]


def call(command: list[str], **kwargs) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **kwargs)


@pytest.mark.parametrize(
    "command",
    [
        # The quickstart each time; the other flagfiles are run by other tests, too.
        pytest.param(command, marks=pytest.mark.slow if number > 0 else ())
        for number, command in enumerate(c for c in RUNS if "--help" not in c)
    ]
    + [command for command in RUNS if "--help" in command],
    ids=" ".join,
)
def test_run(command, tmp_path):
    if any("mnist" in word for word in command) and not os.environ.get("RST_DATA_DIR"):
        pytest.skip("RST_DATA_DIR does not say where MNIST is")
    command = [sys.executable, *command[1:], *SHORT, f"--output_dir={tmp_path}"]
    done = call(command)
    assert done.returncode == 0, done.stderr
    if "--help" not in command:
        assert os.path.exists(os.path.join(done.stdout.splitlines()[-1], "results.json"))


def test_studies_are_named():
    """By commands that test_experiments_readme.py runs."""
    assert len(STUDIES) == 3


@pytest.mark.slow  # tests/cli/test_evaluate.py has the command, too
def test_evaluate(tmp_path):
    """As it stands, of a short run, but on few images."""
    command = [sys.executable, *RUNS[0][1:], *SHORT, f"--output_dir={tmp_path}"]
    run = call(command).stdout.splitlines()[-1]
    command = [word.replace("runs/RUN", run) for word in EVALUATE[1:]]
    done = call([sys.executable, *command, "--examples=30"])
    assert done.returncode == 0, done.stderr
    for attack in ("apgd_ce", "apgd_t", "fab_t", "square", "worst"):
        assert f"| {attack} | 0.1 |" in done.stdout


@pytest.mark.slow  # tests/cli/test_sweep.py has real sweeps, too
@pytest.mark.parametrize("sweep", SWEEPS, ids=" ".join)
def test_sweep_and_report(sweep, tmp_path):
    """As they stand, but for fewer steps, and stopped when the first cell is reported."""
    if not os.environ.get("RST_DATA_DIR"):
        pytest.skip("RST_DATA_DIR does not say where MNIST is")
    folder = first_report([*sweep, *SHORT[1:]], tmp_path)
    done = call([sys.executable, *REPORT[1:-1], str(folder)])
    assert done.returncode == 0, done.stderr
    assert "| dense | 100.0 |" in done.stdout


@pytest.mark.parametrize("command", MAKES, ids=" ".join)
def test_make(command):
    """The targets exist; what they run is run by the tests, and by the continuous integration."""
    done = call(["make", "--dry-run", *command[1:]])
    assert done.returncode == 0, done.stderr
    assert "python -m" in done.stdout


def test_tensorboard(tmp_path):
    (command,) = OTHERS
    assert command == ["tensorboard", "--logdir=runs"]
    program = os.path.join(os.path.dirname(sys.executable), command[0])
    server = subprocess.Popen(
        [program, *command[1:], "--port=0"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert any("http://" in line for line in server.stderr)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=600)


@pytest.fixture
def run_example(tmp_path, monkeypatch, capfd) -> Callable[[str], str]:
    """Gives what the example that holds a word prints, run in this process."""
    monkeypatch.chdir(tmp_path)

    def run(word: str) -> str:
        (example,) = [block for block in blocks("python") if word in block]
        exec(compile(example, "README.md", "exec"), {"__name__": "__main__"})
        return capfd.readouterr().out

    return run


def test_sparse_example(run_example, tmp_path):
    shown = run_example("RigL")
    density = float(re.search(r"'density': ([0-9.]+)", shown.splitlines()[-1]).group(1))
    assert density == pytest.approx(0.1, abs=1e-3)
    assert (tmp_path / "sparse.keras").exists()


def test_library_example(run_example, tmp_path):
    shown = run_example("AdversarialModel")
    table = re.findall(r"^\| (\w+) \| ([0-9.]*) \| ([0-9.]+) \|", shown, re.MULTILINE)
    figures = {(name, epsilon): float(accuracy) for name, epsilon, accuracy in table}
    assert figures["clean", ""] > 70
    assert 10 < figures["worst", "0.15"] < figures["worst", "0.05"] < figures["clean", ""]
    assert os.path.getsize(tmp_path / "model.tflite") > 0


def test_pictures_and_links_are_there():
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert all(os.path.exists(os.path.join(ROOT, target)) for target in targets)


def test_speeds_are_the_measured_ones():
    with open(os.path.join(ROOT, "experiments", "results", "bench_train.json")) as file:
        measured = json.load(file)
    table = re.search(r"\| steps per second \|\n.*?\n\n", README, re.DOTALL).group()
    stated = [int(cell) for cell in re.findall(r"\| (\d+) \|", table)]
    assert stated == [round(speed) for speed in measured["steps_per_second"].values()]
    assert f"That is {measured['d_over_b']:.2f} times" in README


def test_costs_are_the_measured_ones():
    with open(os.path.join(ROOT, "experiments", "results", "bench_sparsity.json")) as file:
        measured = json.load(file)
    lenet, resnet = (measured["update_ms"][name] for name in ("lenet_300_100", "resnet18"))
    overhead = measured["w1"]["overhead"]
    for stated in (
        f"takes {lenet['ours']:.1f} ms on LeNet-300-100 ({lenet['numpy']:.1f} in NumPy)",
        f"{resnet['ours']:.0f} ms on ResNet-18 ({resnet['numpy']:.0f})",
        f"{100 * overhead['set']:.1f} % longer with SET",
        f"{100 * overhead['rigl']:.1f} % with RigL",
    ):
        assert stated in " ".join(README.split())


def test_comparison_is_the_stored_one():
    stored = os.path.join(ROOT, "experiments", "results", "sweep_mnist", "report.md")
    with open(stored) as file:
        rows = [line for line in file.read().splitlines() if line.startswith("|")]
    assert len(rows) > 2 and "\n".join(rows) in README


def test_speeds_of_attacks_are_the_measured_ones():
    with open(os.path.join(ROOT, "experiments", "results", "bench_attacks.json")) as file:
        measured = json.load(file)
    others = ("cleverhans", "foolbox_tensorflow", "foolbox_pytorch", "art", "torchattacks")
    parts = [part for part in measured if "ours_faster" in measured[part]]
    assert len(parts) == 5
    for part in parts:
        faster = measured[part]["ours_faster"]
        cells = [
            f"{faster[name]:.3g}" if name in faster else "" for name in (*others, "autoattack")
        ]
        assert f" | {' | '.join(cells)} |\n" in README


def test_attacked_networks_are_the_stored_ones():
    stored = os.path.join(ROOT, "experiments", "results", "under_attack", "report.md")
    with open(stored) as file:
        report = file.read()
    tables = re.findall(r"(?:^\|.*\n)+", report, re.MULTILINE)[1:]
    warnings = re.findall(r"^\*\*Warning.*\n", report, re.MULTILINE)
    assert len(tables) == 4 and warnings
    for part in [*tables, *warnings]:
        assert part in README


@pytest.mark.parametrize("tool", sorted(set(re.findall(r"python (tools/\S+)", README))))
def test_benchmarks_are_there(tool):
    done = call([sys.executable, tool, "--helpshort"])
    assert "--windows" in done.stdout
