"""Runs that learn one step of an attack alone: they say so at once, or stop."""

import json
import warnings

import pytest

from experiments.runs.overfitting import OverfittingWatch
from robust_sparse_tf import models
from robust_sparse_tf.attacks import FGSM, PGD, RandomIntensity
from robust_sparse_tf.errors import RunWarning, TrainingError
from robust_sparse_tf.training import AdversarialModel

# So large a ball that digits can be read from what one step does to them.
ARGV = [
    "--attack.epsilon=0.5",
    "--eval.epsilon=0.5",
    "--clean_weight=0",
    "--learning_rate=0.004",
    "--branches=1",
]
ARGV += ["--rounds=1", "--iterations=300", "--evaluate_every=100", "--eval_attacks="]


@pytest.fixture(scope="module")
def outcomes(cli, tmp_path_factory) -> dict:
    """By what is asked for; "stop again" is the same command once more."""
    folder = tmp_path_factory.mktemp("overfitting")

    def call(mode: str, *argv: str):
        place = [f"--overfitting={mode}", f"--output_dir={folder / mode}"]
        return cli.call([*ARGV, "--attack=fgsm", *place, *argv], light=True)

    found = {mode: call(mode) for mode in ("warn", "ignore", "stop")}
    found["stop again"] = call("stop")
    found["pgd"] = call(
        "stop", "--attack=pgd", "--attack.steps=2", "--eval.steps=2", "--iterations=2"
    )
    return found


def test_warns_at_once(outcomes):
    """In a line on stderr, in the results, and with the figures in each record."""
    warn = outcomes["warn"]
    assert warn.code == 0
    (line,) = warn.results["warnings"]
    assert line.startswith("round 0: catastrophic overfitting at step ")
    assert warn.err == f"warning: {line}\n"
    assert f"**Warning:** {line}\n\n" in (warn.path / "results.md").read_text()
    step = int(line.split(" at step ")[1].split(":")[0])
    (record,) = [record for record in warn.records if record["iteration"] == step]
    found = record["overfitting"]
    assert f"{100 * found['own']:.1f} % are robust to FGSM" in line
    assert f"{100 * found['pgd']:.1f} % to PGD" in line
    assert found["pgd"] < 0.1 < 0.5 < found["own"]


def test_looking_does_not_change_training(outcomes, files):
    """All but what was looked at is the same to the bit."""
    warn, ignore = outcomes["warn"], outcomes["ignore"]
    assert (ignore.code, ignore.err, ignore.results["warnings"]) == (0, "", [])
    assert "Warning" not in (ignore.path / "results.md").read_text()
    seen = [{k: v for k, v in record.items() if k != "overfitting"} for record in warn.records]
    assert seen == ignore.records
    ours, theirs = (files.arrays(files.checkpoints(o.path)[-1]) for o in (warn, ignore))
    for name in ours.keys() - {"meta"}:
        assert ours[name].tobytes() == theirs[name].tobytes()


@pytest.mark.parametrize("name", ["stop", "stop again"])
def test_stops(outcomes, name):
    """With the line that is said elsewhere, and the same when it is asked for once more."""
    code, out, err = outcomes[name]
    (line,) = outcomes["warn"].results["warnings"]
    assert (code, err) == (1, f"error: {line}; stopped because of overfitting=stop\n")
    step = line.split(" at step ")[1].split(":")[0]
    last = out.splitlines()[-1]
    if name == "stop":
        assert last.startswith(f"iteration {step} ")
    else:
        assert last == f"continuing after iteration {step}"


@pytest.mark.slow
def test_resumed_run_ends_with_the_same_bits(cli, files, tmp_path):
    """And with the warning of its first process, which is not said again."""
    argv = [*ARGV, "--attack=fgsm", "--overfitting=warn", "--iterations=600"]
    warn = cli.call([*argv, f"--output_dir={tmp_path / 'whole'}"], light=True)
    path = files.unfinished(warn.path, tmp_path)
    files.checkpoints(path)[-1].unlink()
    again = cli.run([*argv, f"--output_dir={tmp_path}"])
    assert (again.code, again.err) == (0, "")
    assert "continuing after iteration 500" in again.out
    files.assert_same_bits(again.path, warn.path)
    assert again.results["warnings"] == warn.results["warnings"] != []


def test_many_steps_are_not_watched(outcomes):
    pgd = outcomes["pgd"]
    assert (pgd.code, pgd.err, pgd.results["warnings"]) == (0, "", [])
    assert all("overfitting" not in record for record in pgd.records)


# Rounds and accuracies under PGD and under the attack of training.
RECORDS = [(0, 0.6, 0.7), (0, 0.1, 0.9), (1, 0.2, 0.4), (1, 0.3, 0.5), (1, 0.0, 0.9)]
LINES = [
    "round 0: catastrophic overfitting at step 10: of 200 training images 90.0 % are robust "
    "to FGSM, which is trained on, but 10.0 % to PGD, which at best, at step 0, 60.0 % were",
    "round 1: catastrophic overfitting at step 40: of 200 training images 90.0 % are robust "
    "to FGSM, which is trained on, but 0.0 % to PGD, which at best, at step 30, 30.0 % were",
]


def watch(mode: str, digits, attack=None) -> OverfittingWatch:
    network = models.lenet_300_100((8, 8, 1), width=0.1)
    return OverfittingWatch(mode, AdversarialModel(network, attack or FGSM()), digits[0])


def records() -> list[dict]:
    return [
        {"round": number, "iteration": 10 * k, "overfitting": {"pgd": pgd, "own": own}}
        for k, (number, pgd, own) in enumerate(RECORDS)
    ]


@pytest.mark.parametrize("resumed", range(6))
def test_resumed_runs_warn_as_undisturbed_ones(resumed, digits):
    """Each round is looked at by itself; what an earlier process has said is not said again."""
    again = watch("warn", digits)
    again.start(json.loads(json.dumps(records()[:resumed])))
    known = len(again.warnings)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", RunWarning)
        for record in records()[resumed:]:
            again.add(record)
    assert [str(warning.message) for warning in said] == LINES[known:]
    assert again.warnings == LINES


def test_resumed_runs_stop_where_they_did(digits):
    again = watch("stop", digits)
    with pytest.raises(TrainingError, match="^round 0: catastrophic overfitting at step 10: "):
        again.start(records())


@pytest.mark.parametrize(
    ("mode", "attack", "is_watched"),
    [
        ("warn", FGSM(), True),
        ("stop", PGD(steps=1, step_size=0.3), True),
        ("ignore", FGSM(), False),
        ("warn", PGD(steps=2), False),
        ("warn", FGSM(epsilon=0.0), False),
        ("warn", RandomIntensity(attack=FGSM()), True),
        ("warn", RandomIntensity(attack=PGD()), False),
    ],
)
def test_what_is_watched(mode, attack, is_watched, digits):
    assert set(watch(mode, digits, attack).figures()) == ({"overfitting"} if is_watched else set())


def test_training_without_an_attack_is_not_watched(digits):
    model = AdversarialModel(models.lenet_300_100((8, 8, 1), width=0.1))
    assert OverfittingWatch("warn", model, digits[0]).figures() == {}


def test_records_of_older_runs_say_nothing(digits):
    again = watch("stop", digits)
    again.start([{"round": 0, "iteration": 10}])
    assert again.warnings == []
