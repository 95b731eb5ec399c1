"""Sweeps that are killed, fail and continue."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from study_cells import write_report
from sweep_cells import GRID, SHARED

from experiments import sweep
from experiments.cli.flags import as_flag
from experiments.runs import options as flags
from experiments.runs.directory import run_name
from experiments.sweeps.grid import cells

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 600  # seconds; a guard against a sweep that hangs


# Sweeps, whose cells are made up


def test_each_cell_is_a_run(call_sweep, made_up, tmp_path):
    """Of the flags given, in the sweep's folder."""
    code, out, err = call_sweep(GRID, "--seed=3")
    assert (code, err) == (0, "")
    folder = Path(out.splitlines()[-1])
    assert folder.parent == tmp_path and folder.name.startswith("sweep-digits-")
    for command, method in zip(made_up.commands, ("dense", "static", "set"), strict=True):
        density = [] if method == "dense" else ["--density=0.5"]
        argv = [*SHARED, "--seed=3", f"--method={method}", *density, f"--output_dir={folder}"]
        argv += ["--branches=1", "--intra_op_threads=1"]
        assert flags.parse(command) == flags.parse(["run", *argv])
    stored = json.loads((folder / "sweep.json").read_text())
    assert stored["cells"] == [run_name(flags.parse(c)) for c in made_up.commands]
    assert str(tmp_path) not in stored["command"]  # where files lie made nothing of it
    assert GRID in stored["command"] and "--seed=3" in stored["command"]
    assert (folder / "report.md").read_text() in out
    lines = [line for line in out.splitlines() if line.startswith("cell ")]
    labels = zip(("dense", "static 50 %", "set 50 %"), stored["cells"], strict=True)
    assert [re.sub(r"in \d+ s.*", "in some s", line) for line in lines] == [
        f"cell {number}/3 {label}: {told}"
        for number, (label, name) in enumerate(labels, 1)
        for told in (f"starts ({name})", "done in some s")
    ]
    assert out.splitlines()[0] == f"3 cells, 0 finished before: {folder}"


def test_finished_cells_are_not_run_again(call_sweep, made_up):
    first = call_sweep(GRID)
    assert len(made_up.commands) == 3
    code, out, err = call_sweep(GRID)
    assert (code, err) == (0, "")
    assert len(made_up.commands) == 3
    assert "cell " not in out.replace("3 of 3 cells", "")
    assert out.splitlines()[-1] == first[1].splitlines()[-1]


def test_overwrite_runs_all_again(call_sweep, made_up):
    first = call_sweep(GRID)
    code, out, err = call_sweep(GRID, "--overwrite")
    assert made_up.methods == ["dense", "static", "set"] * 2
    assert all("--overwrite=True" in command for command in made_up.commands[3:])
    assert (code, out.splitlines()[-1]) == (0, first[1].splitlines()[-1])


@pytest.mark.parametrize(
    ("stays", "reported"),
    [
        (0, [[], ["dense"], ["dense", "static"]]),
        (1e9, [[], ["dense"], ["dense"]]),
    ],
)
def test_report_follows_the_cells(call_sweep, made_up, tmp_path, monkeypatch, stays, reported):
    """After each at first; what a report takes decides when the next one comes."""
    monkeypatch.setattr("experiments.sweeps.sweep._REPORT_STAYS", stays)
    seen = []

    def look(name: str) -> None:
        tables = list(tmp_path.glob("sweep-*/report.json"))
        seen.append([row["method"] for t in tables for row in json.loads(t.read_text())["rows"]])

    made_up.on_run = look
    call_sweep(GRID)
    assert seen == reported
    look("the end")
    assert seen[-1] == ["dense", "static", "set"]


