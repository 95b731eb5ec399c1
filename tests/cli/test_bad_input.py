"""Wrong input ends in one line that names it and says what is allowed; training that fails too."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import tensorflow_datasets as tfds
from bad_input import SHORT, assert_one_error

from experiments.runs import options as flags
from experiments.runs.directory import run_name

HERE = "{here}"  # an empty folder, another for each case

# Flags, what the line has to name, and what it has to say is allowed.
BAD_FLAGS = {
    "unknown flag": (["--nosuch=1"], "nosuch", "--help"),
    "no flag": (["mnist"], "mnist", "flags start with --"),
    "not an int": (["--rounds=many"], "rounds", "int"),
    "a fraction for an int": (["--rounds=1.5"], "rounds", "int"),
    "not a float": (["--attack.epsilon=big"], "attack.epsilon", "float"),
    "not a bool": (["--overwrite=maybe"], "overwrite", "oolean"),
    "no value": (["--rounds"], "rounds", "value"),
    "no flagfile": ([f"--flagfile={HERE}/my.flags"], "my.flags", "No such file"),
    "attack": (["--attack=cw"], "attack=cw", "none, fgsm, rfgsm, bim, pgd, mim"),
    "evaluation attack": (["--eval_attacks=pgd,cw"], "eval_attacks=", "fgsm, rfgsm, bim, pgd, mim"),
    "model": (["--model=vgg"], "model=vgg", "lenet_300_100"),
    "strategy": (["--strategy=best"], "strategy=best", "original, random, continued"),
    "rewind_to": (["--rewind_to=end"], "rewind_to=end", "initial, trained_dense"),
    "optimizer": (["--optimizer=lbfgs"], "optimizer=lbfgs", "adam, adamw, sgd, rmsprop"),
    "labels": (["--attack.attack_labels=no"], "attack.attack_labels=no", "true, predicted"),
    "jit_compile": (["--jit_compile=yes"], "jit_compile=yes", "auto, on, off"),
    "distribute": (["--distribute=tpu"], "distribute=tpu", "none, mirrored, multiworker"),
    "schedule": (["--learning_rate_schedule=Slow"], "learning_rate_schedule=Slow", "CosineDecay"),
    "schedule not JSON": (
        ["--learning_rate_schedule=CosineDecay", "--learning_rate_arguments={"],
        "learning_rate_arguments={",
        "CosineDecay",
    ),
    "schedule without arguments": (
        ["--learning_rate_schedule=CosineDecay"],
        "learning_rate_arguments={}",
        "decay_steps",
    ),
    "schedule of a word": (
        [
            "--learning_rate_schedule=CosineDecay",
            '--learning_rate_arguments={"decay_steps": "ten"}',
        ],
        "learning_rate_arguments=",
        "CosineDecay",
    ),
    "data set": (["--dataset=imagenet"], "dataset=imagenet", "digits, mnist"),
    "width": (["--width=0"], "width=0", "above 0"),
    "width of no model": (["--model=linear", "--width=2"], "width=2.0", "1 with model=linear"),
    "prune": (["--prune=units"], "prune=units", "weights, features"),
    "features of ten classes": (["--prune=features"], "model lenet_300_100", "two classes"),
    "prune_features": (["--prune_features=2"], "prune_features=2", "at most 1"),
    "epsilon below": (["--attack.epsilon=-0.1"], "attack.epsilon=-0.1", "at least 0"),
    "epsilon of evaluation": (["--eval.epsilon=-0.1"], "eval.epsilon=-0.1", "at least 0"),
    "epsilon nan": (["--attack.epsilon=nan"], "attack.epsilon=nan", "at least 0"),
    "step_size": (["--attack.step_size=0"], "attack.step_size=0", "above 0"),
    "steps": (["--attack.steps=0"], "attack.steps=0", "at least 1"),
    "prune_hidden": (["--prune_hidden=1.5"], "prune_hidden=1.5", "at most 1"),
    "prune_output nan": (["--prune_output=nan"], "prune_output=nan", "at most 1"),
    "label_smoothing": (["--label_smoothing=2"], "label_smoothing=2", "at most 1"),
    "clean_weight": (["--clean_weight=-1"], "clean_weight=-1", "at least 0"),
    "learning_rate": (["--learning_rate=0"], "learning_rate=0", "above 0"),
    "momentum": (["--momentum=2"], "momentum=2", "at most 1"),
    "weight_decay": (["--weight_decay=-1"], "weight_decay=-1", "at least 0"),
    "seed": (["--seed=-1"], "seed=-1", "at least 0"),
    "seed above": (["--seed=2147483648"], "seed=2147483648", "at most 2147483647"),
    "rounds": (["--rounds=0"], "rounds=0", "at least 1"),
    "iterations": (["--iterations=0"], "iterations=0", "at least 1"),
    "evaluate_every": (["--evaluate_every=0"], "evaluate_every=0", "at least 1"),
    "rewind_step": (["--rewind_step=3"], "rewind_step=3", "at most 2, the first"),
    "rewind_step of trained_dense": (
        ["--rewind_step=1", "--rewind_to=trained_dense"],
        "rewind_step=1",
        "must be 0 with rewind_to=trained_dense",
    ),
    "batch_size": (["--batch_size=0"], "batch_size=0", "at least 1"),
    "batch_size above": (["--batch_size=1199"], "batch_size=1199", "at most the 1198 images"),
    "validation_size": (["--validation_size=-2"], "validation_size=-2", "at least 1"),
    "validation_size zero": (["--validation_size=0"], "validation_size=0", "at least 1"),
    "validation_size above": (
        ["--validation_size=1437"],
        "validation_size=1437",
        "between 1 and 1436",
    ),
    "no data_dir": (
        ["--dataset=mnist", f"--data_dir={HERE}/none"],
        "none",
        "no such folder",
    ),
    "no TF_CONFIG": (["--distribute=multiworker"], "TF_CONFIG", "must be set"),
    "output_dir a file": ([f"--output_dir={HERE}/file"], "file", "cannot be written"),
    "output_dir below a file": ([f"--output_dir={HERE}/file/x"], "file/x", "cannot be written"),
}
BAD_VARIABLES = {
    "TF_CONFIG not JSON": ({"TF_CONFIG": "{"}, ["--distribute=multiworker"], "TF_CONFIG"),
    "RST_DATA_DIR": ({"RST_DATA_DIR": "nowhere/at/all"}, ["--dataset=mnist"], "nowhere/at/all"),
}
# Those of the table that a process of the command is started with, too.
ON_THE_COMMAND_LINE = ["unknown flag"]
FOREIGN = {
    "a file of something else": {"notes.txt": "mine"},
    "no JSON": {"config.json": "{"},
    "other JSON": {"config.json": "[]"},
    "no flags": {"config.json": "{}"},
    "flags of no use": {"config.json": '{"flags": 3}'},
    "flags in a list": {"config.json": '{"flags": ["seed"]}'},
    "checkpoints alone": {"checkpoints/0000000001.npz": ""},
}


@pytest.fixture
def call(cli, tmp_path):
    """Calls the command on few steps, with an output folder of this test's."""

    def call(*argv: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        argv = [*SHORT, f"--output_dir={tmp_path / 'runs'}", *argv]
        return cli.call(argv, env or {}, light=True)

    return call


@pytest.mark.parametrize("name", ON_THE_COMMAND_LINE)
def test_bad_flags_on_the_command_line(cli, tmp_path, name):
    """In a process of its own."""
    argv, culprit, allowed = BAD_FLAGS[name]
    outcome = cli.run([*SHORT, f"--output_dir={tmp_path}", *argv])
    assert_one_error(outcome, culprit, allowed)
    assert outcome.out == ""


@pytest.mark.parametrize("name", BAD_VARIABLES)
def test_bad_variables(call, name):
    env, argv, words = BAD_VARIABLES[name]
    assert_one_error(call(*argv, env=env), words)


def test_large_step_is_a_warning(call):
    """Said once, though two attacks are made of these flags."""
    code, out, err = call("--attack.step_size=0.4")
    assert code == 0
    assert err.startswith("warning: ") and err.count("\n") == 1
    assert "step_size=0.4" in err and "epsilon=0.3" in err


def test_cluster_counts_only_where_asked_for(call):
    """With --distribute=none every process is its own run, whatever TF_CONFIG says."""
    cluster = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}
    stray = {"cluster": cluster, "task": {"type": "worker", "index": 1}}
    argv = ["--attack=none", "--eval_attacks=fgsm"]
    code, out, err = call(*argv, env={"TF_CONFIG": json.dumps(stray)})
    assert (code, err) == (0, "")
    assert (Path(out.splitlines()[-1]) / "results.json").exists()


