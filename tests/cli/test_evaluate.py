"""The command that attacks a trained model."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tf_keras as keras

from experiments import evaluate
from experiments.cli import locking
from experiments.evaluations import loading
from robust_sparse_tf import data, training
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import masking
from robust_sparse_tf.evaluation.checks import outcome

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "report.json",
    "report.csv",
    "report.md",
    "accuracy.pdf",
    "accuracy.png",
    "images.pdf",
    "images.png",
    "state.npz",
}
FEW = ["--examples=40", "--epsilons=0.1"]
UNMASKED = "--check_masking=false"  # whose checks take longer than the attacks


@pytest.fixture
def call(capfd, tmp_path):
    """Runs the command line in this process: (exit code, stdout, stderr)."""

    def run(*argv: str, apart: bool = True) -> tuple[int, str, str]:
        capfd.readouterr()
        place = [f"--output={tmp_path / 'reports'}"] if apart else []
        code = evaluate.main(["evaluate", *FEW, *place, *argv])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def attacked(out: str) -> bool:
    """Whether examples were attacked, of an evaluation by one attack."""
    ((accuracy, examples),) = re.findall(
        r"^\w+ \(epsilon 0.1\): robust accuracy ([0-9.]+) % \(([0-9]+) examples", out, re.MULTILINE
    )
    assert 0 <= float(accuracy) <= 100
    return int(examples) > 0


@pytest.fixture(scope="module")
def places(base, tmp_path_factory) -> dict[str, str]:
    """The same model in all forms."""
    folder = tmp_path_factory.mktemp("models")
    network = keras.models.load_model(base.path / "saved_model", compile=False)
    network.save(folder / "model.keras")
    return {
        "run": str(base.path),
        "saved_model": str(base.path / "saved_model"),
        "keras": str(folder / "model.keras"),
        "tflite": str(base.path / "model.tflite"),
    }


def test_command(base, tmp_path):
    """In a process of its own: a finished run's directory, its data set, an ensemble."""
    run = shutil.copytree(base.path, tmp_path / base.path.name)
    command = [sys.executable, "-m", "experiments.evaluate", f"--model={run}", "--attacks=quick"]
    done = subprocess.run(
        [*command, "--epsilons=0.05,0.1", UNMASKED], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    folder = Path(done.stdout.splitlines()[-1])
    assert folder.parent == run / "robustness" and folder.name.startswith("quick-linf-")
    assert {path.name for path in folder.iterdir()} == FILES
    assert (folder / "report.md").read_text() in done.stdout
    content = json.loads((folder / "report.json").read_text())
    rows = {(row["attack"], row["epsilon"]): row["accuracy"] for row in content["rows"]}
    stored = json.loads((run / "results.json").read_text())["rounds"][-1]["test"]
    assert rows["clean", None] == pytest.approx(stored["clean_accuracy"])
    assert rows["fgsm", 0.1] == pytest.approx(stored["robust_accuracy"]["fgsm"], abs=0.01)
    assert rows["worst", 0.1] <= rows["worst", 0.05] <= rows["clean", None]
    assert len(content["labels"]) == data.load("digits")[2].size


def test_masking_is_looked_for_unless_told_otherwise(places, call, monkeypatch):
    monkeypatch.setattr(
        masking, "find", lambda *arguments: [outcome("restarts gain much", True, "masked")]
    )
    told = [f"--model={places['run']}", "--attacks=fgsm"]
    found = [call(*told, *other)[1] for other in ([], ["--check_masking=false"])]
    assert ["masked" in text for text in found] == [True, False]
    assert found[0].splitlines()[-1] != found[1].splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["run", "saved_model", "keras"])
def test_forms_of_a_model(form, places, call):
    """All are the same model, with the same gradients."""
    code, out, err = call(f"--model={places[form]}", "--attacks=fgsm,deepfool", "--dataset=digits")
    assert code == 0
    assert ["a program" in line for line in err.splitlines()] == [True] * (form == "saved_model")
    rows = json.loads((Path(out.splitlines()[-1]) / "report.json").read_text())["rows"]
    found = {row["attack"]: row["accuracy"] for row in rows if row["epsilon"] in (0.1, None)}
    if form != "run":
        code, out, _ = call(f"--model={places['run']}", "--attacks=fgsm,deepfool")
        rows = json.loads((Path(out.splitlines()[-1]) / "report.json").read_text())["rows"]
        whole = {row["attack"]: row["accuracy"] for row in rows if row["epsilon"] in (0.1, None)}
        assert found == whole
    assert found["clean"] > found["fgsm"]


