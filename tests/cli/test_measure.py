"""The command that measures the networks of a run's rounds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tf_keras as keras

from experiments import measure
from robust_sparse_tf import data, evaluation, models
from robust_sparse_tf.attacks import FGSM, CarliniWagner

ROOT = Path(__file__).resolve().parents[2]
ALL = "r_inf,deepfool,carlini_wagner,clever,bounds,lipschitz,gamma,activation_sparsity"
SMALL = [
    "--examples=30",
    "--cw_examples=10",
    "--cw_searches=4",
    "--cw_steps=50",
    "--clever_examples=4",
    "--clever_batches=5",
    "--clever_samples=8",
    "--lipschitz_examples=25",
]


def made(folder: Path, networks: list[keras.Model], **flags) -> Path:
    """What a run leaves of its rounds."""
    for number, network in enumerate(networks):
        place = folder / "rounds" / str(number)
        place.mkdir(parents=True)
        network.save(place / "model.keras")
    (folder / "config.json").write_text(json.dumps({"flags": {"dataset": "digits", **flags}}))
    return folder


def binary(seed: int) -> keras.Model:
    """A linear model that tells 1 from 7 by their means."""
    train, _, _ = data.load("digits", classes=(1, 7), batch_size=10, seed=seed)
    means = [train.images[train.labels == label].mean(axis=0).ravel() for label in (0, 1)]
    kernel = means[1] - means[0]
    network = models.binary_linear((8, 8, 1))
    network.set_weights([kernel[:, None], np.atleast_1d(-kernel @ (means[0] + means[1]) / 2)])
    return network


@pytest.fixture
def call(capfd):
    """Runs the command line in this process: (exit code, stdout, stderr)."""

    def run(*argv: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = measure.main(["measure", *SMALL, *map(str, argv)])
        return code, *capfd.readouterr()

    return run


def paths_in(out: str) -> list[Path]:
    """The files that are named at the end, after a table."""
    return [Path(line) for line in out.splitlines() if line.endswith(".json")]


def read(out: str) -> list[dict]:
    return [json.loads(path.read_text()) for path in paths_in(out)]


def test_each_round_is_measured_once(tmp_path, call):
    """What is there is not made again."""
    run = made(tmp_path / "run", [binary(0), binary(1)], classes=["1", "7"])
    asked = f"--model={run}", "--measures=bounds"
    code, out, err = call(*asked)
    assert (code, err) == (0, "")
    paths = paths_in(out)
    assert [path.parent for path in paths] == [run / "rounds" / "0", run / "rounds" / "1"]
    first, second = read(out)
    assert first["measures"] != second["measures"]
    paths[0].write_text(json.dumps(first | {"seconds": -1}))
    paths[1].unlink()
    code, again, _ = call(*asked)
    assert code == 0 and again.splitlines()[1:] == out.splitlines()[1:]
    assert "(networks: 1)" in again.splitlines()[0]
    assert call(*asked)[1].startswith(f"{run} was measured before; these are the stored results\n")
    assert json.loads(paths[0].read_text())["seconds"] == -1
    assert json.loads(paths[1].read_text())["measures"] == second["measures"]


@pytest.mark.parametrize("how", ["damaged", "another network"])
def test_what_is_not_of_the_network_is_measured_anew(how, tmp_path, call):
    run = made(tmp_path / "run", [binary(0)], classes=["1", "7"])
    asked = f"--model={run}", "--measures=bounds"
    _, out, _ = call(*asked)
    before = read(out)[0]["measures"]
    if how == "damaged":
        paths_in(out)[0].write_text('{"measures": 3')
    else:
        binary(1).save(run / "rounds" / "0" / "model.keras")
    code, again, err = call(*asked)
    assert (code, paths_in(again)) == (0, paths_in(out))
    assert (again == out) == (how == "damaged")  # the table is of the network there now
    why = "belongs to another network, or is damaged; measuring again"
    assert err == f"warning: {paths_in(out)[0]} {why}\n"
    assert (read(out)[0]["measures"] == before) == (how == "damaged")


def test_all_measures_of_a_linear_model(tmp_path, call):
    """The theorem, DeepFool and CLEVER agree on one."""
    run = made(tmp_path / "run", [binary(0)], classes=["1", "7"])
    code, out, err = call(f"--model={run}", f"--measures={ALL}")
    assert (code, err) == (0, "")
    (first,) = read(out)
    assert first["images"] == 30 and first["options"]["cw_steps"] == 50
    assert list(first["missing"]) == ["activation_sparsity"]
    found = first["measures"]
    assert 0.9 < found["accuracy"] <= 1
    assert found["r_inf_fgsm"] <= found["r_inf_rfgsm"] <= found["accuracy"]
    assert found["r_2_deepfool"] == pytest.approx(1.02 * found["bound_r_2_exact"], rel=1e-2)
    assert found["r_inf_fgsm"] <= found["bound_r_inf_exact"]
    assert found["r_2_carlini_wagner"] > 0
    kernel, bias = binary(0).get_weights()
    assert found["lipschitz_l2"] == pytest.approx(np.linalg.norm(kernel), rel=1e-4)
    few = data.load("digits", classes=(1, 7))[2].first(25)
    margins = (few.images.reshape(25, -1) @ kernel + bias)[:, 0] * (2 * few.labels - 1)
    for norm, dual in (("l2", 2), ("linf", 1)):  # gamma is the distance, at most the largest R
        gammas = np.clip(margins / np.linalg.norm(kernel[:, 0], dual), 0, 1)
        assert found[f"gamma_{norm}"] == pytest.approx(np.mean(gammas), rel=1e-4)


def test_measures_are_the_librarys(tmp_path, call):
    keras.utils.set_random_seed(0)
    network = models.mlp((8, 8, 1), hidden=(12, 9))
    run = made(tmp_path / "run", [network])
    asked = "--measures=r_inf,carlini_wagner,lipschitz,activation_sparsity,bounds"
    code, out, err = call(f"--model={run}", asked, "--r_inf_epsilon=0.05", "--cw_constant=2")
    (found,) = read(out)
    assert (code, err) == (0, "")
    test = data.load("digits")[2].first(30)
    attack = CarliniWagner(binary_searches=4, steps=50, initial_constant=2.0)
    expected = {
        "accuracy": evaluation.Evaluator(network)(test)["clean_accuracy"],
        "r_inf_fgsm": evaluation.r_inf(network, test, FGSM(epsilon=0.05)),
        "r_2_carlini_wagner": evaluation.r_2(network, test.first(10), attack),
        "activation_sparsity": evaluation.activation_sparsity(network, test)["hidden_2"],
    }
    measures = found["measures"]
    assert {name: measures[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    assert measures["lipschitz_linf"] > measures["lipschitz_l2"] > 0
    assert found["missing"] == {"bounds": "model: its logits must be linear in the images"}


def test_usefulness_is_of_each_feature(tmp_path, call):
    """Of classifiers of two classes; what others lack is told."""
    networks = [binary(0), models.mlp_300_100_100((8, 8, 1), 10, width=0.1)]
    run = made(tmp_path / "run", networks[:1], classes=["1", "7"])
    _, out, _ = call(f"--model={run}", "--measures=usefulness")
    (found,) = [entry["measures"]["usefulness"] for entry in read(out)]
    test = data.load("digits", classes=(1, 7))[2].first(30)
    expected = vars(evaluation.usefulness(binary(0), test))
    assert found.keys() == expected.keys() and len(found["raw"]) == 64
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-7)
    run = made(tmp_path / "other", networks[1:])
    _, out, _ = call(f"--model={run}", "--measures=usefulness")
    (found,) = read(out)
    assert found["measures"] == {} and "two classes" in found["missing"]["usefulness"]


def test_some_rounds(tmp_path, call):
    run = made(tmp_path / "run", [binary(0), binary(1), binary(2)], classes=["1", "7"])
    _, out, _ = call(f"--model={run}", "--at_rounds=2,0", "--measures=r_inf")
    assert [path.parent.name for path in paths_in(out)] == ["2", "0"]
    assert not list((run / "rounds" / "1").glob("measures*"))
    # What is measured of a round does not depend on which others are.
    _, again, _ = call(f"--model={run}", "--measures=r_inf")
    assert set(paths_in(out)) < set(paths_in(again))


def test_what_an_attack_did_not_find_is_told(tmp_path, call):
    run = made(tmp_path / "run", [binary(0)], classes=["1", "7"])
    _, out, _ = call(f"--model={run}", "--measures=carlini_wagner", "--cw_steps=1")
    (found,) = read(out)
    assert len(found["warnings"]) == 1 and "found no adversarial example" in found["warnings"][0]


def test_command_measures_a_real_run(base):
    """In a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "experiments.measure", f"--model={base.path}", *SMALL]
        + ["--at_rounds=1", "--measures=r_inf,activation_sparsity"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (found,) = read(done.stdout)
    asked = {"accuracy", "r_inf_fgsm", "r_inf_rfgsm", "activation_sparsity"}
    assert set(found["measures"]) == asked
    os.remove(*paths_in(done.stdout))  # the run is others', too


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "model: must be given"),
        (["--model=no/such/run"], "model=no/such/run: holds no network of a round"),
        (["--model={run}", "--at_rounds=7"], "rounds/7/model.keras: does not exist"),
        (["--model={run}", "--at_rounds=a"], "at_rounds=a: must be whole numbers from 0"),
        (["--model={run}", "--measures=speed"], "measures=['speed']: must be one of r_inf"),
        (["--model={run}", "--r_inf_epsilon=0"], "r_inf_epsilon=0.0: must be above 0"),
        (["--model={run}", "--nosuch=1"], "nosuch"),
        (["--model={damaged}"], "cannot be read"),
    ],
)
def test_refuses(tmp_path, call, argv, words):
    run = made(tmp_path / "run", [binary(0)], classes=["1", "7"])
    damaged = made(tmp_path / "damaged", [binary(0)], classes=["1", "7"])
    (damaged / "rounds" / "0" / "model.keras").write_text("nothing")
    code, out, err = call(*(word.format(run=run, damaged=damaged) for word in argv))
    assert (code, out) == (2, "") and words in err and err.count("\n") == 1
