"""The plugin's list of runs."""

import pytest
from boards import serving
from handmade_logs import HandmadeLog, accuracy

from robust_sparse_tf.tensorboard.naming import group_of, labels


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


def test_without_runs_the_answer_says_how_to_write_some(mode, tmp_path):
    with serving(tmp_path, mode, runs=0) as board:
        answer = board.json("runs")
        assert (answer["total"], answer["runs"]) == (0, [])
        assert "rst.callbacks.SparsityLog" in answer["message"]
        assert not board.listing()["sparsity_robustness"]["enabled"]


def test_the_tab_is_there_with_data(board):
    known = board.listing()["sparsity_robustness"]
    assert (known["enabled"], known["tab_name"]) == (True, "Sparsity & Robustness")
    assert known["loading_mechanism"]["module_path"].endswith("/sparsity_robustness/index.js")


def test_test_images_count_before_validation(mode, tmp_path):
    log = HandmadeLog(tmp_path / "one")
    record = accuracy(1)
    test = {**record["splits"]["validation"], "clean_accuracy": 0.7}
    log.json("accuracy", record | {"splits": {**record["splits"], "test": test}}, 1)
    log.close()
    with serving(tmp_path, mode) as board:
        run = board.json("runs")["runs"][0]
        assert (run["split"], run["clean"], run["density"], run["name"]) == (
            "test",
            0.7,
            None,
            None,
        )


@pytest.mark.parametrize(
    ("run", "group"),
    [("a/round_03", "a"), ("round_00", "."), ("a/round_0b", "a/round_0b"), (".", ".")],
)
def test_rounds_of_a_run_are_one_group(run, group):
    assert group_of(run) == group


def test_labels_of_runs_whose_folders_are_alike():
    runs = ["a/x/logs", "b/x/logs", "b/y", ".", "c/round_00", "d/round_00"]
    assert list(labels(runs).values()) == ["a/x/logs", "b/x/logs", "y", ".", *runs[-2:]]
    assert labels(["x", "a/x"]) == {"x": "x", "a/x": "a/x"}


def test_labels_leave_out_the_folder_of_events():
    runs = ["a/tensorboard", "b/tensorboard/round_00", "c", "c/tensorboard", "tensorboard"]
    short = ["a", "b/round_00", "c", "c/tensorboard", "tensorboard"]
    assert list(labels(runs).values()) == short
