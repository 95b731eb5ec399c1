"""Flags made from the options, options made from the flags, and a run's name."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.runs import options as flags
from experiments.runs.directory import run_name
from experiments.runs.training_run import TrainingRun
from robust_sparse_tf import sparsity
from robust_sparse_tf.attacks import FGSM, PGD, RandomIntensity
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import default_of, kind, make
from robust_sparse_tf.procedures import LotteryTicket

FIELDS = {field.name: field for field in flags.fields()}
UNHASHED = {"data_dir", "output_dir", "continue_from", "overwrite", "device_profile"}


def parse(*argv: str) -> dict[str, Any]:
    return flags.parse(["run", *argv])


def other_value(field: dataclasses.Field) -> Any:
    """A value that is not the default; parsing does not look at what is allowed."""
    default = default_of(field)
    if default is None:  # an option of methods
        samples = {bool: True, int: 7, float: 0.125, str: "some", dict: {"logits": 1.0}}
        return samples[kind(field)]
    if isinstance(default, list):
        return [*field.metadata["choices"]] or ["1", "7"]
    if isinstance(default, bool):
        return not default
    if isinstance(default, int):
        return default + 1
    if isinstance(default, float):
        return default / 2 or 0.125
    return default + "x"


def as_flag(name: str, value: Any) -> str:
    if isinstance(value, dict):
        value = json.dumps(value)
    return f"--{name}=" + (",".join(value) if isinstance(value, list) else str(value))


def test_defaults():
    values = parse()
    assert values == {name: default_of(field) for name, field in FIELDS.items()}
    assert flags.different(values) == {}


def test_names_are_unique():
    """The attacks of training and of evaluation have their own."""
    assert len(flags.fields()) == len(FIELDS)
    assert {
        "attack.epsilon",
        "eval.epsilon",
        "dataset",
        "prune_hidden",
        "rounds",
        "optimizer",
    } <= FIELDS.keys()
    assert not {"low", "high"} & FIELDS.keys()


def test_round_trip_of_all():
    given = {name: other_value(field) for name, field in FIELDS.items()}
    assert parse(*(as_flag(name, value) for name, value in given.items())) == given
    assert flags.different(given).keys() == FIELDS.keys() - UNHASHED


@pytest.mark.parametrize("name", FIELDS)
def test_each_flag(name):
    """It keeps its type, reaches its options, and decides alone about the run's name."""
    value = other_value(FIELDS[name])
    values = parse(as_flag(name, value))
    assert values == {**parse(), name: value}
    assert type(values[name]) is kind(FIELDS[name])
    assert json.loads(json.dumps(values)) == values
    hashed = name not in UNHASHED
    assert flags.different(values) == ({name: value} if hashed else {})
    assert (run_name(values) != run_name(parse())) == hashed


@pytest.mark.parametrize("group", flags.GROUPS)
def test_make(group):
    """Each group of options takes its own flags and nothing else; None stands for a default."""
    made = make(group, {name: value for name, value in parse().items() if value is not None})
    for field in dataclasses.fields(group):
        assert getattr(made, field.name) == default_of(field)


def test_make_takes_given_values():
    made = make(LotteryTicket, parse("--rounds=7", "--rewind_to=trained_dense"))
    assert made == LotteryTicket(rounds=7, rewind_to="trained_dense")


def test_names_differ():
    argvs = [[as_flag(name, other_value(field))] for name, field in FIELDS.items()]
    argvs += [[f"--{name}={k}"] for name in ("rounds", "seed", "iterations") for k in (2, 3)]
    hashed = [argv for argv in argvs if argv[0].split("=")[0][2:] not in UNHASHED]
    assert len({run_name(parse(*argv)) for argv in hashed}) == len(hashed)


def test_name_is_readable():
    name = run_name(parse("--dataset=mnist", "--attack=fgsm", "--strategy=random"))
    assert name.startswith("mnist-fgsm-random-")
    assert name == run_name(parse("--strategy=random", "--dataset=mnist", "--attack=fgsm"))


def test_name_ignores_defaults_given():
    defaults = {name: default_of(field) for name, field in FIELDS.items()}
    values = parse(*(as_flag(k, v) for k, v in defaults.items() if v is not None))
    assert run_name(values) == run_name(parse())


