"""Runs of the command in processes of their own, made once for all tests and test workers."""

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

import numpy as np
import pytest
from sweep_cells import SHARED, Cells

from experiments import sweep
from experiments.sweeps import scheduler

ROOT = Path(__file__).resolve().parents[2]
_TIMEOUT = 600  # seconds a command; a guard against what hangs, far above what any takes


class Case(NamedTuple):
    """One run of the command: its flags, its own variables, and the most bytes a file may have."""

    argv: Iterable[str]
    env: Mapping[str, str] = {}
    fsize: int | None = None


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
    """Starts the command, as a user would or many at a time."""

    # Two attacks, several evaluations a round, and a rate at which the loss also rises.
    base_argv = (
        "--dataset=digits",
        "--rounds=3",
        "--iterations=40",
        "--evaluate_every=10",
        "--learning_rate=0.05",
        "--epsilon=0.1",
        "--step_size=0.03",
        "--eval_attacks=fgsm,pgd",
    )
    case = Case

    def __init__(self, shared_folder: Path) -> None:
        self._shared = shared_folder

    def start(self, *case: Any) -> subprocess.Popen:
        """Starts the command; the arguments are those of `Case`."""
        argv, env, fsize = Case(*case)

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (fsize, fsize))

        return subprocess.Popen(
            [sys.executable, "-m", "experiments.run", *argv],
            cwd=ROOT,
            env=_environment(env),
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

    def run(self, *case: Any) -> Outcome:
        """Runs the command to its end."""
        return self.wait(self.start(*case))

    def many(self, cases: Mapping[str, Case], folder: Path) -> dict[str, Outcome]:
        """Runs several commands one after the other in one process."""
        given, gained = folder / "cases.json", folder / "outcomes.json"
        given.write_text(
            json.dumps({k: [list(c.argv), dict(c.env), c.fsize] for k, c in cases.items()})
        )
        subprocess.run(
            [sys.executable, "-m", "tests.cli.many", given, gained],
            cwd=ROOT,
            env=_environment({}),
            check=True,
            timeout=_TIMEOUT * len(cases),
        )
        return {name: Outcome(*outcome) for name, outcome in json.loads(gained.read_text()).items()}

    def shared(self, name: str, make: Callable[[Path], Any]) -> Any:
        """What `make` returned in the worker that came first; it has to be JSON."""
        folder = self._shared / f"cli-{name}"
        folder.mkdir(exist_ok=True)
        with open(folder / "made.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            made = folder / "made.json"
            if not made.exists():
                work = folder / "work"
                shutil.rmtree(work, ignore_errors=True)
                work.mkdir()
                made.write_text(json.dumps(make(work)))
            return json.loads(made.read_text())

    def shared_outcomes(
        self, name: str, make: Callable[[Path], dict[str, Outcome]]
    ) -> dict[str, Outcome]:
        """As `shared`, for outcomes by name."""
        return {key: Outcome(*value) for key, value in self.shared(name, make).items()}


class Files:
    """Looks at and damages the files of a run."""

    @staticmethod
    def unfinished(finished: Path, output_dir: Path) -> Path:
        """A copy of a finished run as it was before its results."""
        path = output_dir / finished.name
        shutil.copytree(finished, path)
        for name in ("results.json", "results.md", "model.tflite"):
            (path / name).unlink()
        for name in ("figures", "saved_model"):
            shutil.rmtree(path / name)
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
def cli(tmp_path_factory) -> Cli:
    base = tmp_path_factory.getbasetemp()
    return Cli(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)


@pytest.fixture(scope="session")
def files() -> Files:
    return Files()


@pytest.fixture(scope="session")
def base(cli) -> Outcome:
    """A finished run of `cli.base_argv`, undisturbed. Not to be changed by a test."""

    def make(folder: Path) -> dict[str, Outcome]:
        return {"base": cli.run([*cli.base_argv, f"--output_dir={folder}"])}

    outcome = cli.shared_outcomes("base", make)["base"]
    assert outcome.code == 0, outcome.err
    return outcome


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    """The variables of a fresh shell: without what other tests set for TensorFlow."""
    hidden = ("TF_CPP_", "TF_CONFIG")
    return {k: v for k, v in os.environ.items() if not k.startswith(hidden)} | dict(env)


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
