"""Wrong input ends in one line that names it and says what is allowed; training that fails too."""

import dataclasses
import json
import logging
import re
import warnings
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from experiments import run
from experiments.runs import options as flags
from experiments.runs.directory import run_name
from robust_sparse_tf import sparsity
from robust_sparse_tf.attacks import PGD
from robust_sparse_tf.options import default_of
from robust_sparse_tf.training import OptimizerOptions, devices

SHORT = ["--rounds=1", "--iterations=2", "--evaluate_every=1", "--branches=1"]
SHORT += ["--width=0.1", "--steps=1"]
HERE = "{here}"  # an empty folder, another for each case

# Flags, what the line has to name, and what it has to say is allowed.
BAD_FLAGS = {
    "unknown flag": (["--nosuch=1"], "nosuch", "--help"),
    "no flag": (["mnist"], "mnist", "flags start with --"),
    "not an int": (["--rounds=many"], "rounds", "int"),
    "a fraction for an int": (["--rounds=1.5"], "rounds", "int"),
    "not a float": (["--epsilon=big"], "epsilon", "float"),
    "not a bool": (["--overwrite=maybe"], "overwrite", "oolean"),
    "no value": (["--rounds"], "rounds", "value"),
    "no flagfile": ([f"--flagfile={HERE}/my.flags"], "my.flags", "No such file"),
    "attack": (["--attack=cw"], "attack=cw", "none, fgsm, rfgsm, bim, pgd, mim"),
    "evaluation attack": (["--eval_attacks=pgd,cw"], "eval_attacks=", "fgsm, rfgsm, bim, pgd, mim"),
    "model": (["--model=vgg"], "model=vgg", "lenet_300_100"),
    "strategy": (["--strategy=best"], "strategy=best", "original, random, continued"),
    "rewind_to": (["--rewind_to=end"], "rewind_to=end", "initial, trained_dense"),
    "optimizer": (["--optimizer=lbfgs"], "optimizer=lbfgs", "adam, adamw, sgd, rmsprop"),
    "labels": (["--attack_labels=no"], "attack_labels=no", "true, predicted"),
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
    "epsilon below": (["--epsilon=-0.1"], "epsilon=-0.1", "at least 0"),
    "epsilon nan": (["--epsilon=nan"], "epsilon=nan", "at least 0"),
    "step_size": (["--step_size=0"], "step_size=0", "above 0"),
    "steps": (["--steps=0"], "steps=0", "at least 1"),
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
    "validation_size": (["--validation_size=-2"], "validation_size=-2", "at least -1"),
    "validation_size zero": (["--validation_size=0"], "validation_size=0", "between 1 and 1436"),
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
ON_THE_COMMAND_LINE = ["unknown flag", "no flagfile", "epsilon below", "output_dir a file"]
FOREIGN = {
    "a file of something else": {"notes.txt": "mine"},
    "no JSON": {"config.json": "{"},
    "other JSON": {"config.json": "[]"},
    "no flags": {"config.json": "{}"},
    "flags of no use": {"config.json": '{"flags": 3}'},
    "flags in a list": {"config.json": '{"flags": ["seed"]}'},
    "checkpoints alone": {"checkpoints/0000000001.npz": ""},
}
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


@pytest.fixture(scope="session")
def outcomes(cli) -> dict:
    """The outcome of each case of this file, by name; of those that diverge also what they left."""

    def make(folder: Path) -> dict:
        cases = {"help": cli.case(["--help"]), "help among others": cli.case(["--x", "--help"])}

        def add(name: str, argv: list[str], env: dict | None = None) -> Path:
            here = folder / name.replace(" ", "_")
            here.mkdir()
            (here / "file").write_text("not a folder")
            argv = [word.replace(HERE, str(here)) for word in argv]
            argv = [*SHORT, f"--output_dir={here / 'runs'}", *argv]
            cases[name] = cli.case(argv, env or {})
            return here / "runs" / run_name(flags.parse(["run", *SHORT]))

        for name in ON_THE_COMMAND_LINE:
            add(name, BAD_FLAGS[name][0])
        for name, (env, argv, _) in BAD_VARIABLES.items():
            add(name, argv, env)
        values = flags.parse(["run", *SHORT, "--learning_rate=0.5"])
        path = add("other flags overwritten", ["--overwrite"])
        path.mkdir(parents=True)
        (path / "config.json").write_text(json.dumps({"flags": values}))
        for name, (argv, *_) in DIVERGING.items():
            add(f"diverging {name}", argv)
        name = "diverging after an evaluation"
        cases[f"{name} again"] = cases[name]
        add("step_size above epsilon", ["--step_size=0.4"])
        cluster = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}
        stray = {"cluster": cluster, "task": {"type": "worker", "index": 1}}
        add("variable of another run", CLEAN, {"TF_CONFIG": json.dumps(stray)})
        results = cli.many(cases, folder)
        left = {
            name: [
                file.name
                for file in sorted(
                    (folder / f"diverging_{name.replace(' ', '_')}").glob("runs/*/checkpoints/*")
                )
            ]
            for name in DIVERGING
        }
        return {**results, "left": left}

    return cli.shared("bad_input", make)


