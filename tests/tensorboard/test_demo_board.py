"""The demo of the plugin: what `make demo-board` trains is what the page shows."""

import pytest
from boards import MODES, serving

from tools import demo_board


@pytest.mark.slow
def test_the_demo_trains_three_runs_and_attacks_them(tmp_path):
    demo_board.train(str(tmp_path), iterations=20)
    with serving(tmp_path, MODES["fast"], runs=2 + demo_board.ROUNDS) as board:
        runs = board.json("runs")["runs"]
    assert {run["method"] for run in runs} == {"dense", "rigl", "lottery"}
    assert [run["round"] for run in runs if run["round"] is not None] == [0, 1, 2, 3]
    for run in runs:
        assert {"topology", "accuracy", "report", "examples"} <= set(run["has"])
        assert run["notes"] == []
        radii = {row["epsilon"] for row in run["reports"][0]["worst"]}
        assert radii == set(demo_board.EPSILONS)
