"""The figures of a run, what it makes of its flags, and when it does not train again."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tf_keras as keras

from experiments.runs.results import of_rounds, told_there
from robust_sparse_tf import data

SIZES = {"hidden_1": 64 * 300, "hidden_2": 300 * 100, "logits": 100 * 10}
RATES = {"hidden_1": 0.2, "hidden_2": 0.2, "logits": 0.1}

# Few steps, calls and threads, as TensorFlow takes longer to trace the graph than to run it.
SHORT = ["--rounds=2", "--iterations=20", "--evaluate_every=10", "--branches=1"]
SHORT += [
    "--attack.epsilon=0.1",
    "--eval.epsilon=0.1",
    "--attack.step_size=0.03",
    "--eval.step_size=0.03",
    "--attack.steps=2",
    "--eval.steps=2",
    "--steps_per_execution=1",
]

VARIANTS = {
    "plain": [],
    "other_seed": ["--seed=1"],
    "random": ["--strategy=random"],
    "continued": ["--strategy=continued", "--rounds=3"],
    "rewind_step": ["--rewind_step=10"],
    "rewind_between": ["--rewind_step=3"],
    "trained_dense": ["--rewind_to=trained_dense", "--rounds=3"],
    "no_attack": ["--attack=none"],
    "fgsm": ["--attack=fgsm"],
    "rfgsm": ["--attack=rfgsm", "--attack.random_share=0.3", "--eval.random_share=0.3"],
    "mim_l2": [
        "--attack=mim",
        *(
            f"--{group}.{name}"
            for group in ("attack", "eval")
            for name in ("norm=l2", "decay=0.5", "epsilon=0.5", "step_size=0.2")
        ),
    ],
    "stop": ["--attack.stop_when_fooled", "--eval.stop_when_fooled", "--eval_attacks=pgd"],
    "random_start": ["--attack.random_start", "--eval.random_start"],
    "predicted_labels": ["--attack.attack_labels=predicted", "--eval.attack_labels=predicted"],
    "objective": ["--clean_weight=0.1", "--label_smoothing=0.1", "--early_stopping=mixed"],
    "sgd": ["--optimizer=sgd"],
    "adamw": ["--optimizer=adamw", "--weight_decay=0.1"],
    "rmsprop": ["--optimizer=rmsprop"],
    "schedule": [
        "--learning_rate_schedule=CosineDecay",
        '--learning_rate_arguments={"decay_steps": 5}',
    ],
}
# Flags of which others are looked at each time, or that tests of the library look at.
SLOW = {
    "other_seed",
    "random",
    "rewind_between",
    "stop",
    "rfgsm",
    "mim_l2",
    "random_start",
    "predicted_labels",
    "objective",
    "sgd",
    "adamw",
    "rmsprop",
}
# Those whose figures are, rightly, those of another.
COPIES = {
    "plain_again": ["--data_dir=nowhere"],
    "clean_evaluation": ["--eval_attacks="],
    "dense": ["--rounds=1", "--iterations=10"],
}
TABLE = {**VARIANTS, **COPIES}


@pytest.fixture(scope="module")
def runs(cli, tmp_path_factory) -> dict:
    """The outcome of each run in `TABLE` that is not slow."""
    return outcomes(cli, tmp_path_factory.mktemp("runs"), [k for k in TABLE if k not in SLOW])


@pytest.fixture(scope="module")
def slow_runs(cli, tmp_path_factory) -> dict:
    """The outcome of the others."""
    return outcomes(cli, tmp_path_factory.mktemp("slow"), [k for k in TABLE if k in SLOW])


def outcomes(cli, folder: Path, names: list[str]) -> dict:
    return {
        name: cli.call([*SHORT, *TABLE[name], f"--output_dir={folder / name}"], light=True)
        for name in names
    }


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in TABLE]
)
def variant(request) -> tuple[str, object]:
    """Name and outcome of each run in `TABLE`, one after the other."""
    group = request.getfixturevalue("slow_runs" if request.param in SLOW else "runs")
    outcome = group[request.param]
    assert outcome.code == 0, outcome.err
    return request.param, outcome


def expected_densities(number: int) -> dict[str, float]:
    counts = dict(SIZES)
    for _ in range(number):
        counts = {k: n - round(RATES[k] * n) for k, n in counts.items()}
    return {k: n / SIZES[k] for k, n in counts.items()}


def loss_that_stops(record: dict, flags: dict) -> float:
    validation = record["validation"]
    robust = validation["robust_loss"].get(flags["attack"], validation["clean_loss"])
    weight = flags["clean_weight"] if flags["early_stopping"] == "mixed" else 0
    return weight * validation["clean_loss"] + (1 - weight) * robust


# What is recorded


def test_densities(variant):
    """Of each record and result: the stated fraction of the remaining weights, and their sum."""
    name, outcome = variant
    for entry in [*outcome.records, *outcome.results["rounds"]]:
        expected = expected_densities(entry["round"])
        assert entry["layers"] == expected
        kept = sum(round(expected[layer] * size) for layer, size in SIZES.items())
        assert entry["density"] == pytest.approx(kept / sum(SIZES.values()), rel=1e-12)


def test_results_repeat_the_last_evaluation(variant):
    name, outcome = variant
    for number, entry in enumerate(outcome.results["rounds"]):
        last = [record for record in outcome.records if record["round"] == number][-1]
        assert entry["round"] == number
        for key in ("iteration", "density", "layers", "validation", "test"):
            assert entry[key] == last[key]
    assert len(outcome.results["rounds"]) == 1 + outcome.records[-1]["round"]
    assert not outcome.results["resumed"]


def test_early_stopping_is_at_the_least_validation_loss(variant, base):
    """Under the attack of training where that is measured, else on clean images."""
    for run in (variant[1], base):
        values = json.loads((run.path / "config.json").read_text())["flags"]
        for number, entry in enumerate(run.results["rounds"]):
            own = [record for record in run.records if record["round"] == number]
            best = min(own, key=lambda record: loss_that_stops(record, values))
            early = entry["early_stopping"]
            assert early["iteration"] == best["iteration"]
            assert early["validation_loss"] == loss_that_stops(best, values)
            assert early["test"] == best["test"]
            assert early["validation"] == best["validation"]


@pytest.mark.parametrize(
    ("attack", "weight", "iteration", "loss"),
    [
        ("pgd", None, 20, 1),
        ("fgsm", None, 10, 1),
        ("none", None, 30, 1),
        ("unmeasured", None, 30, 1),
        ("pgd", 0.5, 40, 1.5),
        ("fgsm", 0.5, 30, 2),
        ("none", 0.5, 30, 1),
    ],
)
def test_early_stopping_follows_the_attack(attack, weight, iteration, loss):
    """On records made so that every loss has its minimum value elsewhere."""
    losses = {"fgsm": (1, 2, 3, 4), "pgd": (4, 1, 3, 1)}
    clean = (4, 3, 1, 2)
    records = [
        {
            "round": 0,
            "iteration": 10 * (1 + k),
            "density": 1.0,
            "layers": {},
            "sparsity": {},
            "validation": {
                "clean_loss": clean[k],
                "robust_loss": {name: values[k] for name, values in losses.items()},
            },
            "test": {"clean_loss": -clean[k]},
        }
        for k in range(4)
    ]
    (entry,) = of_rounds(records, attack, weight)
    assert entry["early_stopping"]["iteration"] == iteration
    assert entry["early_stopping"]["validation_loss"] == loss
    assert entry["iteration"] == 40
    told = told_there(entry["early_stopping"], {"early_stopping": "mixed"} if weight else {})
    assert told is entry["early_stopping"]["validation" if weight else "test"]


def test_masks_match_densities(variant, files):
    """And a weight that is gone stays gone."""
    name, outcome = variant
    earlier = None
    for entry in outcome.results["rounds"]:
        masks = files.arrays(outcome.path / "rounds" / str(entry["round"]) / "masks.npz")
        assert {k: mask.size for k, mask in masks.items()} == SIZES
        assert {k: mask.dtype for k, mask in masks.items()} == dict.fromkeys(SIZES, bool)
        assert {k: np.mean(mask) for k, mask in masks.items()} == pytest.approx(entry["layers"])
        if earlier:
            assert not any((mask & ~earlier[k]).any() for k, mask in masks.items())
        earlier = masks


def test_each_round_leaves_its_network(variant, files):
    """As an ordinary model, which has the weights of its masks and the round's accuracy."""
    name, outcome = variant
    test = data.load("digits")[2]
    for entry in outcome.results["rounds"]:
        folder = outcome.path / "rounds" / str(entry["round"])
        model = keras.models.load_model(folder / "model.keras", compile=False)
        masks = files.arrays(folder / "masks.npz")
        for layer, mask in masks.items():
            assert not model.get_layer(layer).kernel.numpy()[~mask].any()
        right = model.predict(test.images, verbose=0).argmax(1) == test.labels
        assert right.mean() == pytest.approx(entry["test"]["clean_accuracy"], abs=1.5 / test.size)


