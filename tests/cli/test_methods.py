"""Each method through the command: its flagfile, its seed, resuming, and wrong options."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiments.runs import options as flags
from experiments.runs.best import accuracy_gap
from experiments.runs.results import cost_table, validation_loss
from experiments.runs.training_run import TrainingRun
from robust_sparse_tf import sparsity

ROOT = Path(__file__).resolve().parents[2]
FILES = {path.stem: path for path in sorted((ROOT / "experiments/flagfiles/methods").iterdir())}
STRUCTURED = {"gradual_blocks", "gradual_channels", "rigl_2_4"}
# Methods that differ from another one in how they choose weights, by another score or at random:
# their own tests look at that. And lottery tickets, which test_run.py has.
SLOW = {"dense", "ema", "flying_bird", "grasp", "lottery", "magnitude", "set", "snfs", "static"}
SLOW |= {"synflow", "threshold", *STRUCTURED}
ITERATIONS = 12
SHORT = [f"--iterations={ITERATIONS}", "--evaluate_every=4", "--eval_attacks=", "--branches=1"]
SHORT += ["--steps_per_execution=1"]  # which is traced faster
# Under attack where the method looks at robust figures, and of the commonest one.
ROBUST = {"rigl", "flying_bird_plus"}
FEEDBACK = ["--eval_attacks=pgd", "--feedback_threshold=0"]  # both kinds, from evaluation 2 on
SIZE = 64 * 300 + 300 * 100 + 100 * 10


def values_of(name: str, *argv: str) -> dict:
    return flags.parse(["run", f"--flagfile={FILES[name]}", *argv])


def argv_of(name: str) -> list[str]:
    """Few steps, masks that change within them, and the rest as in the file."""
    given = values_of(name)
    argv = [f"--flagfile={FILES[name]}", *SHORT]
    argv += ["--attack.steps=1", "--eval.steps=1"] if name in ROBUST else ["--attack=none"]
    argv += ["--stop_step=11"] * (given["stop_step"] is not None)
    argv += ["--update_interval=2"] * (given["stop_step"] is not None)
    argv += ["--rounds=2"] * (given["method"] == "lottery")
    if given["method"] == "flying_bird_plus":
        argv += FEEDBACK
    if name in ROBUST:
        argv += ["--gradient_batches=2"]  # a memory that has to be resumed, too
    return argv


# Flags after `SHORT`, and what the line has to hold.
BAD = {
    "density zero": (["--method=rigl", "--density=0"], "density=0", "above 0 and at most 1"),
    "density above": (["--method=snip", "--density=1.5"], "density=1.5", "above 0 and at most 1"),
    "density nan": (["--method=set", "--density=nan"], "density=nan", "above 0"),
    "density no number": (["--method=set", "--density=x"], "density", "float"),
    "structure unknown": (["--method=set", "--structure=rows"], "structure=rows", "block:4x1"),
    "structure that does not fit": (
        ["--method=set", "--structure=block:7x1"],
        "structure=block:7x1",
        "layer hidden_1 must be multiples of 7 x 1",
    ),
    "structure that fits no later layer": (
        ["--method=gradual", "--structure=block:64x1"],
        "structure=block:64x1",
        "layer hidden_2 must be multiples of 64 x 1",
    ),
    "density of 2:4": (
        ["--method=rigl", "--structure=2:4", "--density=0.1"],
        "density=0.1",
        "must be 0.5 with structure=2:4",
    ),
    "2:4 of densities that change": (
        ["--method=flying_bird_plus", "--structure=2:4", "--density=0.5"],
        "structure=2:4",
        "must not be n:m",
    ),
    "stop before start": (
        ["--method=rigl", "--start_step=10", "--stop_step=5"],
        "stop_step=5",
        "must be above start_step=10",
    ),
    "stop before start, gradual": (
        ["--method=gradual", "--start_step=10", "--stop_step=10"],
        "stop_step=10",
        "must be above start_step=10",
    ),
    "update_interval": (
        ["--method=set", "--update_interval=0"],
        "update_interval=0",
        "at least 1",
    ),
    "drop_fraction": (["--method=set", "--drop_fraction=2"], "drop_fraction=2", "at most 1"),
    "distribution": (["--method=set", "--distribution=even"], "distribution=even", "uniform, er"),
    "distribution of random masks": (
        ["--method=set", "--distribution=global"],
        "distribution=global",
        "must be uniform, er or erk",
    ),
    "no such layer": (
        ["--method=static", '--layer_densities={"conv_*": 0.5}'],
        "layer conv_*",
        "must be one of hidden_1, hidden_2, logits",
    ),
    "density of a layer": (
        ["--method=static", '--layer_densities={"logits": 2}'],
        "logits=2",
        "above 0 and at most 1",
    ),
    "layers hold too much": (
        ["--method=static", "--density=0.1", '--layer_densities={"hidden_*": 0.5}'],
        "density=0.1",
        "must be between",
    ),
    "layer_densities not JSON": (
        ["--method=static", "--layer_densities={logits: 1}"],
        "layer_densities={logits: 1}",
        "JSON object",
    ),
    "layer_densities a number": (
        ["--method=static", "--layer_densities=3"],
        "layer_densities=3",
        "JSON object",
    ),
    "option of others": (
        ["--method=static", "--update_interval=5"],
        "update_interval=5",
        "is no option of method=static, which has seed, density",
    ),
    "option of none": (["--density=0.5"], "density=0.5", "is no option of method=lottery"),
    "option of the dense": (
        ["--method=dense", "--density=0.5"],
        "density=0.5",
        "is no option of method=dense",
    ),
    "method": (["--method=prune"], "method=prune", "lottery, dense, static"),
    "gamma and solve_density": (
        ["--method=threshold", "--gamma=0.1", "--solve_density=0.1"],
        "gamma=0.1",
        "must be 0",
    ),
    "gradient_batches": (
        ["--method=rigl", "--gradient_batches=9", "--update_interval=8"],
        "gradient_batches=9",
        "at most update_interval=8",
    ),
}
RESUMED = ["flying_bird_plus", pytest.param("rigl", marks=pytest.mark.slow)]
EXPORTED = {"other seed"} | SLOW  # whose models are written at the end, too


@pytest.fixture(scope="module")
def runs(cli, tmp_path_factory) -> dict:
    """The outcome of the flagfiles not slow, and of RigL's again and with another seed."""
    argvs = {name: argv_of(name) for name in FILES if name not in SLOW}
    argvs |= {"again": argv_of("rigl"), "other seed": [*argv_of("rigl"), "--seed=1"]}
    return outcomes(cli, tmp_path_factory.mktemp("methods"), argvs)


