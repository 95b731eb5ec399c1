"""Two workers of a distributed run, in processes of their own, that do not fit together."""

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from bad_input import assert_one_error
from test_distribute import free_ports

pytestmark = pytest.mark.slow  # TensorFlow starts twice, and notices a lost worker after seconds
_LONG = ("--iterations=1000000", "--evaluate_every=10", "--rounds=1", "--distribute=multiworker")


@pytest.fixture
def start(cli) -> Iterator:
    """Starts both workers, the chief first, each with its own flags besides those of all."""
    processes: list[subprocess.Popen] = []

    def started(*own: Sequence[str]) -> list[subprocess.Popen]:
        cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
        for index, flags in enumerate(own):
            task = {"type": "worker", "index": index}
            env = {
                "TF_CONFIG": json.dumps({"cluster": cluster, "task": task}),
                "no_proxy": "127.0.0.1",
            }
            processes.append(cli.start([*cli.base_argv, *_LONG, *flags], env))
        return processes

    yield started
    for process in processes:
        process.kill()


UNEQUAL = {
    "seed": (["--seed=1"], ["--seed=2"], "seed="),
    "flag": (["--learning_rate=0.1"], ["--learning_rate=0.2"], "learning_rate="),
    "threads": (["--intra_op_threads=1"], ["--intra_op_threads=2"], "intra_op_threads="),
}


@pytest.mark.parametrize("name", UNEQUAL)
def test_workers_that_disagree(name, cli, start, tmp_path):
    """Each says so in its line, and nothing is trained."""
    *own, word = UNEQUAL[name]
    processes = start(*([f"--output_dir={tmp_path}", *flags] for flags in own))
    for process in processes:
        outcome = cli.wait(process)
        assert_one_error(tuple(outcome), word, "must be the same for all workers")
        assert len(outcome.out.splitlines()) == 2  # what it would have run
    assert not list(tmp_path.glob("*/checkpoints"))


def test_workers_that_do_not_share_a_folder(cli, start, tmp_path):
    processes = start(*([f"--output_dir={tmp_path / name}"] for name in "ab"))
    for process in processes:
        assert_one_error(tuple(cli.wait(process)), "must be a folder that all workers")
    assert not list(tmp_path.glob("*/*/metrics.jsonl"))


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_worker_is_one_line(lost, cli, start, tmp_path):
    """While they train, in the one that is left; the same command of both would continue."""
    processes = start(*[[f"--output_dir={tmp_path}"]] * 2)
    _await(tmp_path, processes)
    processes[lost].kill()
    outcome = cli.wait(processes[1 - lost])
    assert_one_error(tuple(outcome), "another worker was lost", "start all again", code=1)


def _await(folder: Path, processes: Sequence[subprocess.Popen]) -> None:
    """Waits for the first evaluation."""
    end = time.monotonic() + 300
    while not list(folder.glob("*/metrics.jsonl")):
        assert time.monotonic() < end and all(each.poll() is None for each in processes)
        time.sleep(0.2)
