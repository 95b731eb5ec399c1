"""Requests for what there is not, or that are none: 404 or 400, and why."""

import pytest

RUN = {"run": "rigl/seed_0"}
MASK = {**RUN, "layer": "conv", "step": 10}
EXAMPLE = {**RUN, "tag": "examples/pgd/0.3", "step": 20, "image": 0, "part": "clean"}
UNKNOWN = [
    ("topology", {"run": "no"}, "no run 'no'"),
    ("masks", {"run": "no"}, "no run 'no'"),
    ("reports", {"run": "no"}, "no run 'no'"),
    ("examples", {"run": ""}, "no run ''"),
    ("accuracy", {"run": ["rigl/seed_0", "no"]}, "no run 'no'"),
    ("mask", MASK | {"layer": "no"}, "no tag 'masks/no'"),
    ("mask", MASK | {"step": 11}, "step 11"),
    ("inputs", MASK, "step 10"),
    ("example", EXAMPLE | {"tag": "examples/no/0.3"}, "no tag 'examples/no/0.3'"),
    ("example", EXAMPLE | {"tag": "accuracy"}, "'accuracy' has no examples"),
    ("example", EXAMPLE | {"part": "no"}, "there are: 'clean', 'adversarial', 'difference'"),
    ("example", EXAMPLE | {"image": 1}, "no image 1"),
    ("csv", {"kind": "no"}, "there are: 'runs', 'accuracy', 'topology'"),
    ("csv", {"kind": "topology", "measure": "no"}, "no measure 'no'"),
]
WRONG = [
    ("topology", {}, "parameter run is given 0 times"),
    ("topology", {"run": ["a", "b"]}, "parameter run is given 2 times"),
    ("topology", RUN | {"points": "many"}, "parameter points is 'many'"),
    ("topology", RUN | {"points": 2001}, "from 2 to 2000"),
    ("topology", RUN | {"points": 1}, "from 2 to 2000"),
    ("topology", RUN | {"points": [5, 5]}, "parameter points is given 2 times"),
    ("topology", RUN | {"pints": 5}, "parameter 'pints' is not known, allowed: run, points"),
    ("runs", {"limit": 501}, "from 1 to 500"),
    ("runs", {"offset": -1}, "from 0 to"),
    ("runs", {"offset": "9" * 400}, "has to be a whole number"),
    ("runs", {"offset": "٣"}, "has to be a whole number"),
    ("runs", {"offset": "1.5"}, "has to be a whole number"),
    ("mask", MASK | {"step": 2**63}, "parameter step is"),
    ("mask", {**RUN, "layer": "conv"}, "parameter step is given 0 times"),
    ("accuracy", {}, "0 values, allowed are from 1 to 200"),
    ("accuracy", {"run": [f"r{number}" for number in range(201)]}, "201 values"),
    ("csv", {}, "parameter kind is given 0 times"),
    ("csv", {"kind": "topology"}, "parameter measure is given 0 times"),
]


@pytest.mark.parametrize(("path", "asked", "reason"), UNKNOWN)
def test_unknown_names(board, path, asked, reason):
    assert reason in board.refused(404, path, **asked)


@pytest.mark.parametrize(("path", "asked", "reason"), WRONG)
def test_wrong_parameters(board, path, asked, reason):
    assert reason in board.refused(400, path, **asked)


def test_reasons_are_short_and_on_one_line(board):
    reason = board.refused(404, "topology", run="long\nname" * 1000)
    assert len(reason.splitlines()) == 1
    assert len(reason) < 400


def test_the_log_is_only_read(board):
    answer = board.send("POST", "runs")
    assert (answer.status_code, answer.json["error"]) == (
        405,
        "the method is POST, allowed: GET, HEAD",
    )


@pytest.mark.parametrize("path", ["static/../plugin.py", "static/%2e%2e/plugin.py", "static/no.js"])
def test_no_other_files_are_served(board, path):
    assert board.get(path).status_code == 404
