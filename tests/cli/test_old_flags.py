"""Runs and sweeps that were made before some flags were renamed."""

import json
from pathlib import Path

import pytest

from experiments import report
from experiments.evaluations import follow_up
from experiments.runs import options as flags
from experiments.runs import results
from experiments.runs.continuation import Continuation
from experiments.runs.directory import RunDirectory, run_name
from experiments.runs.old_flags import identity, renamed
from robust_sparse_tf.errors import InputError

FLAGFILES = Path(report.__file__).parent / "flagfiles"
STEPS = ["--attack.step_size=0.05", "--eval.step_size=0.05"]
ATTACKS = ["--attack.epsilon=0.1", "--eval.epsilon=0.1"]


def parse(*argv):
    return flags.parse(["run", *argv])


def test_attacks_of_training_and_evaluation_had_one_set_of_settings():
    found = renamed({"epsilon": 0.1, "restarts": 2, "rounds": 3, "attack.steps": 4})
    attacks = {"attack.epsilon": 0.1, "eval.epsilon": 0.1, "eval.restarts": 2, "attack.steps": 4}
    assert found == {**attacks, "rounds": 3}


def test_what_stood_for_none():
    stood = {"validation_size": -1, "test_size": 0, "branches": 0, "steps_per_execution": 0}
    values = parse()
    assert renamed(stood) == {name: values[name] for name in stood}
    assert renamed({"branches": 2, "seed": 0}) == {"branches": 2, "seed": 0}


@pytest.mark.parametrize(
    ("flagfile", "name"),
    [
        ("quickstart", "digits-pgd-original-6a6def8f"),
        ("lottery_mnist", "mnist-pgd-original-e26bc553"),
    ],
)
def test_runs_have_the_names_that_they_had(flagfile, name):
    assert run_name(parse(f"--flagfile={FLAGFILES / flagfile}.flags")) == name


def test_a_step_of_another_default_makes_another_name():
    taken = ["--attack=pgd", "--eval_attacks=pgd"]
    once, now = (parse(*taken, *more) for more in (STEPS, []))
    assert "step_size" not in identity(once)
    assert identity(now)["step_size"] is None
    assert identity(parse("--attack=none", "--eval_attacks=fgsm")) == {
        "attack": "none",
        "eval_attacks": ["fgsm"],
    }


def test_results_of_an_old_run_tell_the_step_that_was_made(tmp_path):
    content = {"name": "old", "flags": {"epsilon": 0.1}, "rounds": []}
    (tmp_path / "results.json").write_text(json.dumps(content))
    assert "attack.step_size" not in results.read(str(tmp_path))["flags"]
    (tmp_path / "config.json").write_text(json.dumps({"flags": {"step_size": 0.05}}))
    found = results.read(str(tmp_path))["flags"]
    assert (found["attack.step_size"], found["eval.step_size"]) == (0.05, 0.05)


def test_attacks_that_differ_make_another_name():
    names = {run_name(parse(*some)) for some in ([], ATTACKS[:1], ATTACKS[1:], ATTACKS)}
    assert len(names) == 4


def test_an_old_directory_is_read(tmp_path):
    values = parse(*ATTACKS, f"--output_dir={tmp_path}")
    old = {"epsilon": 0.1, "norm": "linf", "dataset": "digits", "test_size": 0, "branches": 0}
    folder = tmp_path / run_name(values)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"flags": old}))
    content = {"name": folder.name, "flags": {"epsilon": 0.1}, "rounds": []}
    (folder / "results.json").write_text(json.dumps(content))
    results = RunDirectory(values).finished()
    assert results["flags"] == {"attack.epsilon": 0.1, "eval.epsilon": 0.1}


@pytest.mark.parametrize(
    ("argv", "refused"),
    [
        (["--attack=none", "--eval.step_size=0.05"], False),
        (["--attack=fgsm", "--eval_attacks=fgsm"], False),
        (STEPS, False),
        (["--attack=pgd", "--eval.step_size=0.05"], True),
    ],
)
def test_the_step_of_an_old_directory_counts_where_it_is_made(tmp_path, argv, refused):
    values = parse(*argv, f"--output_dir={tmp_path}")
    attacks = {name: values[name] for name in ("attack", "eval_attacks")}
    names = {name.split(".")[-1]: value for name, value in values.items()}
    folder = tmp_path / run_name(values)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"flags": names | {"step_size": 0.05}}))
    (folder / "results.json").write_text(json.dumps({"name": "", "flags": attacks, "rounds": []}))
    longer = parse(*argv, "--rounds=9", f"--continue_from={folder}")
    for made in (lambda: RunDirectory(values), lambda: Continuation(longer)):
        if refused:
            with pytest.raises(InputError, match=r"attack\.step_size=0\.05, now None"):
                made()
        else:
            made()


def test_an_old_directory_of_other_flags_is_refused(tmp_path):
    values = parse(*ATTACKS, f"--output_dir={tmp_path}")
    folder = tmp_path / run_name(values)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"flags": {"epsilon": 0.2}}))
    with pytest.raises(InputError, match=r"attack\.epsilon=0\.2, now 0\.1"):
        RunDirectory(values)


def test_what_an_old_sweep_asked_for(tmp_path):
    old = follow_up.stored_evaluation("--attacks=fgsm --epsilons=0.1 --rounds=0,8 --draws=2")
    new = follow_up.evaluation("--attacks=fgsm --epsilons=0.1 --at_rounds=0,8 --passes=2")
    assert old.options == new.options
    assert old.files(str(tmp_path)) == new.files(str(tmp_path))
    old = follow_up.stored_measurement("--measures=r_inf --epsilon=0.2 --rounds=0")
    assert (
        old.options
        == follow_up.measurement("--measures=r_inf --r_inf_epsilon=0.2 --at_rounds=0").options
    )
