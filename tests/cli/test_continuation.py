"""Finished runs that are continued, and then are those made as long at once."""

import functools
import shutil
from collections.abc import Callable

import numpy as np
import pytest

from robust_sparse_tf.procedures import CheckpointStore

SHARED = (
    "--dataset=digits",
    "--iterations=6",
    "--evaluate_every=2",
    "--eval_attacks=pgd",
    "--attack.steps=1",
    "--eval.steps=1",
    "--branches=1",
    "--steps_per_execution=1",
)
SET = ("--method=set", "--update_interval=2")
KINDS = {
    "rounds": (("--rounds=2",), ("--rounds=3",)),
    # Its last evaluation is one that the longer run does not make: it continues from that before.
    "uneven": ((*SET, "--iterations=5"), (*SET, "--iterations=9")),
    "iterations": (SET, (*SET, "--iterations=9")),
}
SLOW = {"iterations", "rounds"}  # tests of Rounds look at them each time
kinds = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow if kind in SLOW else ()) for kind in KINDS]
)
EXPORTED = "uneven"  # the kind whose continued run writes its models, too
REFUSED = {
    "no run": ("nowhere", ["--rounds=3"], "is not the directory of a finished run"),
    "fewer": ("rounds", ["--rounds=1"], "has rounds=2; rounds=1 must be more"),
    "as many": ("rounds", ["--rounds=2"], "has rounds=2; rounds=2 must be more"),
    "other flags": (
        "rounds",
        ["--rounds=3", "--seed=4"],
        "was made with other flags (seed=0, now 4)",
    ),
    "longer rounds": (
        "rounds",
        ["--rounds=3", "--iterations=9"],
        "was made with other flags (iterations=6, now 9)",
    ),
    "of workers": (
        "rounds",
        ["--rounds=3", "--distribute=multiworker"],
        "cannot be used with distribute=multiworker",
    ),
    "nothing in common": (
        "emptied",
        ["--rounds=3"],
        "has no checkpoint that a run with more rounds would also make",
    ),
}


@pytest.fixture(scope="module")
def continue_run(cli, tmp_path_factory) -> Callable[[str], dict]:
    """Makes the runs of a kind, once: "short", "long" and "continued"."""
    folder = tmp_path_factory.mktemp("continued")

    @functools.cache
    def make(kind: str) -> dict:
        def call(name: str, *argv: str):
            light = (kind, name) != (EXPORTED, "continued")
            place = f"--output_dir={folder / kind / name}"
            return cli.call([*SHARED, *argv, place], light=light)

        short, long = KINDS[kind]
        outcomes = {"short": call("short", *short), "long": call("long", *long)}
        source = f"--continue_from={outcomes['short'].path}"
        return {**outcomes, "continued": call("continued", *long, source)}

    return make


@pytest.fixture(scope="module")
def sources(cli, tmp_path_factory) -> dict:
    """What runs are to be continued from, by name."""
    folder = tmp_path_factory.mktemp("refused")
    argv = [*SHARED, *KINDS["rounds"][0], f"--output_dir={folder / 'runs'}"]
    finished = cli.call(argv, light=True).path
    shutil.copytree(finished, folder / "emptied")
    shutil.rmtree(folder / "emptied" / "checkpoints")
    return {"nowhere": folder, "rounds": finished, "emptied": folder / "emptied"}


@kinds
def test_a_continued_run_is_the_longer_one(kind, continue_run):
    """To the bit: its evaluations, masks, weights, optimizer and name."""
    outcomes = [continue_run(kind)[name] for name in ("long", "continued")]
    for outcome in outcomes:
        assert outcome.code == 0, outcome.err
    long, again = (outcome.path for outcome in outcomes)
    assert (again / "model.tflite").exists() == (kind == EXPORTED)
    assert long.name == again.name
    assert (again / "metrics.jsonl").read_bytes() == (long / "metrics.jsonl").read_bytes()
    rounds = sorted(path.name for path in (long / "rounds").iterdir())
    assert sorted(path.name for path in (again / "rounds").iterdir()) == rounds
    for number in rounds:
        with (
            np.load(long / "rounds" / number / "masks.npz") as expected,
            np.load(again / "rounds" / number / "masks.npz") as found,
        ):
            assert found.files == expected.files
            for name in expected.files:
                np.testing.assert_array_equal(found[name], expected[name])
    expected, found = (CheckpointStore(str(path / "checkpoints")).load() for path in (long, again))
    np.testing.assert_equal(found, expected)


@kinds
def test_it_goes_on_where_the_finished_one_ended(kind, continue_run):
    place = {"rounds": "round 1 iteration 6", "iterations": "iteration 6", "uneven": "iteration 4"}
    _, out, _ = continue_run(kind)["continued"]
    assert f"continuing after {place[kind]}\n" in out


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, sources, cli, tmp_path):
    source, argv, words = REFUSED[name]
    path = sources[source]
    argv = [*SHARED, *argv, f"--continue_from={path}", f"--output_dir={tmp_path}"]
    code, _, err = cli.call(argv, light=True)
    assert code != 0
    assert err.startswith(f"error: continue_from={path}: {words}")
    assert err.count("\n") == 1
