"""Damaged files: a line names the file, and the rest continues. Nothing is trained."""

import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import study_cells
import tf_keras as keras

from experiments import report
from experiments.evaluations import stored
from experiments.runs import config, options, records, results
from experiments.runs.directory import RunDirectory, run_name
from experiments.runs.log import RunLog
from experiments.sweeps import directory
from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError, RunWarning
from robust_sparse_tf.procedures import CheckpointStore, Rounds
from robust_sparse_tf.procedures.rounds import BetweenRounds, _Run

BAD_JSON = {
    "empty": b"",
    "cut": b'{"name": "x", "flags": {',
    "bytes": b"\xff\xfe\x00{",
    "null": b"null",
    "a list": b"[1, 2]",
    "a word": b'"results"',
    "a number": b"3",
    "nothing in it": b"{}",
    "deep": b"[" * 100_000,
    "wrong kinds": b'{"name": 1, "flags": [], "rounds": {}}',
    "wrong rounds": b'{"name": "x", "flags": {}, "rounds": [{"density": "1", "test": {}}]}',
    "no number": b'{"name": "x", "flags": {}, "rounds": [{"density": NaN, "test": '
    b'{"clean_accuracy": 1, "robust_accuracy": {}}}]}',
    "a wrong flag": b'{"name": "x", "flags": {"rounds": "x"}, "rounds": []}',
    "no tests": b'{"name": "x", "flags": {}, "rounds": [{"density": 1, "test": null}]}',
}


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    """The directory of a finished run."""
    values = options.parse(["run", "--dataset=digits", f"--output_dir={tmp_path}"])
    found = RunDirectory(values)
    found.start({"flags": values})
    content = {"name": run_name(values), "flags": {}, "rounds": []}
    files.write_json(found.file("results.json"), content)
    assert found.finished()
    return found


@pytest.mark.parametrize("content", BAD_JSON.values(), ids=BAD_JSON)
def test_bad_results_are_made_anew(content, run):
    Path(run.file("results.json")).write_bytes(content)
    with pytest.warns(
        RunWarning,
        match=r"results\.json: holds no results of a run \(.*last checkpoint",
    ):
        assert run.finished() is None


def test_results_of_another_run_are_not_shown(run):
    content = {"name": "digits-pgd-other", "flags": {}, "rounds": []}
    files.write_json(run.file("results.json"), content)
    with pytest.warns(RunWarning, match=r"is of another run \(digits-pgd-other\)"):
        assert run.finished() is None


@pytest.mark.parametrize("killed_after", range(4))
def test_overwrite_removes_the_results_first(killed_after, run, monkeypatch):
    """A kill between leaves no run that seems finished, and the flags to the last."""
    (Path(run.path) / "checkpoints").mkdir()
    (Path(run.path) / "a").write_text("")
    left = [killed_after]
    remove = files.remove

    def kill(path: str) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        remove(path)

    monkeypatch.setattr(files, "remove", kill)
    run._values["overwrite"] = True
    with pytest.raises(KeyboardInterrupt):
        run.start({"flags": {}})
    run._values["overwrite"] = False
    assert (run.finished() is None) == (killed_after > 0)
    assert config.exists(run.path)


def test_runs_start_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert config._revision() == "unknown"


def test_a_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "tensorboard").write_text("")
    place = SimpleNamespace(path=str(tmp_path), file=lambda name: str(tmp_path / name))
    with pytest.raises(InputError, match=r"tensorboard: is a file, but must be a folder"):
        RunLog(place, Rounds(), None, {}, {}, {}).start([])


def sweep(folder: Path) -> list[str]:
    """Three finished cells; their names."""
    rounds = [[{"none": 0.9, "pgd": 0.5}]]
    given = {"dataset": "digits", "method": "static", "density": 0.5}
    cells = [study_cells.cell(folder, rounds, [0.5], seed=seed, **given) for seed in range(3)]
    study_cells.sweep(folder, "", cells)
    return [cell["name"] for cell in cells]


