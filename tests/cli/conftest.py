"""Runs of the command, and what looks at their files."""

import fcntl
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import in_process
import numpy as np
import pytest
from sweep_cells import SHARED, Cells

from experiments import sweep
from experiments.sweeps import scheduler

ROOT = Path(__file__).resolve().parents[2]
_NOTHING: Mapping[str, str] = {}
_TIMEOUT = 600  # seconds a command; a guard against what hangs, far above what any takes


class Outcome(NamedTuple):
    """How a run of the command ended."""

    code: int
    out: str
    err: str

    @property
    def path(self) -> Path:
        """The run's directory: the last line printed."""
        return Path(self.out.splitlines()[-1])

    @property
    def results(self) -> dict[str, Any]:
        return json.loads((self.path / "results.json").read_text())

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / "metrics.jsonl").read_text().splitlines()]


class Cli:
    """Runs the command: in a process of its own, as a user would, or in that of the tests."""

    # Two attacks, several evaluations a round, and a rate at which the loss also rises.
    base_argv = (
        "--dataset=digits",
        "--rounds=3",
        "--iterations=40",
        "--evaluate_every=10",
        "--learning_rate=0.05",
        "--attack.epsilon=0.1",
        "--eval.epsilon=0.1",
        "--attack.step_size=0.03",
        "--eval.step_size=0.03",
        "--attack.steps=2",
        "--eval.steps=2",
        "--eval_attacks=fgsm,pgd",
    )

    def start(
        self, argv: Iterable[str], env: Mapping[str, str] = _NOTHING, fsize: int | None = None
    ) -> subprocess.Popen:
        """Starts a process of the command.

        Args:
            argv: the flags.
            env: variables that are added to those of a shell.
            fsize: the most bytes that a file may have; None for no limit.
        """

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (fsize, fsize))

        hidden = ("TF_CPP_", "TF_CONFIG")  # what other tests set for TensorFlow
        shell = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        return subprocess.Popen(
            [sys.executable, "-m", "experiments.run", *argv],
            cwd=ROOT,
            env={**shell, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limit if fsize else None,
        )

    def wait(self, process: subprocess.Popen) -> Outcome:
        """Waits for the end of a process."""
        try:
            out, err = process.communicate(timeout=_TIMEOUT)
        finally:
            process.kill()
        return Outcome(process.returncode, out, err)

    def run(
        self, argv: Iterable[str], env: Mapping[str, str] = _NOTHING, fsize: int | None = None
    ) -> Outcome:
        """Runs a process of the command to its end; the arguments are those of `start`."""
        return self.wait(self.start(argv, env, fsize))

    def call(
        self,
        argv: Iterable[str],
        env: Mapping[str, str] = _NOTHING,
        fsize: int | None = None,
        light: bool = False,
    ) -> Outcome:
        """Runs the command in this process; the arguments are those of `in_process.call`."""
        return Outcome(*in_process.call(argv, env, fsize, light))


class Files:
    """Looks at and damages the files of a run."""

    @staticmethod
    def unfinished(finished: Path, output_dir: Path) -> Path:
        """A copy of a finished run as it was before its results."""
        path = output_dir / finished.name
        shutil.copytree(finished, path)
        for name in ("results.json", "results.md", "model.tflite"):
            (path / name).unlink(missing_ok=True)
        for name in ("figures", "saved_model"):
            shutil.rmtree(path / name, ignore_errors=True)
        return path

    @staticmethod
    def checkpoints(path: Path) -> list[Path]:
        """The checkpoints of a run, the oldest first."""
        return sorted((path / "checkpoints").glob("*.npz"))

    @staticmethod
    def arrays(path: Path) -> dict[str, np.ndarray]:
        with np.load(path) as file:
            return dict(file)

    @staticmethod
    def listing(path: Path) -> list[str]:
        """All files of a run; those of TensorBoard have new names each time."""
        return sorted(
            str(file.relative_to(path))
            for file in path.rglob("*")
            if file.is_file() and not file.name.startswith("events.out")
        )

    def assert_same_bits(self, path: Path, other: Path) -> None:
        """Everything that a run computes, to the last bit."""
        assert (path / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
        names = [file.name for file in self.checkpoints(path)]
        assert names == [file.name for file in self.checkpoints(other)]
        rounds = sorted(file.relative_to(other) for file in other.glob("rounds/*/masks.npz"))
        for name in [Path("checkpoints") / names[-1], *rounds]:
            ours, theirs = self.arrays(path / name), self.arrays(other / name)
            assert ours.keys() == theirs.keys()
            for key, value in theirs.items():
                assert ours[key].dtype == value.dtype
                assert ours[key].tobytes() == value.tobytes(), (name, key)
        ours, theirs = (json.loads((p / "results.json").read_text()) for p in (path, other))
        for name in ("rounds", "flags", "name"):
            assert ours[name] == theirs[name]
        assert ours["export"]["agreement"] == theirs["export"]["agreement"]


@pytest.fixture(scope="session")
def cli() -> Cli:
    return Cli()


@pytest.fixture(scope="session")
def files() -> Files:
    return Files()


@pytest.fixture(scope="session")
def base(cli, tmp_path_factory) -> Outcome:
    """A finished run of `cli.base_argv`, undisturbed. Not to be changed by a test.

    It is run once for all workers of the tests; those that come later wait for it.
    """
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "cli-base"
    folder.mkdir(exist_ok=True)
    made = folder / "outcome.json"
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            outcome = cli.call([*cli.base_argv, f"--output_dir={folder / 'runs'}"])
            made.write_text(json.dumps(outcome))
    outcome = Outcome(*json.loads(made.read_text()))
    assert outcome.code == 0, outcome.err
    return outcome


@pytest.fixture
def made_up(monkeypatch) -> Cells:
    """Takes the place of a sweep's processes, on a machine with one core."""
    found = Cells()
    monkeypatch.setattr(scheduler.process, "run", found)
    monkeypatch.setattr(scheduler, "cores", lambda: 1)
    return found


@pytest.fixture
def call_sweep(capfd, tmp_path, made_up) -> Callable:
    """Calls the command in this process, and gives exit code, stdout and stderr."""

    def call(*argv: str) -> tuple[int, str, str]:
        code = sweep.main(["sweep", *SHARED, f"--output_dir={tmp_path}", *argv])
        return code, *capfd.readouterr()

    return call