@pytest.fixture(scope="module")
def slow_runs(cli, tmp_path_factory) -> dict:
    """The outcome of the other flagfiles."""
    argvs = {name: argv_of(name) for name in sorted(SLOW)}
    return outcomes(cli, tmp_path_factory.mktemp("slow"), argvs)


def outcomes(cli, folder: Path, argvs: dict) -> dict:
    return {
        name: cli.call([*argv, f"--output_dir={folder / name}"], light=name not in EXPORTED)
        for name, argv in argvs.items()
    }


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FILES]
)
def run(request) -> tuple[str, object]:
    """Name and outcome of each flagfile."""
    group = request.getfixturevalue("slow_runs" if request.param in SLOW else "runs")
    outcome = group[request.param]
    assert outcome.code == 0, outcome.err
    return request.param, outcome


def masks_of(outcome, files) -> dict[str, np.ndarray]:
    last = outcome.results["rounds"][-1]["round"]
    return files.arrays(outcome.path / "rounds" / str(last) / "masks.npz")


def test_each_method_has_a_file():
    assert {path.suffix for path in FILES.values()} == {".flags"}
    assert set(FILES) == {*sparsity.BY_NAME, "lottery", *STRUCTURED}
    for name in FILES:
        method = name if name not in STRUCTURED else name.split("_")[0]
        values = values_of(name)
        assert values["method"] == method
        assert (values["structure"] is not None) == (name in STRUCTURED)
        assert values["iterations"] >= 500  # and not those of these tests


