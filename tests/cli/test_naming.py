"""What reports of sweeps call their cells."""

import pytest

from experiments.reports import method_table
from experiments.runs import naming
from experiments.runs import options as flags


def kept(*argv: str) -> dict:
    """The flags that differ from their defaults."""
    return flags.different(flags.parse(["run", *argv]))


CASES = {
    "nothing": (["--seed=1", "--seed=2"], ["", ""]),
    "a default": (["--learning_rate=0.5", ""], ["learning_rate=0.5", "learning_rate=0.0012"]),
    "of attacks": (
        ["--attack.steps=7", "--eval.norm=l2"],
        ["attack.steps=7 eval.norm=linf", "attack.steps=10 eval.norm=l2"],
    ),
    "without an attack": (
        ["--attack=none --eval_attacks=", "--eval_attacks= --attack.steps=7"],
        ["attack=none", "attack=pgd"],
    ),
    "two with it": (
        ["--attack=none", "--attack.steps=7", "--attack.steps=9"],
        ["attack=none", "attack=pgd attack.steps=7", "attack=pgd attack.steps=9"],
    ),
    "of no effect": (
        ["--attack=none --attack.steps=7", "--attack=none --attack.steps=9", "--attack=none"],
        ["attack.steps=7", "attack.steps=9", ""],
    ),
    "of a method": (
        ["--method=set --density=.5 --drop_fraction=0.1", "--method=set --density=.5", ""],
        ["drop_fraction=0.1", "drop_fraction=0.3", ""],
    ),
    "of methods apart": (["--method=set --drop_fraction=0.1", "--method=dense"], [""] * 2),
    "of the lottery": (["--rounds=2", "", "--method=dense"], ["rounds=2", "rounds=4", ""]),
    "a list": (["--classes=1,7", ""], ["classes=1,7", "classes="]),
    "none": (["--test_size=9", ""], ["test_size=9", "test_size=default"]),
    "close": (
        ["--learning_rate=0.10000001", "--learning_rate=0.1"],
        ["learning_rate=0.10000001", "learning_rate=0.1"],
    ),
    "a density not reached": (
        ["--method=set --density=0.01", "--method=set --density=0.02"],
        ["density=0.01", "density=0.02"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_flag_that_varies_is_named(name):
    argv, words = CASES[name]
    found = naming.varying([kept(*line.split()) for line in argv], [0.3] * len(argv))
    assert [" ".join(own) for own in found] == words


LABELS = {
    "seeds": (
        ["--method=rigl --seed=0", "--method=rigl --seed=1"],
        ["rigl 10 % seed 0", "rigl 10 % seed 1"],
    ),
    "methods": (
        ["--method=dense", "--method=set --density=0.05", "--method=threshold", "--rounds=2"],
        ["dense", "set 5 %", "threshold", "lottery"],
    ),
    "others": (
        ["--method=set --attack.epsilon=0.1", "--method=set --attack.epsilon=0.2"],
        ["set 10 % attack.epsilon=0.1", "set 10 % attack.epsilon=0.2"],
    ),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_cells_that_are_not_run_yet(name):
    lines, expected = LABELS[name]
    assert naming.labels([flags.parse(["run", *line.split()]) for line in lines]) == expected


def test_a_density_that_is_reached_is_told_by_it():
    runs = [kept("--method=set", f"--density={density}") for density in (0.1, 0.5)]
    assert naming.varying(runs, [0.1, 0.5]) == [(), ()]


def test_trials_differ_in_their_seeds_alone():
    runs = [kept(), kept("--l2=1"), kept("--seed=3"), kept("--l2=1", "--seed=2"), kept("--l2=2")]
    assert naming.trials(runs) == [[0, 2], [1, 3], [4]]


def test_tables_tell_rows_apart():
    figures = {"clean_accuracy": 0.5, "robust_accuracy": {}}
    runs = [
        {
            "flags": kept("--method=dense", f"--l2={l2}"),
            "rounds": [{"density": 1.0, "test": figures}],
        }
        for l2 in (0.0, 0.1)
    ]
    rows = method_table.rows_of(runs)
    assert [row.name for row in rows] == ["dense, l2=0", "dense, l2=0.1"]
    assert "| dense, l2=0.1 | 100.0 |" in method_table.markdown(rows)
    assert rows[1].as_json()["settings"] == ["l2=0.1"]