def assert_one_error(outcome: tuple[int, str, str], *words: str, code: int = 2) -> None:
    assert outcome[0] == code, outcome[2]
    line = outcome[2]
    assert line.startswith("error: ") and line.endswith("\n") and line.count("\n") == 1, line
    assert line.count("error: ") == 1 and "ERROR" not in line and "Traceback" not in line
    for word in words:
        assert word in line, line


@pytest.mark.parametrize("name", ON_THE_COMMAND_LINE)
def test_bad_flags_on_the_command_line(outcomes, name):
    _, culprit, allowed = BAD_FLAGS[name]
    assert_one_error(outcomes[name], culprit, allowed)
    assert outcomes[name][1] == ""


@pytest.mark.parametrize("name", BAD_VARIABLES)
def test_bad_variables(outcomes, name):
    assert_one_error(outcomes[name], BAD_VARIABLES[name][2])


def test_other_flags_can_be_overwritten(outcomes):
    code, out, err = outcomes["other flags overwritten"]
    assert (code, err) == (0, "")
    config = json.loads((Path(out.splitlines()[-1]) / "config.json").read_text())
    assert config["flags"]["learning_rate"] == 0.0012


def test_large_step_is_a_warning(outcomes):
    """Said once, though two attacks are made of these flags."""
    code, out, err = outcomes["step_size above epsilon"]
    assert code == 0
    assert err.startswith("warning: ") and err.count("\n") == 1
    assert "step_size=0.4" in err and "epsilon=0.3" in err


def test_cluster_counts_only_where_asked_for(outcomes):
    """With --distribute=none every process is its own run, whatever TF_CONFIG says."""
    code, out, err = outcomes["variable of another run"]
    assert (code, err) == (0, "")
    assert (Path(out.splitlines()[-1]) / "results.json").exists()


@pytest.mark.parametrize("name", DIVERGING)
def test_loss_that_is_not_finite(outcomes, name):
    """The iteration is said, and what was good before it is kept for the next try."""
    _, iteration, kept = DIVERGING[name]
    outcome = outcomes[f"diverging {name}"]
    assert_one_error(outcome, f"not finite at iteration {iteration} of round 0", code=1)
    assert ("last good checkpoint is kept" in outcome[2]) == bool(kept)
    assert outcomes["left"][name] == kept


def test_loss_that_is_not_finite_again(outcomes):
    """The same command goes on from what was kept, and ends alike."""
    name = "diverging after an evaluation"
    assert outcomes[f"{name} again"][::2] == outcomes[name][::2]
    assert "going on after round 0 iteration 10" in outcomes[f"{name} again"][1]


def test_help(outcomes):
    """Names each flag with its meaning, default, unit and allowed values."""
    code, out, err = outcomes["help"]
    assert (code, err) == (0, "")
    lines = out.splitlines()
    for field in flags.fields():
        (place,) = [k for k, line in enumerate(lines) if line.startswith(f"  --{field.name}: ")]
        text = " ".join(lines[place : place + 2])
        default, rule = default_of(field), field.metadata
        shown = [",".join(default) if isinstance(default, list) else json.dumps(default)]
        if default is None:  # an option of methods, each with its own default
            shown = method_defaults(field.name)
        assert rule["help"] in text and "default: " in text
        assert all(value in text for value in shown)
        assert rule["unit"] in text
        assert all(str(choice) in text for choice in rule["choices"])
    assert "--flagfile" in out
    assert outcomes["help among others"] == [0, out, ""]


def method_defaults(name: str) -> list[str]:
    found = []
    for method, cls in sparsity.BY_NAME.items():
        fields = {field.name: field for field in dataclasses.fields(cls)}
        if name in fields:
            found += [method, json.dumps(default_of(fields[name]))]
    assert found
    return found


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (PGD, ["epsilon", "step_size", "steps"]),
        (OptimizerOptions, ["learning_rate"]),
        (flags.RunOptions, ["seed", "output_dir"]),
    ],
)
def test_help_is_by_group(outcomes, owner, names):
    _, out, _ = outcomes["help"]
    group = re.split(r"\n\n", out[out.index(f"\n{owner.__name__}: ") :].lstrip())[0]
    assert all(f"--{name}:" in group for name in names)


# In this process, where more can be arranged


@pytest.fixture
def call(monkeypatch, capfd, tmp_path):
    """Calls the command in this process, whose devices are set already, and gives its outcome."""
    monkeypatch.setattr(devices, "configure", lambda **_: None)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    levels = {name: logging.getLogger(name).level for name in ("tensorflow", "absl")}

    def call(*argv: str) -> tuple[int, str, str]:
        code = run.main(["run", *SHORT, f"--output_dir={tmp_path / 'runs'}", *argv])
        return code, *capfd.readouterr()

    yield call
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize("name", BAD_FLAGS)
def test_bad_flags(call, tmp_path, name):
    argv, culprit, allowed = BAD_FLAGS[name]
    (tmp_path / "file").write_text("not a folder")
    outcome = call(*(word.replace(HERE, str(tmp_path)) for word in argv))
    assert_one_error(outcome, culprit, allowed)
    assert outcome[1] == ""


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
    run_folder.mkdir(parents=True)
    values = flags.parse(["run", *SHORT, "--learning_rate=0.5"])
    (run_folder / "config.json").write_text(json.dumps({"flags": values}))
    assert_one_error(call(), "learning_rate=0.5, now 0.0012", "--overwrite")


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