def test_name_is_that_of_other_processes(cli):
    """Whatever the order of their sets is."""
    code = (
        f"import sys; from {flags.__name__} import parse; "
        f"from {run_name.__module__} import run_name; print(run_name(parse(sys.argv)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, *cli.base_argv],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == run_name(parse(*cli.base_argv))


def test_name_stays_the_same_for_good():
    """So that runs are found again by later versions; a new flag's default must not change it."""
    assert run_name(parse()) == "digits-pgd-original-67e6a15d"
    # Once the default step.
    steps = ["--attack.step_size=0.05", "--eval.step_size=0.05"]
    assert run_name(parse(*steps)) == "digits-pgd-original-44136fa3"


def test_flagfile(tmp_path):
    file = tmp_path / "my.flags"
    file.write_text("# a comment\n--rounds=2\n\n--eval_attacks=fgsm,pgd\n--attack.random_start\n")
    values = parse(f"--flagfile={file}", "--iterations=5")
    assert values == parse(
        "--rounds=2", "--eval_attacks=fgsm,pgd", "--attack.random_start", "--iterations=5"
    )
    assert parse(f"--flagfile={file}", "--rounds=3")["rounds"] == 3


METHOD_FLAGS = flags.METHOD.names()


@pytest.mark.parametrize("name", sparsity.BY_NAME)
def test_make_method(name):
    """Each method takes its own options, and refuses those of others."""
    method = flags.make_method(parse(f"--method={name}", "--seed=3"))
    assert method == sparsity.BY_NAME[name](seed=3)
    own = {field.name for field in dataclasses.fields(method)} - {"seed"}
    assert own <= METHOD_FLAGS
    for other in METHOD_FLAGS - own:
        argv = as_flag(other, other_value(FIELDS[other]))
        with pytest.raises(InputError, match=f"^{other}=.*is no option of method={name}"):
            flags.make_method(parse(f"--method={name}", argv))


def test_make_method_takes_given_values():
    argv = ["--method=rigl", "--density=0.25", "--stop_step=9", '--layer_densities={"logits": 1}']
    expected = sparsity.RigL(0.25, stop_step=9, layer_densities={"logits": 1})
    assert flags.make_method(parse(*argv)) == expected


def test_epsilon_std_draws_the_radius_in_training_alone():
    run = TrainingRun(parse("--attack=fgsm", "--epsilon_std=0.25"))
    assert run.attack == RandomIntensity(attack=run.attack.attack, std=0.25)
    assert isinstance(run.attack.attack, FGSM)
    assert run.eval_attacks["pgd"].epsilon == 0.3


def test_attacks_of_training_and_of_evaluation_have_their_own_flags():
    argv = ["--attack=pgd", "--attack.epsilon=0.1", "--attack.steps=3"]
    argv += ["--eval_attacks=pgd", "--eval.epsilon=0.2", "--eval.steps=7"]
    run = TrainingRun(parse(*argv))
    trained, evaluated = run.attack, run.eval_attacks["pgd"]
    assert isinstance(trained, PGD) and isinstance(evaluated, PGD)
    assert (trained.epsilon, trained.steps) == (0.1, 3)
    assert (evaluated.epsilon, evaluated.steps) == (0.2, 7)


@pytest.mark.parametrize("width, units", [(1, 300), (0.1, 30)])
def test_width_is_the_networks(width, units):
    network = TrainingRun(parse(f"--width={width}")).network((8, 8, 1), 10)
    assert network.layers[1].units == units


def test_lottery_has_no_method():
    assert flags.make_method(parse()) is None
    with pytest.raises(InputError, match="density=0.5: is no option of method=lottery"):
        flags.make_method(parse("--density=0.5"))


def test_layer_densities_must_be_json():
    with pytest.raises(InputError, match="layer_densities=x: must be a JSON object"):
        parse("--layer_densities=x")


@pytest.mark.parametrize("argv", [["--nosuch"], ["--rounds=x"], ["word"], ["--rounds"]])
def test_refuses(argv):
    with pytest.raises(InputError, match=argv[0].strip("-").split("=")[0]):
        parse(*argv)


def test_eval_epsilon_std_draws_the_radius_in_evaluation_alone():
    run = TrainingRun(parse("--attack=fgsm", "--eval_attacks=fgsm", "--eval_epsilon_std=0.25"))
    assert isinstance(run.eval_attacks["fgsm"], RandomIntensity)
    assert run.eval_attacks["fgsm"].std == 0.25
    assert not isinstance(run.attack, RandomIntensity)