def expected_density(name: str) -> float:
    given = values_of(name)
    if name == "lottery":  # a round of 20 % of the hidden and 10 % of the output layer
        return (0.8 * (64 * 300 + 300 * 100) + 0.9 * 1000) / SIZE
    return {"dense": 1.0, "threshold": given["solve_density"]}.get(name, given["density"])


def test_ends_at_its_density(run, files):
    """The one of its flags, to a unit of its structure a layer; Flying Bird+ starts there."""
    name, outcome = run
    assert outcome.err == ""
    place = -1 if name != "flying_bird_plus" else 0
    record = outcome.records[place]
    wrong = {"gradual_blocks": 3 * 2, "gradual_channels": (64 + 300) / 2}.get(name, 0.51)
    assert record["density"] == pytest.approx(expected_density(name), abs=wrong / SIZE)
    masks = masks_of(outcome, files)
    final = sum(mask.sum() for mask in masks.values()) / SIZE
    assert outcome.records[-1]["density"] == pytest.approx(final, rel=1e-12)


@pytest.mark.slow
def test_masks_have_their_structure(slow_runs, files):
    blocks, channels, pairs = (masks_of(slow_runs[k], files) for k in sorted(STRUCTURED))
    for mask in blocks.values():
        groups = mask.reshape(-1, 4, mask.shape[1])
        np.testing.assert_array_equal(groups.any(1), groups.all(1))
    for name, mask in channels.items():
        np.testing.assert_array_equal(mask.any(0), mask.all(0))
        assert mask.all() == (name == "logits")
    for mask in pairs.values():
        assert (mask.reshape(-1, 4, mask.shape[1]).sum(1) == 2).all()


def test_measures_are_written(run):
    """In each record, in the results and in the table of costs."""
    name, outcome = run
    for record in outcome.records:
        found = record["sparsity"]
        assert found["size"] == SIZE
        assert found["active"] == round(record["density"] * SIZE)
        assert found["density"] == record["density"]
        assert {k: layer["density"] for k, layer in found["layers"].items()} == record["layers"]
        assert found["active"] == sum(layer["active"] for layer in found["layers"].values())
        assert record["density"] <= found["exploration"] <= 1
        assert found["multiply_accumulates"] == found["active"]  # of dense layers
        assert found["flops"] == pytest.approx(record["density"])
        assert 0 < found["bytes"] <= found["dense_bytes"] == 4 * SIZE  # no biases
    results = outcome.results
    numbers = [entry["round"] for entry in results["rounds"]]
    assert numbers == ([0, 1] if name == "lottery" else [0])
    for entry in results["rounds"]:
        last = [record for record in outcome.records if record["round"] == entry["round"]][-1]
        assert entry["sparsity"] == last["sparsity"]
    text = (outcome.path / "results.md").read_text()
    for row in cost_table(results):
        assert "| " + " | ".join(row) + " |" in text
    assert cost_table(results)[1][1] == f"{results['rounds'][0]['sparsity']['active']:,}"


def test_masks_change_where_they_should(run):
    """Dynamic methods look at further weights, gradual ones take away, the others do neither."""
    name, outcome = run
    method = sparsity.BY_NAME.get(values_of(name)["method"], sparsity.LayerRates)
    records = [record for record in outcome.records if record["round"] == 0]
    explored = [record["sparsity"]["exploration"] for record in records]
    density = [record["density"] for record in records]
    if method.grows:
        assert explored[0] > density[0]
        assert explored == sorted(explored) and explored[-1] > explored[0]
        assert all(record["sparsity"]["changed"] > 0 for record in records[:-1])
        if name != "flying_bird_plus":
            assert len(set(density)) == 1
    elif issubclass(method, sparsity.Scheduled):
        assert density == sorted(density, reverse=True) and len(set(density)) > 1
        assert explored == density
    else:
        assert len(set(density)) == 1
        assert not any(record["sparsity"]["changed"] for record in records)


