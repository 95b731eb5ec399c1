"""The notebook runs from top to bottom, and its outputs are stored."""

import json

from pages import ROOT

from robust_sparse_tf.evaluation.report import Report

CELLS = json.loads((ROOT / "examples" / "quickstart.ipynb").read_text())["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


def test_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for cell in CODE:
        exec(compile("".join(cell["source"]), "quickstart.ipynb", "exec"), names)
    report = names["report"]
    assert isinstance(report, Report)
    assert 0.2 < report.accuracy("worst") < report.accuracy("clean")
    assert (tmp_path / "digits.tflite").exists()


def test_outputs_are_stored():
    shown = [kind for cell in CODE for output in cell["outputs"] for kind in output["data"]]
    assert {"image/png", "text/markdown"} <= {*shown}
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
