"""Several commands in one process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sweep_cells import SHARED

from experiments import chain, evaluate, measure
from experiments.runs import options as flags
from experiments.runs.directory import run_name
from experiments.sweeps import chaining

ROOT = Path(__file__).resolve().parents[2]
# Both draw random numbers.
EVALUATE = ["--attacks=uniform_noise,rfgsm", "--epsilons=0.1", "--examples=40", "--at_rounds=0"]
EVALUATE += ["--check_masking=false"]
MEASURE = ["--measures=r_inf", "--examples=40"]


def test_commands_do_what_they_do_alone(tmp_path):
    """A network that was trained in the same process is measured as any other is."""
    train = [*SHARED, "--dataset=digits", "--rounds=1", f"--output_dir={tmp_path}"]
    model = f"--model={tmp_path / run_name(flags.parse(['run', *train]))}"
    first = tmp_path / "first"
    follow = ["evaluate", model, *EVALUATE, f"--output={first}", "--", "measure", model, *MEASURE]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.chain", "run", *train, "--", *follow],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    path = Path(done.stdout.splitlines()[-1])
    measured = json.loads(path.read_text())["measures"]
    path.unlink()
    second = tmp_path / "second"
    assert evaluate.main(["evaluate", model, *EVALUATE, f"--output={second}"]) == 0
    assert measure.main(["measure", model, *MEASURE]) == 0
    assert json.loads(path.read_text())["measures"] == measured
    (ours,), (theirs,) = (list(place.glob("*/report.json")) for place in (first, second))
    assert _without_seconds(ours) == _without_seconds(theirs)


def _without_seconds(report: Path) -> list[dict]:
    rows = json.loads(report.read_text())["rows"]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


@pytest.mark.parametrize("commands", [[["run"]], [["run", "--a"], ["evaluate", "--b", "--c"]]])
def test_split_undoes_join(commands):
    assert chaining.split(chaining.join(commands)) == commands


@pytest.mark.parametrize(
    ("argv", "called", "code"),
    [
        (
            ["run", "--a", "--b", "--", "measure", "--c"],
            [["run", "--a", "--b"], ["measure", "--c"]],
            0,
        ),
        (["evaluate", "--bad", "--", "measure", "--c"], [["evaluate", "--bad"]], 2),
    ],
)
def test_ends_with_the_first_that_fails(monkeypatch, argv, called, code):
    seen: list[list[str]] = []

    def command(words: list[str]) -> int:
        seen.append(words)
        return 2 * ("--bad" in words)

    monkeypatch.setattr(chain, "_MAINS", dict.fromkeys(("run", "evaluate", "measure"), command))
    assert chain.main(["chain", *argv]) == code
    assert seen == called


@pytest.mark.parametrize("name", ["sweep", "--help"])
def test_refuses_other_commands(name, capsys):
    assert chain.main(["chain", name, "--a"]) == 2
    out, err = capsys.readouterr()
    allowed = "run, evaluate, measure, check"
    assert (out, err) == ("", f"error: command {name}: must be one of {allowed}\n")
