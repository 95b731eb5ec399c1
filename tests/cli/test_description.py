"""What a run says that it is going to do."""

import pytest

from experiments.runs import options as flags
from experiments.runs.description import describe
from experiments.runs.directory import run_name
from experiments.runs.training_run import TrainingRun

CASES = {
    "a method": (
        ["--method=rigl", "--density=0.05", "--iterations=30", "--attack.epsilon=8/255"],
        "rigl, density 5 %, under pgd (linf, epsilon 0.0314), 30 steps, seed 0",
    ),
    "nothing sparse, no attack": (
        ["--method=dense", "--attack=none", "--seed=3"],
        "dense, without an attack, 1000 steps, seed 3",
    ),
    "rounds, a random epsilon": (
        ["--rounds=3", "--iterations=10", "--dense_iterations=20", "--epsilon_std=0.1"],
        "lottery, under pgd (random epsilon), 3 rounds, 40 steps, seed 0",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_describe(name):
    argv, words = CASES[name]
    values = flags.parse(["run", *argv, "--dataset=digits", "--output_dir=here"])
    assert describe(TrainingRun(values)).splitlines() == [
        f"directory: here/{run_name(values)}",
        f"training lenet_300_100 on digits: {words}",
    ]