@pytest.mark.parametrize("name", ["results.json", "config.json", "metrics.jsonl"])
@pytest.mark.parametrize("kind", ["cut", "null", "bytes"])
def test_one_bad_file_in_a_sweep(name, kind, tmp_path, capfd):
    """The report has the other cells."""
    bad, *_ = sweep(tmp_path)
    (tmp_path / bad / name).write_bytes(BAD_JSON[kind])
    assert report.main(["report", str(tmp_path)]) == 0
    out, err = capfd.readouterr()
    assert "2 of 3 cells" in out
    assert err.count("\n") == 1 and f"warning: cell {bad} is left out of the report" in err
    assert str(tmp_path / bad / name) in err


def test_a_bad_cell_of_a_sweep_is_run_again(call_sweep, made_up, tmp_path):
    code, out, _ = call_sweep("--grid=method=rigl,set")
    folder, first = Path(out.splitlines()[-1]), len(made_up.commands)
    (bad, good) = (path.parent for path in sorted(folder.glob("*/results.json")))
    (bad / "results.json").write_text("{")
    code, _, err = call_sweep("--grid=method=rigl,set")
    assert (code, err) == (0, "")
    assert len(made_up.commands) == first + 1
    assert results.read(str(bad)) and results.read(str(good))


def written(folder: Path) -> dict:
    """Files of each kind with what reads them."""
    name, *_ = sweep(folder)
    cell = folder / name
    row = dict(attack="fgsm", norm="linf", epsilon=0.1, accuracy=0.5, distance=1, seconds=2)
    files.write_json(str(folder / "report.json"), {"rows": [row], "warnings": [], "model": "x"})
    measures = dict(options={}, images=3, numbers={"r_2": 0.5}, usefulness=None, missing={})
    measures |= dict(warnings=[], seconds=1.0, model="x")
    stored.write_measures(str(folder / "measures.json"), stored.Measures(**measures))
    return {
        cell / "results.json": lambda: results.read(str(cell)),
        cell / "config.json": lambda: config.read(str(cell)),
        cell / "metrics.jsonl": lambda: records.read(str(cell)),
        folder / "sweep.json": lambda: directory.read(str(folder)),
        folder / "report.json": lambda: stored.read_attacks(str(folder / "report.json")),
        folder / "measures.json": lambda: stored.read_measures(str(folder / "measures.json")),
    }


def test_any_byte_of_any_file_may_be_another(tmp_path):
    """What cannot be read is an InputError in one line; 200 damages of each file."""
    rng = np.random.default_rng(0)
    for path, read in written(tmp_path).items():
        content = path.read_bytes()
        read()
        for place in rng.integers(0, len(content), 200):
            damaged = bytearray(content)
            damaged[place] = int(rng.integers(256))
            path.write_bytes(damaged if rng.random() < 0.7 else content[:place])
            try:
                read()
            except InputError as error:
                assert str(path.parent) in str(error) and "\n" not in str(error)
        path.write_bytes(content)


def made_run(width: int, folder: Path) -> _Run:
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(width)])
    optimizer = keras.optimizers.SGD()
    optimizer.build(network.trainable_variables)
    step = keras.backend.variable(0, dtype="int64")
    model = SimpleNamespace(network=network, optimizer=optimizer, step=step, averages=None)
    return _Run(Rounds(), model, BetweenRounds(), CheckpointStore(str(folder)))


def test_a_checkpoint_of_another_network(tmp_path):
    """It is named, and the run continues from the one before."""
    own, other = made_run(2, tmp_path), made_run(5, tmp_path)
    for number, run in enumerate((own, other)):
        run.iteration = 10 * (number + 1)
        run.model.step.assign(run.iteration)
        run.save()
    again = made_run(2, tmp_path)
    with pytest.warns(RunWarning, match=r"0000000020\.npz is of another network or optimizer"):
        again.restore()
    assert again.iteration == 10
    for found, expected in zip(again.model.network.weights, own.model.network.weights, strict=True):
        np.testing.assert_array_equal(found, expected)
    shutil.rmtree(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made_run(2, tmp_path).restore()


def test_a_file_that_cannot_be_finished_is_removed(tmp_path):
    with pytest.raises(files.WriteError), files.complete(str(tmp_path / "file")) as file:
        file.write(b"some")
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())
