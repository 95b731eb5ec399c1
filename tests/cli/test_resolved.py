"""Threads and branches: of the cores of the moment, and then those the run was begun with."""

import pytest

from experiments.runs import config, options, resolved
from experiments.runs.directory import run_name
from experiments.runs.options import RunOptions
from experiments.runs.training_run import TrainingRun
from robust_sparse_tf import AdversarialModel, models
from robust_sparse_tf.errors import InputError


@pytest.fixture
def cores(monkeypatch):
    def give(number: int) -> None:
        monkeypatch.setattr(resolved, "cores", lambda: number)

    return give


@pytest.mark.parametrize(
    ("number", "given", "branches", "threads"),
    [
        (1, {}, 1, 1),
        (2, {}, 2, 1),
        (8, {}, 2, 4),
        (8, {"branches": 4}, 4, 2),
        (8, {"branches": 1, "intra_op_threads": 3}, 1, 3),
        (8, {"model": "resnet20"}, 2, 8),
        (8, {"model": "resnet20", "branches": 1}, 1, 8),
        (8, {"noise": "channel"}, 2, 8),
    ],
)
def test_settings_of_the_cores(number, given, branches, threads, cores):
    cores(number)
    found = resolved.settings(RunOptions(**given), [])
    assert (found["branches"], found["intra_op_threads"]) == (branches, threads)


@pytest.mark.parametrize("now", [1, 2, 64])
@pytest.mark.parametrize("place", ["own", "continued"])
def test_a_run_that_goes_on_has_the_settings_it_began_with(place, now, cores, tmp_path):
    values = options.parse(["run", "--dataset=digits", f"--output_dir={tmp_path}"])
    cores(8)
    begun = resolved.settings(RunOptions(), [])
    run = TrainingRun(values | {"continue_from": str(tmp_path / "before")})
    folder = tmp_path / ("before" if place == "continued" else run_name(values))
    folder.mkdir()
    config.write(str(folder), config.of_values(values, resolved.check(str(folder), begun, 1)))
    cores(now)
    assert (run.branches, run._settings["intra_op_threads"]) == (2, 4)
    if place == "own":
        again = TrainingRun(values | {"overwrite": True})
        assert again._settings == resolved.settings(RunOptions(), [])


def test_other_devices_are_refused(tmp_path):
    begun = resolved.check("run", resolved.settings(RunOptions(), []), 2)
    assert resolved.check("run", begun, 2) == begun
    with pytest.raises(
        InputError, match="run: was begun on 2 x .PU, and would not be bit-identical"
    ):
        resolved.check("run", begun, 3)
    with pytest.raises(InputError, match="before: was begun .* run the whole without --continue"):
        resolved.check("run", begun, 3, "before")
    with pytest.raises(InputError, match="was begun on 2 x TPU"):
        resolved.check("run", {**begun, "device": "TPU"}, 2)


def test_runs_of_before_take_those_of_the_moment(cores, tmp_path):
    (tmp_path / "config.json").write_text('{"flags": {}}')
    cores(8)
    assert resolved.settings(RunOptions(), [str(tmp_path)])["intra_op_threads"] == 4


@pytest.mark.slow
@pytest.mark.parametrize("name", models.BY_NAME)
def test_networks_whose_batches_are_not_split(name):
    """Training decides by their layers."""
    classes = 2 if name.startswith("binary") else 10
    network = models.BY_NAME[name]((32, 32, 3), classes)
    model = AdversarialModel(network, branches=2)
    assert model._passes.pure != (name in resolved.MIXING)
