"""The plugin's list of runs."""

import pytest
from boards import serving
from handmade_logs import write_run


@pytest.fixture(scope="module")
def board(mode, tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    write_run(folder / "lottery" / "round_00")
    write_run(folder / "rigl" / "seed_0")
    write_run(folder / "set" / "seed_0")
    with serving(folder, mode, runs=3) as board:
        yield board


def test_what_is_told_of_a_run(board):
    run = board.json("runs")["runs"][0]
    assert (run["run"], run["group"], run["label"]) == (
        "lottery/round_00",
        "lottery",
        "lottery/round_00",
    )
    assert (run["method"], run["asked_density"], run["density"]) == ("rigl", 0.1, 0.5)
    assert (run["clean"], run["robust"], run["split"]) == (0.9, {"pgd": 0.4}, "validation")
    assert run["checks"] == {"failed": ["transfer"], "passed": 1, "not_run": 1}
    assert run["reports"][0]["worst"][0]["accuracy"] == 0.45
    assert (run["numbers"], run["tflite_bytes"], run["step"]) == ({"r_2": 1.5}, 1000, 20)
    assert run["has"] == ["topology", "masks", "inputs", "accuracy", "report", "examples"]
    assert not run["notes"]


def test_labels_are_short_and_unique(board):
    labels = [run["label"] for run in board.json("runs")["runs"]]
    assert labels == ["lottery/round_00", "rigl/seed_0", "set/seed_0"]


def test_pages(board):
    page = board.json("runs", offset=1, limit=1)
    assert (page["total"], [run["run"] for run in page["runs"]]) == (3, ["rigl/seed_0"])