def test_flying_bird_plus_follows_its_feedback(runs):
    """Told of both kinds after the second evaluation, it drops more than it grows."""
    records = runs["flying_bird_plus"].records
    values = json.loads((runs["flying_bird_plus"].path / "config.json").read_text())["flags"]
    density = [record["density"] for record in records]
    assert density[0] == pytest.approx(density[1], abs=1e-9) and density[2] < density[1]
    for record in records:
        robust = record["validation"]["robust_accuracy"]["pgd"]
        assert accuracy_gap(record, "pgd") == record["train"]["robust_accuracy"] - robust
        assert validation_loss(record, "pgd") == record["validation"]["robust_loss"]["pgd"]
    method = flags.make_method(values)
    losses = [validation_loss(record, "pgd") for record in records[:2]]
    gaps = [accuracy_gap(record, "pgd") for record in records[:2]]
    assert method.feedback_from(losses, gaps) == (1, 1)
    assert method.feedback_from(losses[:1], gaps[:1]) == (0, 0)


# Seeds and resuming


def test_same_seed_same_bits(runs, files):
    files.assert_same_bits(runs["again"].path, runs["rigl"].path)


def test_other_seed_differs(runs, files):
    """In its first masks, its weights and its figures."""
    one, other = runs["rigl"], runs["other seed"]
    assert other.code == 0, other.err
    masks = masks_of(one, files), masks_of(other, files)
    for name, mask in masks[0].items():
        assert mask.sum() == masks[1][name].sum() and (mask != masks[1][name]).any()
    assert one.results["rounds"][0]["test"] != other.results["rounds"][0]["test"]


@pytest.mark.parametrize("name", RESUMED)
def test_same_bits_after_a_kill(cli, runs, files, name, tmp_path):
    """Masks, memory, feedback and what has ever been active continue where they were."""
    path = files.unfinished(runs[name].path, tmp_path)
    shutil.rmtree(path / "rounds")
    files.checkpoints(path)[-1].unlink()
    with open(path / "metrics.jsonl", "a") as file:
        file.write('{"round": 0, "iter')  # a kill while it was written
    argv = [*argv_of(name), f"--output_dir={tmp_path}"]
    outcome = cli.call(argv, light=name not in EXPORTED)
    assert (outcome.code, outcome.err) == (0, "")
    assert "continuing after iteration 8\n" in outcome.out
    files.assert_same_bits(outcome.path, runs[name].path)
    assert files.listing(outcome.path) == files.listing(runs[name].path)
    assert outcome.results["resumed"] and not runs[name].results["resumed"]


# Wrong input


@pytest.mark.parametrize("name", BAD)
def test_refuses(cli, name, tmp_path):
    """In one line that names flag, value and what is allowed."""
    argv, culprit, allowed = BAD[name]
    code, out, err = cli.call([*SHORT, f"--output_dir={tmp_path}", *argv])
    assert code == 2, err
    assert len(out.splitlines()) in (0, 2)  # where the network refuses it, what was to be run
    assert err.startswith("error: ") and err.endswith("\n") and err.count("\n") == 1
    assert culprit in err and allowed in err, err


@pytest.mark.parametrize("name", FILES)
def test_rounds_are_of_the_lottery_alone(name):
    values = values_of(name, "--iterations=4000", "--dense_iterations=7", "--rounds=3")
    procedure = TrainingRun(values).procedure
    lengths = [procedure.length(number) for number in range(procedure.rounds)]
    assert lengths == ([7, 4000, 4000] if values["method"] == "lottery" else [4000])