# What the flags do


def test_ends_with_its_path(variant):
    name, outcome = variant
    assert outcome.err == ""
    assert outcome.path.parent.name == name
    assert (outcome.path / "results.json").exists()


def assert_all_differ(group: dict) -> None:
    paths = [outcome.path for name, outcome in group.items() if name in VARIANTS]
    names = {path.name for path in paths}
    metrics = {(path / "metrics.jsonl").read_bytes() for path in paths}
    assert len(names) == len(metrics) == len(paths)


def test_variants_differ(runs):
    """Each flag makes another run, of another name."""
    assert_all_differ(runs)


@pytest.mark.slow
def test_all_variants_differ(runs, slow_runs):
    assert_all_differ({**runs, **slow_runs})


def test_same_seed_gives_same_metrics(runs):
    """In another output folder, and whatever data_dir; both are no part of the name."""
    one, other = runs["plain"].path, runs["plain_again"].path
    assert one != other and one.name == other.name
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()


def test_evaluation_does_not_change_training(runs):
    trained = [[r["train"] for r in runs[k].records] for k in ("plain", "clean_evaluation")]
    assert trained[0] == trained[1]


@pytest.mark.parametrize("name", ["continued", "rewind_step", "trained_dense"])
def test_strategies_share_the_dense_round(runs, name):
    """To rounding, as another stop of the training ends another call of the graph."""
    assert_same_dense_round(runs[name], runs["plain"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["random", "rewind_between"])
def test_other_strategies_share_the_dense_round(runs, slow_runs, name):
    assert_same_dense_round(slow_runs[name], runs["plain"])


def assert_same_dense_round(run, other) -> None:
    for record, plain in zip(run.records[:2], other.records[:2], strict=True):
        for split in ("validation", "test"):
            assert record[split]["clean_loss"] == pytest.approx(plain[split]["clean_loss"])


def test_trained_dense_continues_once(runs):
    """What it rewinds to after the dense round is what that round ended with."""
    one, other = runs["trained_dense"].records, runs["continued"].records
    assert one[:4] == other[:4]
    assert one[4] != other[4]


def test_continued_goes_on_from_what_it_learnt(runs):
    first = {name: runs[name].records[2]["train"]["loss"] for name in ("plain", "continued")}
    assert first["continued"] < first["plain"]


def test_rewinds_to_its_iteration(runs, files):
    """The weights kept for rewinding are those of a dense run of as many iterations."""

    def group(name: str, run: str) -> list[np.ndarray]:
        arrays = files.arrays(files.checkpoints(runs[run].path)[-1])
        return [value for key, value in sorted(arrays.items()) if key.startswith(name)]

    kept = group("rewind/", "rewind_step")
    trained = {value.shape: value for value in reversed(group("model/", "dense"))}
    assert sorted(value.size for value in kept) == sorted(SIZES.values())
    for value, initial in zip(kept, group("rewind/", "dense"), strict=True):
        np.testing.assert_array_equal(value, trained[value.shape])
        assert (value != initial).any()
    for value, initial in zip(group("rewind/", "plain"), group("rewind/", "dense"), strict=True):
        np.testing.assert_array_equal(value, initial)


def test_attack_of_training_is_measured(runs):
    assert all("robust_accuracy" not in r["train"] for r in runs["no_attack"].records)
    assert all("robust_accuracy" in r["train"] for r in runs["fgsm"].records)
    assert all(r["test"]["robust_accuracy"] == {} for r in runs["clean_evaluation"].records)


def test_schedule_ends_training(runs):
    """A rate of zero after five steps leaves the network as it is."""
    first, second = runs["schedule"].records[:2]
    assert first["validation"] == second["validation"]


# Finished runs


def state(folder: Path) -> dict:
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != ".lock")
    return {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in files}