@pytest.mark.parametrize("name", BAD_FLAGS)
def test_bad_flags(call, tmp_path, name):
    argv, culprit, allowed = BAD_FLAGS[name]
    (tmp_path / "file").write_text("not a folder")
    outcome = call(*(word.replace(HERE, str(tmp_path)) for word in argv))
    assert_one_error(outcome, culprit, allowed)
    # Nothing but what the run would have been.
    assert outcome[1] == "" or re.fullmatch(r"directory: .*\ntraining .*\n", outcome[1])


@pytest.fixture
def run_folder(tmp_path) -> Path:
    """Where `call` without flags puts its run."""
    return tmp_path / "runs" / run_name(flags.parse(["run", *SHORT]))


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_directory(call, run_folder, name):
    """It is named and left as it was."""
    for inner, text in FOREIGN[name].items():
        (run_folder / inner).parent.mkdir(parents=True, exist_ok=True)
        (run_folder / inner).write_text(text)
    assert_one_error(call(), str(run_folder), "--output_dir")
    for inner, text in FOREIGN[name].items():
        assert (run_folder / inner).read_text() == text


def test_file_for_the_run(call, run_folder):
    run_folder.parent.mkdir()
    run_folder.write_text("not a run")
    assert_one_error(call(), str(run_folder.parent), "cannot be written")


