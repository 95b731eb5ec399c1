"""Runs that are killed, interrupted, damaged or out of space, and then end with the same bits."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from experiments.cli import command
from robust_sparse_tf.errors import RunWarning
from robust_sparse_tf.procedures import CheckpointStore

_PATIENCE = 600  # seconds; a guard against a run that hangs


@pytest.fixture(scope="module")
def killed(cli, base, tmp_path_factory) -> dict:
    """A run killed after an evaluation, at pruning and at export.

    Returns, by moment, how its process ended; "interrupted" got SIGINT instead, "second" was
    called while one was stopped, and "end" reached the end. Both are calls in this process.
    """

    folder = tmp_path_factory.mktemp("killed")
    argv = [*cli.base_argv, f"--output_dir={folder}"]
    path = folder / base.path.name
    draw = random.Random(0)

    def reach(process, moment: Callable[[], bool], delay: float) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not moment():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(draw.uniform(0, delay))

    def stop(moment: Callable[[], bool], delay: float, number: int):
        process = cli.start(argv)
        try:
            reach(process, moment, delay)
            process.send_signal(number)
        except BaseException:
            process.kill()
            raise
        return cli.wait(process)

    def lines() -> int:
        metrics = path / "metrics.jsonl"
        return metrics.read_bytes().count(b"\n") if metrics.exists() else 0

    outcomes = {}
    first = cli.start(argv)
    try:
        reach(first, lambda: lines() >= 2, 0.05)
        first.send_signal(signal.SIGSTOP)
        outcomes["second"] = cli.call(argv)
    finally:
        first.kill()
    outcomes["evaluated"] = cli.wait(first)
    outcomes["pruning"] = stop(lambda: any(path.glob("rounds/0/masks.npz*")), 0.02, signal.SIGKILL)
    outcomes["interrupted"] = stop(lambda: lines() >= 7, 0.05, signal.SIGINT)
    outcomes["export"] = stop(
        lambda: any(path.glob("*/model")) or any(path.glob("saved_model*")), 0, signal.SIGKILL
    )
    outcomes["end"] = cli.call(argv)
    return outcomes


@pytest.fixture(
    scope="module",
    params=[
        "flipped",
        # Others like it; tests of CheckpointStore and of stopped runs look at them each time.
        pytest.param("both", marks=pytest.mark.slow),
        pytest.param("truncated", marks=pytest.mark.slow),
        pytest.param("gone", marks=pytest.mark.slow),
    ],
)
def damaged(request, cli, base, files, tmp_path_factory):
    """A damage by name, and how an unfinished run with it ended when it was gone on with."""
    folder = tmp_path_factory.mktemp("damaged")
    path = files.unfinished(base.path, folder)
    DAMAGES[request.param](files.checkpoints(path))
    with open(path / "metrics.jsonl", "a") as file:
        file.write('{"round": 2, "iter')  # a kill while it was written
    return request.param, cli.call([*cli.base_argv, f"--output_dir={folder}"])


@pytest.fixture(scope="module")
def full(cli, base, files, tmp_path_factory) -> dict:
    """Unfinished runs gone on with where a disk is full.

    Those named "... again" are gone on with once more, on a disk that has room; "... left" are the
    checkpoints that were kept. A disk full at a checkpoint is met in a process of its own.
    """
    folder = tmp_path_factory.mktemp("full")

    def call(name: str, fsize: int | None = None):
        way = cli.run if fsize and name == "full at a checkpoint" else cli.call
        return way([*cli.base_argv, f"--output_dir={folder / name}"], fsize=fsize)

    outcomes = {}
    for name, (file, limit) in FULL.items():
        if name != "full at start":
            path = files.unfinished(base.path, folder / name)
            (path / "checkpoints" / file).unlink(missing_ok=True)
        outcomes[name] = call(name, limit)
        left = files.checkpoints(folder / name / base.path.name)
        outcomes[f"{name} left"] = [kept.name for kept in left]
    return outcomes | {f"{name} again": call(name) for name in GONE_ON_WITH}


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


DAMAGES = {
    "truncated": lambda checkpoints: _truncate(checkpoints[-1]),
    "flipped": lambda checkpoints: _flip(checkpoints[-1]),
    "gone": lambda checkpoints: checkpoints[-1].unlink(),
    "both": lambda checkpoints: [_flip(path) for path in checkpoints],
}


# The limit of a file's size, too small for the file that is named and for none before it.
FULL = {
    "full at start": ("config.json", 500),
    "full at events": ("tensorboard", 20_000),
    "full at a network": ("model.keras", 120_000),
    "full at a checkpoint": ("0000000120.npz", 400_000),
}
GONE_ON_WITH = ("full at a network", "full at a checkpoint")


# Kills


@pytest.mark.parametrize("moment", ["evaluated", "pruning", "export"])
def test_was_killed(killed, moment):
    code, out, err = killed[moment]
    assert code == -signal.SIGKILL
    assert err == ""


def test_same_bits_after_kills(killed, base, files):
    code, out, err = killed["end"]
    assert code == 0, err
    path = Path(out.splitlines()[-1])
    assert "continuing after round 2 iteration 40" in out
    files.assert_same_bits(path, base.path)


def test_kills_leave_no_litter(killed, base, files):
    path = Path(killed["end"][1].splitlines()[-1])
    assert files.listing(path) == files.listing(base.path)


def test_nothing_shown_is_done_again(killed):
    places = []
    for moment in ("evaluated", "pruning", "interrupted", "export", "end"):
        lines = killed[moment][1].splitlines()
        places += [line.split(" density")[0] for line in lines if line.startswith("round ")]
    assert places == sorted(set(places))
    assert len(places) > 6


def test_interrupt(killed):
    code, out, err = killed["interrupted"]
    assert code == -signal.SIGINT
    assert err.startswith("error: interrupted") and err.count("\n") == 1


def test_second_process_is_refused(killed, base):
    code, out, err = killed["second"]
    assert code == command.BUSY and out.startswith("directory: ") and out.count("\n") == 2
    assert err.startswith("error: ") and err.count("\n") == 1
    assert base.path.name in err and "another process" in err


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_many_random_kills(cli, base, files, tmp_path, seed):
    """After random times, most of them while TensorFlow traces, trains or exports."""
    argv = [*cli.base_argv, f"--output_dir={tmp_path}"]
    draw = random.Random(seed)
    for _ in range(8):
        process = cli.start(argv)
        deadline = time.monotonic() + _PATIENCE
        while not (tmp_path / base.path.name).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 10))
        process.kill()
        cli.wait(process)
    outcome = cli.run(argv)
    assert outcome.code == 0, outcome.err
    files.assert_same_bits(outcome.path, base.path)
    assert files.listing(outcome.path) == files.listing(base.path)


# Damage


def test_same_bits_after_damage(damaged, base, files):
    _, outcome = damaged
    assert outcome.code == 0, outcome.err
    files.assert_same_bits(outcome.path, base.path)
    assert files.listing(outcome.path) == files.listing(base.path)


# The checkpoints that are warned of, and where the run continues.
SAID = {
    "truncated": (["0000000120"], "round 2 iteration 30"),
    "flipped": (["0000000120"], "round 2 iteration 30"),
    "gone": ([], "round 2 iteration 30"),
    "both": (["0000000120", "0000000110"], None),
}


def test_damage_is_said(damaged):
    name, (_, out, err) = damaged
    warnings, place = SAID[name]
    lines = err.splitlines()
    assert len(lines) == len(warnings)
    for line, warning in zip(lines, warnings, strict=True):
        assert line.startswith("warning: ") and f"{warning}.npz" in line
    if place:
        assert f"continuing after {place}" in out
    else:
        assert "continuing" not in out


@pytest.mark.filterwarnings("ignore::robust_sparse_tf.errors.RunWarning")
def test_any_flipped_bit_is_noticed_or_harmless(tmp_path):
    """One bit of each byte of a small checkpoint, one at a time."""
    store = CheckpointStore(str(tmp_path))
    arrays = {"model/000": np.arange(6, dtype=np.float32), "rewind/000": np.ones([2, 1], bool)}
    store.save(1, {name: value * 0 for name, value in arrays.items()}, {"step": 1})
    store.save(2, arrays, {"step": 2})
    newest = tmp_path / "0000000002.npz"
    content, draw = newest.read_bytes(), random.Random(0)
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << draw.randrange(8)
        newest.write_bytes(flipped)
        loaded, meta = store.load()
        assert meta["step"] in (1, 2), place
        assert loaded.keys() == arrays.keys(), place
        for name, value in arrays.items():
            expected = value if meta["step"] == 2 else value * 0
            np.testing.assert_array_equal(loaded[name], expected, strict=True)


def test_damage_without_another_checkpoint(tmp_path):
    store = CheckpointStore(str(tmp_path))
    store.save(1, {"model/000": np.zeros(3)}, {"step": 1})
    _truncate(tmp_path / "0000000001.npz")
    with pytest.warns(RunWarning, match="0000000001.npz"):
        assert store.load() is None


# Full disks


@pytest.mark.parametrize("name", FULL)
def test_full_disk(full, base, name):
    code, out, err = full[name]
    assert code == 1, err
    assert err.startswith("error: cannot write ") and err.count("\n") == 1
    assert base.path.name in err and FULL[name][0] in err


def test_full_disk_keeps_what_was_there(full):
    assert full["full at a checkpoint left"] == ["0000000110.npz"]


@pytest.mark.parametrize("name", GONE_ON_WITH)
def test_same_bits_after_a_full_disk(full, base, files, name):
    code, out, err = full[f"{name} again"]
    assert (code, err) == (0, "")
    path = Path(out.splitlines()[-1])
    files.assert_same_bits(path, base.path)
    assert files.listing(path) == files.listing(base.path)
    assert "continuing" in out


def test_resumed_is_said(full, base):
    """In the results, as their seconds are then not those of the whole run."""
    path = full["full at a checkpoint again"].path
    assert '"resumed": true' in (path / "results.json").read_text()
    assert "resumed" in (path / "results.md").read_text()
    assert '"resumed": false' in (base.path / "results.json").read_text()
    assert "resumed" not in (base.path / "results.md").read_text()
