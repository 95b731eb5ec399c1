"""Finished runs that are continued, and then are those made as long at once."""

import shutil

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
LOTTERY = ()
SET = ("--method=set", "--update_interval=2")
# A second evaluation that the longer run does not make: it goes on from the one before.
UNEVEN = (*SET, "--iterations=5")
KINDS = {
    "rounds": ((*LOTTERY, "--rounds=2"), (*LOTTERY, "--rounds=3")),
    "iterations": (SET, (*SET, "--iterations=9")),
    "uneven": (UNEVEN, (*SET, "--iterations=9")),
}
EXPORTED = "rounds"  # the kind whose continued run writes its models, too
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
        "has no checkpoint that a run with more rounds makes too",
    ),
}


@pytest.fixture(scope="module")
def continued(cli, tmp_path_factory) -> dict:
    """By kind "short KIND", "long KIND" and "continued KIND", and what was refused."""
    folder = tmp_path_factory.mktemp("continued")

    def call(place: str, *argv: str, light: bool = True):
        return cli.call([*SHARED, *argv, f"--output_dir={folder / place}"], light=light)

    outcomes, paths = {}, {}
    for kind, (short, long) in KINDS.items():
        outcomes[f"short {kind}"] = call("short", *short)
        paths[kind] = outcomes[f"short {kind}"].path
        if kind != "uneven":
            outcomes[f"long {kind}"] = call("long", *long)
        source = f"--continue_from={paths[kind]}"
        outcomes[f"continued {kind}"] = call(
            f"continued {kind}", *long, source, light=kind != EXPORTED
        )
    outcomes["long uneven"] = outcomes["long iterations"]  # with the same flags
    paths |= {"nowhere": folder, "emptied": folder / "emptied"}
    shutil.copytree(paths["rounds"], paths["emptied"])
    shutil.rmtree(folder / "emptied" / "checkpoints")
    for name, (source, argv, _) in REFUSED.items():
        outcomes[name] = call("refused", *argv, f"--continue_from={paths[source]}")
    return {"paths": paths, **outcomes}


@pytest.mark.parametrize("kind", KINDS)
def test_a_continued_run_is_the_longer_one(kind, continued):
    """To the bit: its evaluations, masks, weights, optimizer and name."""
    outcomes = [continued[f"{name} {kind}"] for name in ("long", "continued")]
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


@pytest.mark.parametrize(
    "kind, place", {"rounds": (1, 6), "iterations": (0, 6), "uneven": (0, 4)}.items()
)
def test_it_goes_on_where_the_finished_one_ended(kind, place, continued):
    _, out, _ = continued[f"continued {kind}"]
    assert "going on after round {} iteration {}".format(*place) in out


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, continued):
    code, _, err = continued[name]
    source, _, words = REFUSED[name]
    path = continued["paths"][source]
    assert code != 0
    assert err.startswith(f"error: continue_from={path}: {words}")
    assert err.count("\n") == 1
