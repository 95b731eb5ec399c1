"""The recipes of the documentation, followed to the letter in a copy of both packages."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extend.md").read_text()
RUN = ["--dataset=digits", "--method=smallest", "--density=0.4", "--attack=short_step"]
RUN += ["--attack.part=0.3", "--eval_attacks=short_step", "--iterations=4", "--evaluate_every=2"]
RUN += ["--branches=1", "--steps_per_execution=1", "--output_dir=runs"]
EVALUATE = ["--attacks=short_step", "--epsilons=0.1", "--examples=40"]
EVALUATE += ["--check_masking=false"]
# In one process, as importing TensorFlow takes longer than all of them.
COMMANDS = f"""
import glob
from experiments import evaluate, run
assert run.main(["run", *{RUN}]) == 0
(path,) = glob.glob("runs/*")
assert evaluate.main(["evaluate", "--model=" + path, *{EVALUATE}]) == 0
"""


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n##")[0]


def write_files(title: str, folder: Path) -> None:
    """Each block that begins with a comment that names its file."""
    blocks = re.findall(r"```(?:python|json)\n(?:#|//) (\S+)\n(.*?)```", section(title), re.DOTALL)
    assert blocks
    for name, text in blocks:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        assert not path.exists()
        path.write_text(text)


def insert_lines(title: str, folder: Path) -> None:
    """Those that a block adds, each below the one that stands above it in the block."""
    ((name, change),) = re.findall(r"```diff\n--- (\S+)\n(.*?)```", section(title), re.DOTALL)
    text, above = (folder / name).read_text(), ""
    for line in change.splitlines():
        if line.startswith("+"):
            assert text.count(f"{above}\n") == 1
            text = text.replace(f"{above}\n", f"{above}\n{line[1:]}\n")
        above = line[1:]
    (folder / name).write_text(text)


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> Path:
    """A folder with both packages, to which all recipes have added, and a run of them."""
    folder = tmp_path_factory.mktemp("recipes")
    for name in ("robust_sparse_tf", "experiments"):
        ignored = shutil.ignore_patterns("__pycache__", "results")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for title in ("Add a sparse method", "Add an attack", "Add a study"):
        write_files(title, folder)
        insert_lines(title, folder)
    done = call(folder, "-c", COMMANDS)
    assert done.returncode == 0, done.stderr
    return folder


def call(folder: Path, *argv: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *argv], cwd=folder, capture_output=True, text=True)


def results(folder: Path) -> dict:
    (path,) = folder.glob("runs/*/results.json")
    return json.loads(path.read_text())


def test_method_trains(followed):
    """To its density, and under the new attack, whose own option is a flag."""
    found = results(followed)
    assert found["flags"]["method"] == "smallest" and found["flags"]["attack.part"] == 0.3
    (entry,) = found["rounds"]
    assert entry["density"] == pytest.approx(0.4, abs=1e-3)
    assert set(entry["test"]["robust_accuracy"]) == {"short_step"}


def test_attack_is_offered_by_evaluate(followed):
    (path,) = followed.glob("runs/*/robustness/*/report.json")
    rows = {row["attack"]: row["accuracy"] for row in json.loads(path.read_text())["rows"]}
    assert rows["clean"] >= rows["short_step"] == rows["worst"]


def test_study_is_reported(followed):
    name = results(followed)["name"]
    sweep = {"cells": [name], "command": "a sweep with --study=my_study", "study": "my_study"}
    (followed / "runs" / "sweep.json").write_text(json.dumps(sweep))
    done = call(followed, "-m", "experiments.report", "runs")
    assert done.returncode == 0, done.stderr
    accuracy = 100 * results(followed)["rounds"][-1]["test"]["clean_accuracy"]
    assert f"| smallest | {accuracy:.1f} | 98.2 |" in done.stdout
    stored = json.loads((followed / "runs" / "report.json").read_text())
    assert stored["study"] == {"rows": [["smallest", f"{accuracy:.1f}", "98.2"]]}


def test_sweeps_offer_the_study(followed):
    done = call(followed, "-m", "experiments.sweep", "--grid=seed=0", "--study=no_study")
    assert done.returncode == 2 and "my_study" in done.stderr
