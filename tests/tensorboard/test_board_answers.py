"""What the plugin answers of a run."""

import csv
import io
import json

import numpy as np
import pytest
from boards import serving
from handmade_logs import MEASURES, HandmadeLog, accuracy, png

from robust_sparse_tf.tensorboard import tables
from robust_sparse_tf.tensorboard.answers import finite

RUN = "rigl/seed_0"


def table(board, **asked):
    """The lines of a table."""
    answer = board.get("csv", **asked)
    assert (answer.status_code, answer.mimetype) == (200, "text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_topology(board):
    answer = board.json("topology", run=RUN)
    assert (answer["steps"], answer["layers"]) == ([0, 10, 20], ["conv", "dense"])
    assert answer["sizes"] == [100, 100]
    assert answer["measures"]["density"] == [[0.5, 0.5]] * 3
    assert answer["network"]["churn"] == [0.5] * 3


def test_fewer_points_keep_the_first_and_the_last(board):
    assert board.json("topology", run=RUN, points=2)["steps"] == [0, 20]


def test_the_last_of_several_values_at_a_step_counts(mode, tmp_path):
    log = HandmadeLog(tmp_path / "one")
    for value in (1.0, 2.0):
        log.topology(5, np.full((3, len(MEASURES)), value))
    log.close()
    with serving(tmp_path, mode) as board:
        answer = board.json("topology", run="one")
        assert (answer["steps"], answer["network"]["active"]) == ([5], [2])


def steps_of_a_run(folder, count: int) -> None:
    """Logs a run "one" whose measures are all the step."""
    log = HandmadeLog(folder / "one")
    for step in range(count):
        log.topology(step, np.full((3, len(MEASURES)), step))
    log.close()


def test_a_long_run_is_read_whole(mode, tmp_path):
    steps_of_a_run(tmp_path, 1500)
    with serving(tmp_path, mode) as board:
        assert board.json("topology", run="one", points=2000)["steps"] == [*range(1500)]
        assert len(board.json("topology", run="one")["steps"]) == 500


def test_numbers_that_are_not_finite(mode, tmp_path):
    log = HandmadeLog(tmp_path / "one")
    values = np.ones((3, len(MEASURES)))
    values[0, 0], values[1, 0], values[2, 0], values[2, 1] = np.nan, np.inf, -np.inf, np.nan
    log.topology(0, values)
    log.json(
        "accuracy", accuracy(0) | {"splits": {"train": {"loss": float("nan"), "x": "Infinity"}}}
    )
    log.close()
    with serving(tmp_path, mode) as board:
        answer = board.json("topology", run="one")
        assert answer["measures"]["density"] == [["NaN", "Infinity"]]
        assert answer["network"]["density"] == ["-Infinity"]
        [run] = board.json("runs")["runs"]
        assert (run["density"], run["active"]) == ("-Infinity", None)
        record = board.json("accuracy", run="one")["runs"]["one"]["records"][0]
        assert record["splits"]["train"] == {"loss": "NaN", "x": "Infinity"}
        lines = table(board, kind="topology", measure="density")
        assert [line["value"] for line in lines] == ["NaN", "Infinity", "-Infinity"]


def test_masks(board):
    [layer] = board.json("masks", run=RUN)["layers"]
    assert layer == {
        "layer": "conv",
        "shape": [4, 6],
        "kernel": [2, 2, 6],
        "block": [1, 1],
        "steps": [0, 10, 20],
        "has_inputs": True,
    }
    image = board.get("mask", run=RUN, layer="conv", step=10)
    assert (image.mimetype, image.data) == ("image/png", png(4, 6))
    inputs = board.json("inputs", run=RUN, layer="conv", step=0)
    assert inputs == {"shape": [2, 2, 1], "values": [1, 1, 1, 1]}


def test_accuracy(board):
    answer = board.json("accuracy", run=[RUN, "set/seed_0", RUN])
    assert list(answer["runs"]) == [RUN, "set/seed_0"]
    assert not answer["missing"]
    records = answer["runs"][RUN]["records"]
    assert [record["tb_step"] for record in records] == [0, 10, 20]
    assert records[0]["splits"]["validation"]["robust_accuracy"] == {"pgd": 0.4}


def test_a_run_without_accuracy_is_named(mode, tmp_path):
    log = HandmadeLog(tmp_path / "one")
    log.run()
    log.close()
    with serving(tmp_path, mode) as board:
        assert board.json("accuracy", run="one") == {"runs": {}, "missing": ["one"]}
        assert board.json("masks", run="one")["layers"] == []
        assert board.json("reports", run="one")["runs"]["one"]["reports"] == []
        assert board.json("examples", run="one")["sets"] == []
        assert "no tag 'topology'" in board.refused(404, "topology", run="one")


def test_reports(board):
    answer = board.json("reports", run=RUN)["runs"][RUN]
    [report], [measures] = answer["reports"], answer["measures"]
    assert (report["step"], report["name"], len(report["rows"])) == (20, "standard", 3)
    assert report["checks"][0]["evidence"] == "0.5 against 0.4"
    assert measures["numbers"] == {"r_2": 1.5}


@pytest.mark.parametrize("part", ["clean", "adversarial", "difference"])
def test_examples(board, part):
    [found] = board.json("examples", run=RUN)["sets"]
    assert (found["tag"], found["step"], found["items"][0]["after"]) == ("examples/pgd/0.3", 20, 7)
    where = {"run": RUN, "tag": found["tag"], "step": 20, "image": 0, "part": part}
    image = board.get("example", **where)
    assert (image.mimetype, image.data) == ("image/png", png(3, 3))


def test_table_of_runs(board):
    lines = table(board, kind="runs")
    assert [line["run"] for line in lines] == ["lottery/round_00", RUN, "set/seed_0"]
    assert (lines[0]["standard worst linf 0.3"], lines[0]["robust pgd"]) == ("0.45", "0.4")
    assert (lines[0]["hparam optimizer"], lines[0]["measured r_2"]) == ("adam", "1.5")


def test_table_of_accuracies(board):
    lines = [line for line in table(board, kind="accuracy") if line["run"] == RUN]
    robust = [line for line in lines if (line["attack"], line["metric"]) == ("pgd", "accuracy")]
    assert [line["tb_step"] for line in robust] == ["0", "10", "20"]
    assert (robust[0]["norm"], robust[0]["epsilon"], robust[0]["value"]) == ("linf", "0.3", "0.4")


def test_table_of_layers(board):
    lines = table(board, kind="topology", measure="density")
    assert len(lines) == 3 * 3 * 3
    assert [line["layer"] for line in lines[:3]] == ["conv", "dense", "(network)"]


def test_whole_networks_of_several_runs(board):
    answer = board.json("network", run=[RUN, "set/seed_0"])
    assert (list(answer["runs"]), answer["missing"]) == ([RUN, "set/seed_0"], [])
    assert answer["runs"][RUN]["steps"] == [0, 10, 20]
    assert answer["runs"][RUN]["network"]["density"] == [0.5] * 3


def test_fewer_points_of_whole_networks_have_the_last(mode, tmp_path):
    steps_of_a_run(tmp_path, 100)
    with serving(tmp_path, mode) as board:
        found = board.json("network", run="one", points=10)["runs"]["one"]
        assert (len(found["steps"]), found["steps"][-1]) == (10, 99)
        assert found["network"]["active"] == found["steps"]


def test_numbers_too_large_for_exact_whole_ones():
    values = np.array([1e20, 2.0, -3.0])
    assert finite(values) == [1e20, 2.0, -3.0]
    assert json.dumps(finite(values[1:])) == "[2, -3]"


def test_a_table_of_layers_is_not_too_long(board, monkeypatch):
    monkeypatch.setattr(tables, "MOST_ROWS", 18)
    lines = table(board, kind="topology", measure="density")
    assert [line["step"] for line in lines[::3]] == ["0", "20"] * 3
