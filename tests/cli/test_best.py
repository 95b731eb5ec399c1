"""Best and final weights of a round, and the gap of robust accuracy."""

import json
import shutil

import numpy as np
import pytest
import tf_keras as keras
from bad_input import assert_one_error

from experiments import evaluate
from experiments.evaluations import attack_options
from experiments.runs import best
from robust_sparse_tf import data
from robust_sparse_tf.errors import InputError


def figures(clean, robust):
    return {"clean_accuracy": clean, "robust_accuracy": {"pgd": robust}}


def record(number, iteration, robust, clean=0.5, trained=0.9):
    return {
        "round": number,
        "iteration": iteration,
        "density": 1 / (1 + number),
        "train": {"accuracy": 0.95, "robust_accuracy": trained},
        "validation": figures(clean, robust),
        "test": figures(clean - 0.1, robust - 0.1),
    }


RECORDS = [
    record(0, 10, 0.2),
    record(0, 20, 0.4),
    record(0, 30, 0.4, clean=0.9),
    record(0, 40, 0.3),
    record(1, 10, 0.1),
]


def test_best_is_the_first_with_the_largest_robust_accuracy():
    first, second = best.of_rounds(RECORDS, "pgd")
    assert (first["best"]["iteration"], first["final"]["iteration"]) == (20, 40)
    assert first["best"]["test"] == RECORDS[1]["test"]
    assert first["final"]["validation"] == RECORDS[3]["validation"]
    assert first["gaps"] == pytest.approx({"10": 0.7, "20": 0.5, "30": 0.5, "40": 0.6})
    assert second["best"] == second["final"]
    assert second["best"]["density"] == 0.5


def test_clean_accuracy_decides_without_the_attack():
    for attack in ("none", "fgsm"):
        (first, _) = best.of_rounds(RECORDS, attack)
        assert first["best"]["iteration"] == 30
        assert first["gaps"]["30"] == pytest.approx(0.05)


def test_certified_accuracy_decides_after_training_on_bounds():
    records = [record(0, 10, 0.2), record(0, 20, 0.4), record(0, 30, 0.3)]
    for each, certified in zip(records, (0.1, 0.05, 0.2), strict=True):
        each["validation"] = each["validation"] | {"certified_accuracy": certified}
    for attack in ("none", "pgd"):
        assert best.of_rounds(records, attack)[0]["best"]["iteration"] == 30


def test_gap_without_a_robust_accuracy_in_training():
    """As in ordinary training."""
    other = record(0, 10, 0.2)
    del other["train"]["robust_accuracy"]
    assert best.accuracy_gap(other, "pgd") == pytest.approx(0.45)


def test_weights_are_kept_when_they_are_the_best_so_far():
    kept = []
    for place, each in enumerate(RECORDS[:4]):
        if best.is_better(each["validation"], RECORDS[:place], "pgd"):
            kept.append(each["iteration"])
    assert kept == [10, 20]


def test_table():
    header, *rows = best.table(best.of_rounds(RECORDS, "pgd"))
    assert header == ["round", "weights", "iteration", "density", "clean", "pgd", "gap"]
    assert rows[0] == ["0", "best", "20", "100.00", "40.00", "30.00", "50.00"]
    assert rows[1] == ["0", "final", "40", "100.00", "40.00", "20.00", "60.00"]
    assert [row[:2] for row in rows[2:]] == [["1", "best"], ["1", "final"]]


def test_files_have_the_weights_of_the_best_evaluation(base):
    values = json.loads((base.path / "config.json").read_text())["flags"]
    test = data.load_test(values["dataset"])
    assert base.results["weights"] == best.of_rounds(base.records, values["attack"])
    for entry in base.results["weights"]:
        path = base.path / "rounds" / str(entry["round"]) / best.FILE
        network = keras.models.load_model(path, compile=False)
        found = np.mean(np.argmax(network.predict(test.images, verbose=0), axis=1) == test.labels)
        assert found == pytest.approx(entry["best"]["test"]["clean_accuracy"], abs=1e-6)


def options(*argv):
    return attack_options.parse(["evaluate", *argv])


def test_targets(base):
    last = len(base.results["rounds"]) - 1
    folder = base.path / "rounds"
    model = str(base.path)
    found = attack_options.targets(model, options("--weights=best"))
    assert found == [str(folder / str(last) / best.FILE)]
    found = attack_options.targets(model, options("--weights=best", "--at_rounds=0"))
    assert found == [str(folder / "0" / best.FILE)]
    assert attack_options.targets(model, options("--at_rounds=0")) == [str(folder / "0")]


def test_reports_of_best_and_final_weights_lie_apart(base):
    kept = attack_options.targets(str(base.path), options("--weights=best"))[0]
    folder = attack_options.folder(kept, options("--weights=best"))
    assert "/robustness_best/" in folder
    assert "/robustness/" in attack_options.folder(str(base.path), options())


def test_evaluate(base, tmp_path, capfd):
    argv = ["--examples=20", "--epsilons=0.1", "--attacks=fgsm", "--check_masking=false"]
    argv += [f"--model={base.path}", "--weights=best", f"--output={tmp_path}"]
    assert evaluate.main(["evaluate", *argv]) == 0
    assert best.FILE in capfd.readouterr().out


@pytest.mark.parametrize("kind", ["old run", "file", "folder"])
def test_refused(kind, base, tmp_path, capfd):
    place = tmp_path / "model"
    if kind == "old run":
        shutil.copytree(base.path, place)
        for kept in place.glob(f"rounds/*/{best.FILE}"):
            kept.unlink()
    elif kind == "file":
        place.write_bytes(b"")
    else:
        place.mkdir()
    code = evaluate.main(["evaluate", f"--model={place}", "--weights=best"])
    captured = capfd.readouterr()
    assert_one_error((code, captured.out, captured.err), "weights=best", "keeps none")


def test_other_weights_are_refused():
    with pytest.raises(InputError, match="^weights=last: must be one of final, best$"):
        options("--weights=last")
