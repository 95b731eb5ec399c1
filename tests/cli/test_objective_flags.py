"""The flag --objective, and the options of objectives."""

import dataclasses

import pytest

from experiments.cli.flags import as_flag
from experiments.runs import options as flags
from experiments.runs.directory import run_name
from experiments.runs.training_run import TrainingRun
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.training import StepOptions
from robust_sparse_tf.training.objectives import BY_NAME, RSR, Adversarial, Clean, Mixed, Trades

FIELDS = {field.name: field for field in flags.fields()}


def parse(*argv):
    return flags.parse(["run", *argv])


@pytest.mark.parametrize("name", BY_NAME)
def test_every_objective_by_its_name(name):
    lasso = ["--weight_l1=1e-5"] if name == "rsr" else []
    made = TrainingRun(parse(f"--objective={name}", *lasso)).objective
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


def test_the_lasso_is_the_objectives_or_the_optimizers():
    run = TrainingRun(parse("--objective=rsr", "--weight_l1=1e-4", "--clean_weight=0.3"))
    assert run.objective == RSR(weight_l1=1e-4, clean_weight=0.3)
    assert run.optimizer.weight_l1 == 0
    run = TrainingRun(parse("--objective=trades", "--weight_l1=1e-4", "--beta=2"))
    assert run.objective == Trades(beta=2.0)
    assert run.optimizer.weight_l1 == 1e-4


def test_step_options():
    argv = ["--bn_attack=training", "--bn_statistics=clean", "--average=0.995"]
    argv += ["--weight_perturbation=0.01", "--perturbation_start=7"]
    assert TrainingRun(parse(*argv)).step_options == StepOptions(
        bn_attack="training",
        bn_statistics="clean",
        average=0.995,
        weight_perturbation=0.01,
        perturbation_start=7,
    )
    assert TrainingRun(parse()).step_options == StepOptions()


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


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--objective=rsr"], "weight_l1=0.0: must be above 0"),
        (["--objective=trades", "--attack=none"], "attack=None: must be an attack with Trades"),
        (["--objective=mart", "--attack=none"], "attack=None: must be an attack with Mart"),
        (["--objective=trades", "--attack=fgsm"], "attack=FGSM.*: must be PGD with Trades"),
        (["--objective=trades", "--beta=-1"], "beta=-1.0: must be at least 0"),
        (["--beta=1"], "beta=1.0: is no option of objective=mixed"),
        (["--average=1.5"], "average=1.5: must be at least 0 and at most 1"),
        (["--weight_perturbation=-1"], "weight_perturbation=-1.0: must be at least 0"),
        (["--perturbation_start=3"], "perturbation_start=3: has no effect without weight_pert"),
        (["--bn_attack=eval"], "bn_attack=eval: must be one of inference, training"),
        (["--bn_attack=training", "--attack=none"], "bn_attack=training: has no effect without an"),
        (
            ["--bn_statistics=clean", "--objective=clean"],
            "bn_statistics=clean: has no effect without another objective than clean",
        ),
    ],
)
def test_refused_options(argv, words):
    with pytest.raises(InputError, match=f"^{words}"):
        TrainingRun(parse(*argv))


def test_clean_takes_no_attack():
    assert TrainingRun(parse("--objective=clean", "--attack=none")).objective == Clean()


def test_no_option_is_of_a_method_and_an_objective():
    own = {field.name for cls in BY_NAME.values() for field in dataclasses.fields(cls)}
    assert not own & flags.METHOD.names()
