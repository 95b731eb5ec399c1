"""A report that is written again from trials.json; `study_cells.write_report` holds each to it."""

import json
import re
import shutil
from pathlib import Path

import pytest
from bad_input import assert_one_error
from study_cells import cell, sweep, write_tables

from experiments import report, studies
from experiments.evaluations.follow_up import evaluation, measurement
from experiments.evaluations.stored import Measures, write_measures
from experiments.reports import sweep_report
from robust_sparse_tf import files

RESULTS = Path(__file__).resolve().parents[2] / "experiments" / "results"
STORED = sorted(path.parent.relative_to(RESULTS) for path in RESULTS.rglob("trials.json"))
QUICK, R_INF = "--attacks=quick --epsilons=0.1", "--measures=r_inf"


def a_sweep(folder: Path) -> Path:
    """Two seeds, each attacked and measured in its second round, evaluated every 400 steps."""
    folder.mkdir()
    made = []
    for seed in (0, 1):
        found = [[{"none": 0.9 - 0.1 * n, "pgd": 0.5 - 0.1 * n}] * 6 for n in (0, 1)]
        own = cell(folder, found, [1.0, 0.5], every=400, seed=seed, evaluate_at=["800"])
        run = str(folder / own["name"])
        attacked = evaluation(f"{QUICK} --at_rounds=1")
        row = dict(attack="fgsm", norm="linf", epsilon=0.1, distance=None, seconds=2.0)
        rows = [row | {"accuracy": 0.25 * (1 + seed)}]
        (path,) = attacked.files(run)
        Path(path).parent.mkdir(parents=True)
        Path(path).write_text(json.dumps({"rows": rows, "warnings": ["masked"], "images": [1]}))
        (path,) = measurement(f"{R_INF} --at_rounds=1").files(run)
        write_measures(
            path,
            Measures(
                options={},
                images=1,
                numbers={"r_inf_fgsm": 0.3},
                usefulness=None,
                missing={},
                warnings=[],
                seconds=1.0,
            ),
        )
        made.append(own)
    texts = {"evaluations": [f"{QUICK} --at_rounds=1"], "measurements": [f"{R_INF} --at_rounds=1"]}
    write_tables(str(sweep(folder, "", made, **texts)))
    return folder


def test_what_is_kept(tmp_path):
    """Of evaluations every 400 steps those of 800, which was asked for, 2,000 and the last."""
    content = json.loads((a_sweep(tmp_path / "sweep") / "trials.json").read_text())
    first, second = content["cells"]
    assert [record["iteration"] for record in first["records"]] == [800, 2000, 2400] * 2
    assert first["results"]["rounds"][1]["test"]["robust_accuracy"] == {"pgd": 0.4}
    (attacked,), (measured,) = second["evaluations"], second["measurements"]
    assert attacked["rounds/1"]["rows"][0]["accuracy"] == 0.5
    assert list(attacked["rounds/1"]) == ["rows", "warnings"]
    assert measured["rounds/1"]["measures"] == {"r_inf_fgsm": 0.3}


def test_command_writes_the_report_of_stored_trials_anew(tmp_path, capfd):
    original = a_sweep(tmp_path / "sweep")
    other = tmp_path / "stored"
    other.mkdir()
    shutil.copy(original / "trials.json", other)
    assert report.main(["report", str(other)]) == 0
    assert "## Under attack" in capfd.readouterr().out and (other / "report.png").exists()
    for name in ("report.json", "report.md"):
        assert (other / name).read_bytes() == (original / name).read_bytes()


def test_damage_of_what_a_report_has_written_is_mended(tmp_path):
    folder = a_sweep(tmp_path / "sweep")
    before = (folder / "trials.json").read_bytes()
    for name in ("report.json", "tickets.json"):
        (folder / name).write_text("{")
    write_tables(str(folder))
    assert (folder / "trials.json").read_bytes() == before
    (folder / "report.json").write_text("{")
    (folder / "sweep.json").unlink()
    write_tables(str(folder))
    assert json.loads((folder / "report.json").read_text())["cells"]


def _changed(name):
    def change(content):
        content["cells"][0]["results"]["name"] = name

    return change


def _network(name):
    def change(content):
        content["cells"][0]["evaluations"][0] = {name: {"rows": [], "warnings": []}}

    return change


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda content: content["sweep"].update(command="another"), "is of another sweep"),
        (_changed("other"), "holds a cell 'other', which its sweep does not name"),
        (_changed("../other"), "holds a cell '../other', which its sweep does not name"),
        (_network("../../other"), "'../../other' is not a network of a run"),
        (_network("rounds/0"), "rounds/0 was not asked for"),
        (lambda content: content["cells"][0]["evaluations"].clear(), "is damaged"),
        (lambda content: content.pop("cells"), "holds no trials of a sweep (cells of it missing)"),
        (lambda content: content["cells"].clear(), "has no finished cell"),
    ],
)
def test_trials_that_are_damaged_or_of_another_sweep(tmp_path, capfd, change, told):
    stored = tmp_path / "stored"
    stored.mkdir()
    for name in ("trials.json", "report.json"):
        shutil.copy(a_sweep(tmp_path / name) / name, stored)
    content = json.loads((stored / "trials.json").read_text())
    change(content)
    (stored / "trials.json").write_text(json.dumps(content))
    capfd.readouterr()
    code = report.main(["report", str(stored)])
    assert_one_error((code, *capfd.readouterr()), told)
    assert sorted(path.name for path in stored.iterdir()) == ["report.json", "trials.json"]


@pytest.mark.parametrize("name", STORED, ids=str)
def test_stored_reports_are_what_the_code_writes(name, tmp_path, monkeypatch):
    """But for the figures, which are looked at, and of which the names are compared."""
    monkeypatch.setattr(files, "write_figure", lambda _, path, **__: Path(path).touch())
    shutil.copy(RESULTS / name / "trials.json", tmp_path)
    sweep_report.write(str(tmp_path), studies.BY_NAME)
    for file in ("report.md", "report.json"):
        assert (tmp_path / file).read_text() == (RESULTS / name / file).read_text()
    shown = set(re.findall(r"\]\((figures/[^)]+)\)", (RESULTS / name / "report.md").read_text()))
    assert all((RESULTS / name / path).exists() for path in shown)