def test_tflite_by_scores_and_by_transfer(places, call):
    """No gradients are there; those of the Keras model are as good as its own."""
    code, out, err = call(
        f"--model={places['tflite']}", "--attacks=square", "--dataset=digits", "--examples=20"
    )
    assert (code, err) == (0, "")
    assert "no gradient" in out
    model, source = places["tflite"], places["keras"]
    argv = ["--attacks=uniform_noise", "--dataset=digits", f"--source={source}"]
    code, out, err = call(f"--model={model}", *argv, UNMASKED)
    assert (code, err) == (0, "")
    rows = json.loads((Path(out.splitlines()[-1]) / "report.json").read_text())["rows"]
    found = {row["attack"]: row["accuracy"] for row in rows if row["epsilon"] in (0.1, None)}
    _, out, _ = call(f"--model={source}", "--attacks=pgd", "--dataset=digits", UNMASKED)
    rows = json.loads((Path(out.splitlines()[-1]) / "report.json").read_text())["rows"]
    direct = next(row["accuracy"] for row in rows if row["attack"] == "pgd")
    assert found["transfer"] == pytest.approx(direct, abs=0.03)
    assert found["transfer"] < found["uniform_noise"]


def test_several_sources_and_draws(places, call):
    """The last source fools as well as the model itself; a model without noise needs no draws."""
    argv = [f"--model={places['keras']}", "--dataset=digits", "--attacks=fgsm", UNMASKED]
    code, out, err = call(*argv, f"--source={places['saved_model']},{places['keras']}")
    assert code == 0 and "a program" in err
    accuracies = re.findall(r"^(\w+) \(epsilon 0.1\): robust accuracy ([0-9.]+) %", out, re.M)
    assert [name for name, _ in accuracies] == ["fgsm", "transfer"]
    assert "draws=" not in out
    code, out, _ = call(*argv, "--eot_draws=2")
    assert code == 0 and "draws=2: the model has no noise" in out


def test_the_same_command_shows_the_same(places, call):
    argv = [f"--model={places['keras']}", "--attacks=pgd", "--dataset=digits", UNMASKED]
    first, second = call(*argv), call(*argv)
    assert [attacked(out) for _, out, _ in (first, second)] == [True, False]
    assert [line for line in first[1].splitlines() if "| pgd" in line] == [
        line for line in second[1].splitlines() if "| pgd" in line
    ]
    state = np.load(Path(first[1].splitlines()[-1]) / "state.npz")
    assert "identity" in state


