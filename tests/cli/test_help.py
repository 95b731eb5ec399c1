"""What the command says of its flags."""

import dataclasses
import json

import pytest

from experiments.runs import attack_flags
from experiments.runs import options as flags
from robust_sparse_tf import sparsity
from robust_sparse_tf.options import default_of
from robust_sparse_tf.training import OptimizerOptions, objectives


@pytest.fixture(scope="module")
def shown(cli) -> str:
    code, out, err = cli.call(["--help"])
    assert (code, err) == (0, "")
    return out


def test_help(shown):
    """Names each flag with its meaning, default, unit and allowed values."""
    lines = shown.splitlines()
    for field in flags.fields():
        (place,) = [k for k, line in enumerate(lines) if line.startswith(f"  --{field.name}: ")]
        text = " ".join(lines[place : place + 2])
        default, rule = default_of(field), field.metadata
        values = [",".join(default) if isinstance(default, list) else json.dumps(default)]
        if default == "":
            values = ["default: none"]
        elif default is None and rule["shown"]:
            values = [rule["shown"]]
        elif default is None:  # an option of methods, each with its own default
            values = method_defaults(field.name)
        assert rule["help"] in text and "default: " in text
        assert all(value in text for value in values)
        assert rule["unit"] in text
        assert all(str(choice) in text for choice in rule["choices"])
    assert "--flagfile" in shown


def test_help_among_others(cli, shown):
    assert cli.call(["--x", "--help"]) == (0, shown, "")


def method_defaults(name: str) -> list[str]:
    found = []
    for method, cls in [*sparsity.BY_NAME.items(), *objectives.BY_NAME.items()]:
        fields = {field.name: field for field in dataclasses.fields(cls)}
        if name in fields:
            field = fields[name]
            found += [method, field.metadata["shown"] or json.dumps(default_of(field))]
    assert found
    return found


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (OptimizerOptions, ["learning_rate"]),
        (flags.RunOptions, ["seed", "output_dir"]),
    ],
)
def test_help_is_by_group(shown, owner, names):
    group = shown[shown.index(f"\n{owner.__name__}: ") :].lstrip().split("\n\n")[0]
    assert all(f"--{name}:" in group for name in names)


@pytest.mark.parametrize("group", attack_flags.GROUPS)
def test_attacks_of_training_and_evaluation_are_groups(shown, group):
    text = shown[shown.index(f"\n{attack_flags.GROUPS[group]}") :].lstrip().split("\n\n")[0]
    assert all(f"--{group}.{name}:" in text for name in ("epsilon", "norm", "steps"))
    assert "l1" not in text  # which no attack of a run takes


def test_methods_that_share_an_option_say_what_each_means_by_it():
    line = next(line for line in flags.help_text().splitlines() if "--stop_step:" in line)
    assert "step at which the density is reached (gradual); step from which masks no" in line
    assert "(set rigl ema" in line
