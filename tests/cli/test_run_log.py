"""TensorBoard's log of a run that is interrupted, attacked and measured."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from experiments import evaluate, measure
from experiments.evaluations import run_log
from experiments.runs.log import RunLog
from robust_sparse_tf.procedures import Rounds
from robust_sparse_tf.summaries import event_files, log_format

ROUNDS = Rounds(rounds=3, iterations=40)
# The others may be written at other steps.
OF_RECORDS = ("run", "topology", "accuracy", "network/", "train/", "validation/", "test/")
EXAMPLES = {"validation": 10, "test": 20}


def place(folder) -> SimpleNamespace:
    return SimpleNamespace(path=str(folder), file=lambda name: str(folder / name))


def log_of(folder, network) -> RunLog:
    model = SimpleNamespace(network=network)
    return RunLog(place(folder), ROUNDS, model, {}, EXAMPLES, {"method": "lottery"})


def events_of(folder) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def logged(folder) -> dict[str, dict[str, list[int]]]:
    """The steps of each tag, by the round's folder."""
    found = {}
    for path in sorted((folder / "tensorboard").iterdir()):
        events = events_of(path)
        tags = events.Tags()["tensors"]
        found[path.name] = {tag: [e.step for e in events.Tensors(tag)] for tag in tags}
    return found


def write(folder, network, records, start=()) -> None:
    folder.mkdir(exist_ok=True)
    log = log_of(folder, network)
    log.start(list(start))
    for record in records:
        log.add(record)


@pytest.mark.parametrize("done", [1, 4, 6, 12])
def test_a_run_that_was_resumed_logs_what_an_undisturbed_one_does(done, base, make_lenet, tmp_path):
    """It knows of `done` records, and may have logged one more, or not even the last."""
    network, records = make_lenet(0.3), base.records
    write(tmp_path / "whole", network, records)
    expected = logged(tmp_path / "whole")
    for before in (done - 1, done, done + 1):
        folder = tmp_path / str(before)
        write(folder, network, records[:before])
        write(folder, network, records[done:], start=records[:done])
        found = logged(folder)
        for name, tags in expected.items():
            steps = {tag: own for tag, own in tags.items() if tag.startswith(OF_RECORDS)}
            assert "accuracy" in steps and "network/density" in steps
            assert {tag: found[name].get(tag) for tag in steps} == steps
        assert found.keys() == expected.keys()


def test_masks_outlive_a_restart(base, make_lenet, tmp_path):
    """They are in no record, and so are kept as they were logged."""
    network, records = make_lenet(0.3), base.records
    write(tmp_path, network, records[:3])
    write(tmp_path, network, [], start=records[:2])
    found = logged(tmp_path)["round_00"]
    assert found["masks/hidden_1"] == [10] and found["accuracy"] == [10, 20]
    assert found["weights/hidden_1"] == [10, 20]


def test_rounds_after_the_checkpoint_go(base, make_lenet, tmp_path):
    network, records = make_lenet(0.3), base.records
    write(tmp_path, network, records)
    write(tmp_path, network, [], start=records[:5])
    assert list(logged(tmp_path)) == ["round_00", "round_01"]
    write(tmp_path, network, [], start=[])
    assert not (tmp_path / "tensorboard").exists()


def test_a_damaged_log_is_written_again(base, make_lenet, tmp_path):
    """From the records, as far as they go."""
    network, records = make_lenet(0.3), base.records
    write(tmp_path, network, records[:3])
    (path,) = (tmp_path / "tensorboard" / "round_00").iterdir()
    path.write_bytes(b"no events")
    write(tmp_path, network, [], start=records[:3])
    assert logged(tmp_path)["round_00"]["accuracy"] == [10, 20, 30]


@pytest.fixture
def run(base, tmp_path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(base.path, tmp_path / "run"))


def texts(events, tag: str) -> list:
    return [json.loads(tf.make_ndarray(e.tensor_proto).item()) for e in events.Tensors(tag)]


def test_evaluations_are_added(run, capfd):
    """To the round of their network, at its last step."""
    words = ["--attacks=fgsm", "--epsilons=0.1", "--examples=20", "--check_masking=false"]
    for words_of_rounds, name in (([], "round_02"), (["--at_rounds=1"], "round_01")):
        assert evaluate.main(["evaluate", f"--model={run}", *words, *words_of_rounds]) == 0
        events = events_of(run / "tensorboard" / name)
        tag = f"report/{Path(capfd.readouterr().out.splitlines()[-1]).name}"
        report = texts(events, tag)[-1]  # another test may have attacked the run before
        assert [row["attack"] for row in report["rows"]] == ["clean", "fgsm", "worst"]
        assert events.Tensors(tag)[0].step == 40
        assert "examples/fgsm/0.1" in events.Tags()["tensors"]


def test_measures_are_added(run, capfd):
    words = [f"--model={run}", "--measures=r_inf", "--at_rounds=0", "--examples=20"]
    assert measure.main(["measure", *words, "--r_inf_epsilon=0.1"]) == 0
    (found,) = texts(events_of(run / "tensorboard" / "round_00"), "measures/measures")
    assert found["images"] == 20 and found["numbers"]["r_inf_fgsm"] >= 0


def test_what_is_no_run_has_no_log(base, tmp_path):
    for path in (tmp_path, tmp_path / "none", base.path / "model.tflite"):
        run_log.add_report(str(path), "any", None)
    assert not list(tmp_path.iterdir())


def test_what_a_finished_run_logs(base):
    """Each round what it is and a check; the last the exported file."""
    for number in range(3):
        events = events_of(base.path / "tensorboard" / f"round_{number:02}")
        ((check,),) = [found["checks"] for found in texts(events, "report/training")[-1:]]
        assert check["name"] == "catastrophic overfitting"
        assert check["status"] in ("passed", "not run")
        assert bool(events.Tensors("masks/logits")) and bool(events.Tensors("weights/logits"))
    (file,) = texts(events, "export")
    assert file["tflite_bytes"] == base.results["export"]["tflite_bytes"]
    assert file["latency_ms"] > 0
    logged_events = event_files.read(str(base.path / "tensorboard" / "round_02"))
    assert event_files.steps_of(logged_events, log_format.RUN) == {0}