def test_other_flags(call, run_folder):
    """They are named, and can be overwritten."""
    run_folder.mkdir(parents=True)
    values = flags.parse(["run", *SHORT, "--learning_rate=0.5"])
    (run_folder / "config.json").write_text(json.dumps({"flags": values}))
    assert_one_error(call(), "learning_rate=0.5, now 0.0012", "--overwrite")
    code, out, err = call("--overwrite")
    assert (code, err) == (0, "")
    assert Path(out.splitlines()[-1]) == run_folder
    config = json.loads((run_folder / "config.json").read_text())
    assert config["flags"]["learning_rate"] == 0.0012


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_data_that_cannot_be_downloaded(call, monkeypatch, tmp_path, name):
    def download_and_prepare(*_, **__) -> None:
        raise ConnectionError("no network\nand a second line")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", download_and_prepare)
    folder = tmp_path / "empty"
    folder.mkdir()
    outcome = call(f"--dataset={name}", f"--data_dir={folder}")
    assert_one_error(outcome, f"dataset={name}", str(folder), "data_dir", "ConnectionError")


@pytest.mark.slow
def test_data_offline(cli, tmp_path):
    """With TFDS's own download, whose retries take minutes."""
    nothing = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy")}
    folder = tmp_path / "empty"
    folder.mkdir()
    argv = ["--dataset=cifar10", f"--data_dir={folder}", f"--output_dir={tmp_path / 'runs'}"]
    code, out, err = cli.run(argv, nothing)
    assert code == 2
    lines = [line for line in re.split(r"[\r\n]", err) if line.startswith("error: ")]
    assert len(lines) == 1 and "dataset=cifar10" in lines[0] and str(folder) in lines[0]
    assert "WARNING" not in err and "Traceback" not in err


def test_batch_that_replicas_cannot_share(call):
    """The two CPU devices of these tests are two replicas."""
    outcome = call("--distribute=mirrored", "--batch_size=61")
    assert_one_error(outcome, "batch_size=61", "multiple of the 2 replicas")
