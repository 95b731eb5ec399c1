"""Names that are written to do harm are data in JSON, cells in a table, and nothing else."""

import csv
import io
import json

import numpy as np
from boards import serving
from handmade_logs import EXAMPLES, MEASURES, REPORT, RUN, HandmadeLog, accuracy, png

SCRIPT = "<script>alert(1)</script>"
FORMULA = "=HYPERLINK(1)"


def hostile(folder):
    """A run whose every name is hostile."""
    log = HandmadeLog(folder)
    known = {"name": SCRIPT, "method": FORMULA, "classes": [SCRIPT], "hparams": {FORMULA: SCRIPT}}
    log.json("run", RUN | known)
    log.topology(0, np.ones((2, len(MEASURES))), layers=[SCRIPT])
    log.mask(SCRIPT, 0)
    record = accuracy(0) | {"phase": SCRIPT, "attacks": {FORMULA: {"norm": SCRIPT}}}
    record["splits"]["validation"]["robust_accuracy"] = {FORMULA: 0.5}
    log.json("accuracy", record)
    log.json(f"report/{SCRIPT}", REPORT | {"name": FORMULA, "warnings": [SCRIPT]})
    about = json.dumps(EXAMPLES | {"attack": SCRIPT}).encode()
    log.tensor(f"examples/{SCRIPT}/any", [about, *[png(2, 2)] * 3], 0)
    log.close()


def test_hostile_names(mode, tmp_path):
    run = "<script>alert(1)<"  # a folder's name has no slash
    hostile(tmp_path / run)
    with serving(tmp_path, mode) as board:
        [told] = board.json("runs")["runs"]
        assert (told["run"], told["label"], told["name"], told["classes"]) == (
            *(run, run, SCRIPT),
            [SCRIPT],
        )
        assert board.json("topology", run=run)["layers"] == [SCRIPT]
        assert board.json("masks", run=run)["layers"][0]["layer"] == SCRIPT
        assert board.get("mask", run=run, layer=SCRIPT, step=0).mimetype == "image/png"
        [report] = board.json("reports", run=run)["runs"][run]["reports"]
        assert report["warnings"] == [SCRIPT]
        [found] = board.json("examples", run=run)["sets"]
        assert found["tag"] == f"examples/{SCRIPT}/any"
        image = board.get("example", run=run, tag=found["tag"], step=0, image=0, part="clean")
        assert image.data == png(2, 2)


def test_answers_are_of_the_type_that_they_say(mode_fast, tmp_path):
    hostile(tmp_path / "one")
    with serving(tmp_path, mode_fast) as board:
        answer = board.get("topology", run=SCRIPT)
        assert (answer.status_code, answer.mimetype) == (404, "application/json")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        answer = board.get("csv", kind="topology", measure=SCRIPT)
        assert answer.mimetype == "application/json"


def test_a_spreadsheet_takes_no_name_for_a_formula(mode_fast, tmp_path):
    hostile(tmp_path / "=1+1")
    with serving(tmp_path, mode_fast) as board:
        for asked in ({"kind": "runs"}, {"kind": "accuracy"}):
            answer = board.get("csv", **asked)
            assert answer.headers["Content-Disposition"].startswith("attachment; ")
            header, *lines = csv.reader(io.StringIO(answer.text))
            assert lines
            assert not [
                cell for line in (header, *lines) for cell in line if cell[:1] in set("=+@")
            ]
            assert lines[0][0] == "'=1+1"


def test_half_a_surrogate_pair(mode_fast, tmp_path):
    log = HandmadeLog(tmp_path / "one")
    log.json("run", RUN | {"name": "\ud800"})
    log.close()
    with serving(tmp_path, mode_fast) as board:
        assert board.json("runs")["runs"][0]["name"] == "\ud800"
        assert board.get("csv", kind="runs").status_code == 200


def test_two_runs_of_one_name(mode_fast, tmp_path):
    for folder in ("a/logs", "b/logs"):
        log = HandmadeLog(tmp_path / folder)
        log.run(name="the same")
        log.close()
    with serving(tmp_path, mode_fast, runs=2) as board:
        told = board.json("runs")["runs"]
        assert [run["label"] for run in told] == ["a/logs", "b/logs"]
        assert {run["name"] for run in told} == {"the same"}
