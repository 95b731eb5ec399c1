"""Training whose loss is no longer finite ends in one line, and keeps what was good before."""

import pytest
from bad_input import SHORT, assert_one_error

CLEAN = ["--attack=none", "--eval_attacks=fgsm"]  # whose graphs are small
PIECEWISE = "--learning_rate_schedule=PiecewiseConstantDecay"
# The rate from which all is lost counts from one iteration after the boundary on; the loss of the
# iteration after that is the first to show it.
DIVERGING = {
    "at once": (["--optimizer=sgd", "--learning_rate=1e30", "--evaluate_every=2"], 2, []),
    "after an evaluation": (
        [
            *CLEAN,
            "--optimizer=sgd",
            "--iterations=20",
            "--evaluate_every=10",
            PIECEWISE,
            '--learning_rate_arguments={"boundaries": [13], "values": [0.01, 1e30]}',
        ],
        16,
        ["0000000010.npz"],
    ),
    "before an evaluation": (
        [
            *CLEAN,
            "--optimizer=sgd",
            "--iterations=20",
            "--evaluate_every=5",
            PIECEWISE,
            '--learning_rate_arguments={"boundaries": [8], "values": [0.01, 1e30]}',
        ],
        10,
        ["0000000005.npz"],
    ),
    "before the end": (
        [
            *CLEAN,
            "--optimizer=sgd",
            "--iterations=10",
            "--evaluate_every=5",
            PIECEWISE,
            '--learning_rate_arguments={"boundaries": [8], "values": [0.01, 1e30]}',
        ],
        10,
        ["0000000005.npz"],
    ),
}


@pytest.fixture(scope="module")
def outcomes(cli, tmp_path_factory) -> dict:
    """The outcome of each case by name, the checkpoints that it left, and one case once more."""
    folder = tmp_path_factory.mktemp("diverging")

    def call(name: str):
        return cli.call([*SHORT, *DIVERGING[name][0], f"--output_dir={folder / name}"])

    found = {name: call(name) for name in DIVERGING}
    for name in DIVERGING:
        kept = sorted((folder / name).glob("*/checkpoints/*"))
        found[f"{name} left"] = [file.name for file in kept]
    return found | {"again": call("after an evaluation")}


@pytest.mark.parametrize("name", DIVERGING)
def test_loss_that_is_not_finite(outcomes, name):
    """The iteration is said, and what was good before it is kept for the next try."""
    _, iteration, kept = DIVERGING[name]
    outcome = outcomes[name]
    assert_one_error(outcome, f"not finite at iteration {iteration} of round 0", code=1)
    assert ("last good checkpoint is kept" in outcome.err) == bool(kept)
    assert outcomes[f"{name} left"] == kept


def test_loss_that_is_not_finite_again(outcomes):
    """The same command continues from what was kept, and ends alike."""
    first, again = outcomes["after an evaluation"], outcomes["again"]
    assert (again.code, again.err) == (first.code, first.err)
    assert "continuing after iteration 10\n" in again.out