def test_again_shows_and_trains_nothing(cli, base, tmp_path):
    shutil.copytree(base.path, tmp_path / base.path.name)
    before = state(tmp_path)
    code, out, err = cli.call([*cli.base_argv, f"--output_dir={tmp_path}"])
    assert (code, err) == (0, "")
    assert state(tmp_path) == before
    _, _, told, *printed = out.splitlines()  # the first two say what is run
    assert told == "already finished; these are the stored results (--overwrite starts again)"
    first = base.out.splitlines()
    shown = [line for line in first[2:] if not line.startswith(("round ", str(base.path.parent)))]
    assert [line for line in shown if line] == [line for line in printed if line][: len(shown)]
    assert "continuing" not in out and "steps/s" not in out
    assert Path(printed[-1]).name == base.path.name


def test_without_flags_it_explains_itself(cli):
    """And trains nothing; the flagfile that it names is there."""
    code, out, err = cli.call([])
    assert (code, out) == (2, "")
    (flagfile,) = re.findall(r"--flagfile=(experiments\S+)", err)
    assert Path(flagfile).exists() and "--help" in err


def test_overwrite_starts_again(cli, base, files, tmp_path):
    shutil.copytree(base.path, tmp_path / base.path.name)
    (tmp_path / base.path.name / "left.txt").write_text("of the earlier run")
    code, out, err = cli.call([*cli.base_argv, f"--output_dir={tmp_path}", "--overwrite"])
    assert (code, err) == (0, "")
    assert out.count("steps/s") == len(base.records)
    path = Path(out.splitlines()[-1])
    assert not (path / "left.txt").exists()
    files.assert_same_bits(path, base.path)
    assert files.listing(path) == files.listing(base.path)