def test_failed_cell_is_named(call_sweep, made_up):
    """The others are done, and it is tried again the next time."""
    made_up.failing = {"static"}
    code, out, err = call_sweep(GRID)
    folder = Path(out.splitlines()[-1])
    name = json.loads((folder / "sweep.json").read_text())["cells"][1]
    assert code == 1
    log = folder / "logs" / f"{name}.log"
    assert err == f"error: cell {name} failed: it failed ({log})\n"
    assert made_up.methods == ["dense", "static", "set", "static"]  # tried again, after the others
    assert "cell 2/3 static 50 %: will be retried, it failed\n" in out
    assert f"cell 2/3 static 50 %: failed, it failed ({name})\n" in out
    rows = json.loads((folder / "report.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["dense", "set"]
    assert "2 of 3 cells" in out
    made_up.failing, made_up.commands = set(), []
    code, out, err = call_sweep(GRID)
    assert (code, err, made_up.methods) == (0, "", ["static"])
    assert "3 of 3 cells" in out


def test_a_cell_of_other_flags_is_no_finished_one(call_sweep, made_up):
    """It is run, which refuses the directory; the others are reported."""
    folder = Path(call_sweep(GRID)[1].splitlines()[-1])
    first, second = json.loads((folder / "sweep.json").read_text())["cells"][:2]
    shutil.rmtree(folder / first)
    shutil.copytree(folder / second, folder / first)
    made_up.commands.clear()
    made_up.failing = {"dense"}
    code, out, err = call_sweep(GRID)
    assert code == 1 and err.startswith(f"error: cell {first} failed: ")
    assert set(made_up.methods) == {"dense"}
    assert "2 of 3 cells" in out


def test_all_cells_failed(call_sweep, made_up):
    made_up.failing = {"dense", "static", "set"}
    code, out, err = call_sweep(GRID)
    assert code == 1
    lines = err.splitlines()
    assert len(lines) == 3 and all(line.startswith("error: cell ") for line in lines)
    assert not (Path(out.splitlines()[-1]) / "report.md").exists()


def test_interrupt(call_sweep, made_up):
    def interrupt(name: str) -> None:
        raise KeyboardInterrupt

    made_up.on_run = interrupt
    code, _, err = call_sweep(GRID)
    assert code == 130
    assert err.startswith("error: interrupted") and err.count("\n") == 1


def test_names_of_sweeps(call_sweep):
    """By what is swept, and not by where it lies."""
    folders = {
        name: Path(call_sweep(*argv)[1].splitlines()[-1]).name
        for name, argv in {
            "one": [GRID],
            "other folder of data": [GRID, "--data_dir=x"],
            "threads that it has anyway": [GRID, "--branches=1", "--intra_op_threads=1"],
            "other grid": [GRID.replace("0.5", "0.2")],
            "two grids": [GRID, "--grid=method=rigl"],
            "other flag": [GRID, "--learning_rate=0.5"],
            "other threads": [GRID, "--branches=2"],
        }.items()
    }
    assert folders["one"] == folders.pop("other folder of data")
    assert folders["one"] == folders.pop("threads that it has anyway")
    assert len(set(folders.values())) == 5


REFUSED = {
    "continued": ([GRID, "--continue_from=runs/some"], "continue_from=runs/some: must not"),
    "study": ([GRID, "--study=some"], "study=some: must be one of search_sparse_robust"),
    "no grid": ([], "grid: must be given"),
    "unknown flag": ([GRID, "--nosuch=1"], "nosuch"),
    "no flag": ([GRID, "rigl"], "rigl: is not a flag"),
    "grid without a value": (["--grid=seed="], "grid=seed=: must be like"),
    "unknown flag in the grid": (["--grid=seed=0,sparsity=0.5"], "sparsity is no flag"),
    "bad grid": (["--grid=set,rigl"], "grid=set,rigl: must be like"),
    "bad second grid": ([GRID, "--grid=x"], "grid=x: must be like"),
    "axis twice": (["--grid=seed=0,seed=1"], "seed must be given once"),
    "no number": (["--grid=density=many,method=set"], "density"),
    "density": (["--grid=method=set,density=0.5,2"], "density=2.0: must be above 0"),
    "method": (["--grid=method=set,prune"], "method=prune: must be one of lottery, dense"),
    "value of all": ([GRID, "--learning_rate=0"], "learning_rate=0.0: must be above 0"),
    "a place": (["--grid=output_dir=a,b"], "output_dir does not distinguish runs"),
    "a run to continue": (["--grid=continue_from=a"], "continue_from does not distinguish runs"),
    "several processes": ([GRID, "--distribute=multiworker"], "distribute=multiworker: must not"),
    "rounds": ([GRID, "--evaluate=--at_rounds=7"], "evaluate=--at_rounds=7: no cell has such"),
    "values that do not fit": (
        ["--grid=method=rigl,start_step=50,100,stop_step=80"],
        "stop_step=80: must be above start_step=100",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(call_sweep, made_up, tmp_path, name):
    """Before any cell is run."""
    argv, words = REFUSED[name]
    code, out, err = call_sweep(*argv)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and words in err
    assert not made_up.commands and not list(tmp_path.iterdir())


def test_cells_are_checked_before_the_first(call_sweep, made_up):
    """Once for those that have the same data and network, and only what is left to train."""
    grid = "--grid=method=set,rigl,density=0.5,seed=0,1,attack.steps=3,5"
    made_up.refused = "layer nosuch: does not exist"
    code, out, err = call_sweep(grid)
    assert (code, err) == (2, "error: layer nosuch: does not exist\n")
    assert out.startswith("8 cells, 0 finished before: ") and out.count("\n") == 1
    assert made_up.commands == [] and len(made_up.checked) == 1
    made_up.refused, made_up.checked = "", []
    code, _, _ = call_sweep(grid)
    assert (code, len(made_up.commands), len(made_up.checked)) == (0, 8, 2)
    call_sweep(grid)
    assert len(made_up.checked) == 2


def test_folder_that_cannot_be_written(call_sweep, made_up, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    code, out, err = call_sweep(GRID, f"--output_dir={tmp_path / 'file'}")
    assert (code, out) == (2, "")
    assert err.startswith("error: output_dir=") and err.count("\n") == 1
    assert "file: cannot be written" in err
    assert not made_up.commands


def test_report_that_cannot_be_written(call_sweep, made_up, tmp_path):
    folder = Path(call_sweep(GRID)[1].splitlines()[-1])
    (folder / "report.md").unlink()
    (folder / "report.md").mkdir()
    code, _, err = call_sweep(GRID)
    assert code == 1
    assert err.startswith("error: cannot write ") and err.count("\n") == 1 and "report.md" in err


def test_a_fault_of_the_report_costs_no_cell(call_sweep, made_up, monkeypatch, capfd):
    """It is shown at the end, after the cells that failed."""
    made_up.failing = {"static"}
    monkeypatch.setattr(sweep.sweep_report, "write", lambda *_: {}["a fault"])
    with pytest.raises(KeyError, match="a fault"):
        call_sweep(GRID)
    assert made_up.methods == ["dense", "static", "set", "static"]
    assert "failed: it failed" in capfd.readouterr().err


def test_help(capfd, made_up):
    assert sweep.main(["sweep", GRID, "--help"]) == 0
    assert capfd.readouterr() == (sweep.USAGE + "\n", "")
    assert not made_up.commands


# Sweeps in processes of their own


ONE_CORE = ["--branches=1", "--intra_op_threads=1"]  # which a sweep adds itself
# The second cell's loss is not finite at once; of the third there are two that are equal.
REAL = [
    *SHARED,
    "--optimizer=sgd",
    "--grid=method=static,density=0.5,learning_rate=0.01,1e30",
    "--grid=method=dense,density=0.5,0.2,seed=1",
]


@pytest.fixture(scope="module")
def real(cli, tmp_path_factory) -> dict:
    """A sweep killed after its first cell and started again, and its cells as runs by themselves.

    `killed` and `again` are (exit code, stdout, stderr); `state` is that of the first cell's files
    at the kill and at the end.
    """

    def start(folder: Path) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "experiments.sweep", *REAL, f"--output_dir={folder}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(process: subprocess.Popen) -> list:
        try:
            out, err = process.communicate(timeout=_PATIENCE)
        finally:
            process.kill()
        return [process.returncode, out, err]

    folder = tmp_path_factory.mktemp("sweep")
    shared = flags.given(flags.parse(["run", *ONE_CORE, *REAL[:-2]]))
    values = cells(shared, [grid.removeprefix("--grid=") for grid in REAL[-2:]])
    first = run_name(values[0])

    def state() -> dict[str, int]:
        (path,) = folder.glob(f"sweep-*/{first}")
        return {file.name: file.stat().st_mtime_ns for file in path.glob("*.*")}

    process, deadline = start(folder), time.monotonic() + _PATIENCE
    try:
        while not any(folder.glob(f"sweep-*/{first}/results.json")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    killed, before = end(process), state()
    again = end(start(folder))
    alone = folder / "alone"
    alone.mkdir()
    codes = {}
    for cell in values:
        given = flags.given(cell | {"output_dir": str(alone)})
        codes[run_name(cell)] = cli.call([as_flag(k, v) for k, v in given.items()]).code
    return dict(
        killed=killed, again=again, before=before, after=state(), alone=str(alone), codes=codes
    )


@pytest.mark.slow
def test_was_killed(real):
    code, out, err = real["killed"]
    assert (code, err) == (-signal.SIGKILL, "")
    assert "cell 1/3 " in out and "cells. Made by" not in out


@pytest.mark.slow
def test_goes_on_after_a_kill(real):
    """Without the cell that was finished; the one that fails is named, and the next one done."""
    code, out, err = real["again"]
    assert code == 1
    first, second, third = real["codes"]
    begun = re.findall(r"^cell ./3 .*: starts \((.*)\)$", out, re.MULTILINE)
    assert set(begun) == {second, third}
    (line,) = err.splitlines()
    assert line.startswith(f"error: cell {second} failed: the loss is not finite at iteration ")
    assert line.endswith(f"{second}.log)")
    assert real["before"] == real["after"] and "results.json" in real["after"]
    folder = Path(out.splitlines()[-1])
    for name, finished in ((first, True), (second, False), (third, True)):
        assert (folder / name / "results.json").exists() == finished


@pytest.mark.slow
def test_report_is_that_of_undisturbed_cells(real, tmp_path):
    folder = Path(real["again"][1].splitlines()[-1])
    assert list(real["codes"].values()) == [0, 1, 0]
    assert json.loads((folder / "sweep.json").read_text())["cells"] == list(real["codes"])
    shutil.copytree(real["alone"], tmp_path, dirs_exist_ok=True)
    shutil.copy(folder / "sweep.json", tmp_path)
    text = write_report(str(tmp_path))
    assert text == (folder / "report.md").read_text() and text in real["again"][1]
    assert "2 of 3 cells" in text
    assert (folder / "report.png").read_bytes() == (tmp_path / "report.png").read_bytes()
    ours, theirs = (json.loads((f / "report.json").read_text()) for f in (folder, tmp_path))
    assert (ours["rows"], ours["command"]) == (theirs["rows"], theirs["command"])
    rows = ours["rows"]
    assert [(row["method"], row["density"]) for row in rows] == [("static", 0.5), ("dense", 1.0)]
