"""The flag --objective, and the options of objectives."""

import dataclasses

import pytest

from experiments.cli.flags import as_flag
from experiments.runs import options as flags
from experiments.runs.directory import run_name
from experiments.runs.training_run import TrainingRun
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.training.objectives import BY_NAME, Adversarial, Clean, Mixed

FIELDS = {field.name: field for field in flags.fields()}


def parse(*argv):
    return flags.parse(["run", *argv])


@pytest.mark.parametrize("name", BY_NAME)
def test_every_objective_by_its_name(name):
    made = TrainingRun(parse(f"--objective={name}")).objective
    assert type(made) is BY_NAME[name]


def test_the_default_is_what_runs_did_before():
    assert TrainingRun(parse()).objective == Mixed()
    assert run_name(parse("--objective=mixed")) == run_name(parse())
    assert run_name(parse("--objective=clean")) != run_name(parse())


def test_shared_options():
    argv = ["--objective=adversarial", "--label_smoothing=0.1", "--activity_l1=0.2"]
    made = TrainingRun(parse(*argv)).objective
    assert made == Adversarial(label_smoothing=0.1, activity_l1=0.2)
    assert TrainingRun(parse("--clean_weight=0.2")).objective == Mixed(clean_weight=0.2)


@pytest.mark.parametrize("name", BY_NAME)
def test_options_of_other_objectives_are_refused(name):
    own = {field.name for field in dataclasses.fields(BY_NAME[name])}
    for other in flags.OBJECTIVE.names() - own:
        argv = as_flag(other, FIELDS[other].metadata["kind"](1))
        with pytest.raises(InputError, match=f"^{other}=.*is no option of objective={name}"):
            flags.make_objective(parse(f"--objective={name}", argv))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--objective=best"], "objective=best: must be one of clean, adversarial, mixed"),
        (["--objective=adversarial", "--attack=none"], "attack=None: must be an attack with Adv"),
        (
            ["--objective=adversarial", "--clean_weight=0.1"],
            "clean_weight=0.1: has no effect without objective=mixed",
        ),
    ],
)
def test_refused(argv, words):
    with pytest.raises(InputError, match=f"^{words}"):
        TrainingRun(parse(*argv))


def test_clean_takes_no_attack():
    assert TrainingRun(parse("--objective=clean", "--attack=none")).objective == Clean()


def test_no_option_is_of_a_method_and_an_objective():
    own = {field.name for cls in BY_NAME.values() for field in dataclasses.fields(cls)}
    assert not own & flags.METHOD.names()