REFUSED = {
    "no model": ([], "model: must be given"),
    "not there": (["--model=nowhere"], "model=nowhere: does not exist"),
    "no data set": (["--model={keras}"], "dataset: must be given, one of digits, mnist"),
    "unknown data set": (["--model={keras}", "--dataset=letters"], "dataset=letters: must be"),
    "no number": (["--model={run}", "--epsilons=a"], "epsilons=a: must be numbers"),
    "negative": (["--model={run}", "--epsilons=-1", "--attacks=fgsm"], "epsilons=-1.0: must be"),
    "unknown attack": (["--model={run}", "--attacks=strong"], "must be one of quick, standard"),
    "two ensembles": (["--model={run}", "--attacks=quick,pgd"], "an ensemble must be the only"),
    "norm": (["--model={run}", "--attacks=bim", "--norm=l1"], "norm=l1: must be linf"),
    "gradients": (["--model={tflite}", "--attacks=pgd"], "must be among square, spsa"),
    "no number of a round": (
        ["--model={run}", "--at_rounds=0,last"],
        "at_rounds=0,last: must be whole",
    ),
    "no such round": (["--model={run}", "--at_rounds=9"], "rounds/9: does not exist"),
    "passes": (["--model={run}", "--attacks=fgsm", "--passes=0"], "passes=0: must be"),
    "no run": (["--model=tests", "--dataset=digits"], "model=tests: must be the directory of"),
    "flag": (["--modle=x"], "modle"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name, places, call):
    argv, words = REFUSED[name]
    code, _, err = call(*(word.format(**places) for word in argv))
    assert code == 2
    assert err.startswith("error: ") and err.count("\n") == 1 and words in err


def test_rounds_of_a_run(places, call, tmp_path):
    """Each report is in its round, and of its network."""
    run = Path(shutil.copytree(places["run"], tmp_path / "run"))
    options = ("--examples=0", "--attacks=fgsm", UNMASKED)
    code, out, err = call(f"--model={run}", "--at_rounds=0,1", *options, apart=False)
    assert code == 0, err
    reports = [Path(line) for line in out.splitlines() if line.startswith(str(run))]
    assert [report.parents[1] for report in reports] == [run / "rounds" / n for n in "01"]
    rounds = json.loads((run / "results.json").read_text())["rounds"]
    size = data.load("digits")[2].size
    for report, entry in zip(reports, rounds, strict=False):
        clean = json.loads((report / "report.json").read_text())["rows"][0]["accuracy"]
        assert clean == pytest.approx(entry["test"]["clean_accuracy"], abs=1.5 / size)
    alone = call(f"--model={run / 'rounds' / '1'}", *options, apart=False)
    assert alone[1].splitlines()[-1] == str(reports[1])


@pytest.mark.skipif(not os.environ.get("RST_DATA_DIR"), reason="no MNIST")
def test_images_that_do_not_fit(places, call):
    code, _, err = call(f"--model={places['keras']}", "--dataset=mnist")
    assert code == 2 and "do not fit the model" in err and err.count("\n") == 1


def test_another_model_in_the_same_place(tmp_path, call):
    """The attacks are run again, and the report says of which model it is."""
    path, names, ran = tmp_path / "model.keras", [], []
    argv = [f"--model={path}", "--attacks=fgsm", "--dataset=digits", UNMASKED]
    for seed in (0, 0, 1):
        keras.backend.clear_session()  # for the same names
        keras.utils.set_random_seed(seed)
        layers = [keras.layers.Flatten(), keras.layers.Dense(10)]
        keras.Sequential([keras.Input((8, 8, 1)), *layers]).save(path)
        code, out, err = call(*argv)
        assert code == 0
        assert ("of another model than this one" in err) == bool(seed), err
        names.append(json.loads(Path(out.splitlines()[-1], "report.json").read_text())["model"])
        ran.append(attacked(out))
    assert names[0] == names[1] != names[2]
    assert ran == [True, False, True]


def test_two_at_once(places, call, tmp_path):
    argv = [f"--model={places['keras']}", "--attacks=fgsm", "--dataset=digits", UNMASKED]
    folder = call(*argv)[1].splitlines()[-1]
    with locking.alone(folder):
        code, _, err = call(*argv)
    assert code == 75 and f"{folder}: another process is using it" in err
    assert err.count("\n") == 1
    assert call(*argv)[0] == 0


def test_code_runs_only_where_it_is_trusted(tmp_path, call):
    made = tmp_path / "made"
    scope = {}
    exec(f"def f(x):\n    open({str(made)!r}, 'w').close()\n    return x", scope)
    layers = [keras.layers.Lambda(scope["f"]), keras.layers.Flatten(), keras.layers.Dense(10)]
    keras.Sequential([keras.Input((8, 8, 1)), *layers]).save(tmp_path / "model.h5")
    os.rename(tmp_path / "model.h5", tmp_path / "model.keras")
    made.unlink()
    argv = [f"--model={tmp_path / 'model.keras'}", "--attacks=fgsm", "--dataset=digits"]
    code, _, err = call(*argv)
    assert code == 2 and "holds code (Lambda)" in err and err.count("\n") == 1
    assert not made.exists()


def test_broken_file(tmp_path, call):
    (tmp_path / "broken.keras").write_bytes(b"no model")
    code, _, err = call(f"--model={tmp_path / 'broken.keras'}", "--dataset=digits")
    assert code == 2 and "broken.keras: cannot be read" in err and err.count("\n") == 1


def test_help(capfd):
    assert evaluate.main(["evaluate", "--help"]) == 0
    assert "--attack_batch_size" in capfd.readouterr().out


def test_images_are_of_the_runs_classes(tmp_path):
    (tmp_path / "config.json").write_text('{"flags": {"dataset": "digits", "classes": ["1", "7"]}}')
    own = loading.images(str(tmp_path), None, None, 30)
    test = data.load("digits", classes=(1, 7))[2]
    assert (own.size, own.num_classes) == (30, 2)
    np.testing.assert_array_equal(own.images, test.images[:30])
    assert loading.images(str(tmp_path), "digits", None, 0).num_classes == 10


def test_noise_is_switched():
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    network = training.with_noise(keras.Sequential(layers))
    x = np.ones((2, 8, 8, 1), np.float32)
    for noise, same in (("off", True), ("on", False)):
        loading.switch_noise(network, noise)
        assert np.array_equal(network(x), network(x)) == same
    for other in (len, keras.Sequential(layers)):
        with pytest.raises(InputError, match="noise=off: the model has no noise on its weights"):
            loading.switch_noise(other, "off")
