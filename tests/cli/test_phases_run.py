"""A run of phases: its rounds, its results, and that it is continued where it was stopped."""

import numpy as np
import pytest

from experiments.runs import options as flags
from experiments.runs.training_run import TrainingRun
from robust_sparse_tf.errors import InputError

ARGV = [
    "--dataset=digits",
    "--train_size=120",
    "--method=rigl",
    "--density=0.3",
    "--update_interval=3",
    "--clean_epochs=2",
    "--robust_epochs=1",
    "--robust_density=0.2",
    "--prune_after=threshold",
    "--prune_to=0.9",
    "--evaluate_epochs=1",
    "--attack.epsilon=0.1",
    "--attack.steps=2",
    "--eval_attacks=pgd",
    "--eval.steps=2",
    "--branches=1",
]


@pytest.fixture(scope="module")
def finished(cli, tmp_path_factory):
    return cli.call([*ARGV, f"--output_dir={tmp_path_factory.mktemp('phases')}"])


def test_each_phase_is_a_round(finished):
    assert finished.code == 0, finished.err
    places = [(record["round"], record["iteration"]) for record in finished.records]
    assert places == [(0, 2), (0, 4), (1, 2), (2, 0)]
    densities = [entry["density"] for entry in finished.results["rounds"]]
    assert densities == pytest.approx([0.3, 0.2, 0.1], abs=1e-3)
    for number, density in enumerate(densities):
        with np.load(finished.path / f"rounds/{number}/masks.npz") as masks:
            kept = sum(mask.sum() for mask in masks.values())
            assert kept / sum(mask.size for mask in masks.values()) == pytest.approx(
                density, abs=1e-3
            )
    assert "2 epochs clean, 1 epochs robust, pruned once" in finished.out


def test_an_unfinished_run_ends_with_the_same_records(finished, cli, files, tmp_path):
    files.unfinished(finished.path, tmp_path)
    again = cli.call([*ARGV, f"--output_dir={tmp_path}"])
    assert again.code == 0, again.err
    assert again.records == finished.records
    assert again.results["rounds"] == finished.results["rounds"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--clean_epochs=1"], "clean_epochs=1: has no effect without a method that trains once"),
        (
            ["--method=set", "--robust_epochs=1", "--iterations=5"],
            "iterations=5: has no effect without leaving out robust_epochs",
        ),
        (["--method=set", "--prune_to=0.5"], "prune_to=.*: has no effect without prune_after"),
        (["--method=set", "--prune_after=threshold", "--prune_to=1.5"], "prune_to=1.5: must be"),
    ],
)
def test_flags_without_effect(words, line):
    with pytest.raises(InputError, match=line):
        TrainingRun(flags.parse(["run", *words]))


def test_runs_without_phases_keep_their_names():
    assert not flags.different(flags.parse(["run", "--dataset=digits"]))
