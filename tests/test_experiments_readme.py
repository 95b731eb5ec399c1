"""Every command of the papers' pages works, and the tables of results are of stored reports."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pages
import pytest
from stopped_sweep import first_report, shortened

from experiments import studies
from experiments.runs import options, unused
from experiments.sweep import Sweep
from experiments.sweeps.sweep import checks
from tools import store_results

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "experiments" / "README.md").read_text()
PAPERS = [text for name, text in pages.PAGES.items() if name.startswith("docs/paper-")]
EVERY = pages.commands("\n".join(PAPERS))
COMMANDS = [command for command in EVERY if "experiments.sweep" in command]
ON_NETWORKS = [command for command in EVERY if command not in COMMANDS]
FLAGFILES = sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "experiments").glob("*/*/*.flags")
)


def test_every_flagfile_of_a_study_is_named():
    assert len(PAPERS) == len(studies.BY_NAME)
    named = {word.removeprefix("--flagfile=") for command in COMMANDS for word in command}
    assert {name for name in FLAGFILES if "/methods/" not in name} <= named


def test_reports_on_the_page_are_the_stored_ones():
    assert store_results.filled(PAGE) == PAGE
    written, stored = PAGE.split("<!-- results/", 1)
    other = stored.replace(" | ", " | 1", 1)
    assert store_results.filled(f"{written}<!-- results/{other}") == PAGE


def test_links_lead_to_what_is_stored():
    links = re.findall(r"\]\((results/[^)]+)\)", PAGE)
    assert links and not [link for link in links if not (ROOT / "experiments" / link).exists()]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_are_sweeps_whose_cells_can_be_run(command, monkeypatch):
    """All flags of all cells, and of what attacks them, are allowed and fit together."""
    monkeypatch.chdir(ROOT)
    assert command[:3] == ["python", "-m", "experiments.sweep"]
    sweep = Sweep(command[2:], studies.BY_NAME, str)
    assert sweep.cells
    for words in checks(sweep.cells):  # of what is checked before the first cell nothing is refused
        unused.check(options.parse(words))


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_command(command, tmp_path):
    """As it stands, except for fewer rounds, steps and images; stopped at its first report."""
    if not os.environ.get("RST_DATA_DIR"):
        pytest.skip("RST_DATA_DIR does not say where MNIST is")
    runs = tmp_path / "runs"
    runs.mkdir()
    text = (first_report(shortened(command, tmp_path), runs) / "report.md").read_text()
    assert re.search(r"^[1-9][0-9]* of [0-9]+ cells. Made by:$", text, re.MULTILINE)


FEW = {"table_2": "--cw_examples=2", "theorem_3_3": "--draws=2"}


@pytest.mark.slow
@pytest.mark.parametrize("command", ON_NETWORKS, ids=" ".join)
def test_command_on_the_studys_networks(command, tmp_path):
    """As it stands, except for where the networks are, and of fewer images."""
    place = os.environ.get("RST_CAFFE_DIR")
    if not place or not os.environ.get("RST_DATA_DIR"):
        pytest.skip("RST_CAFFE_DIR or RST_DATA_DIR does not say where networks and MNIST are")
    (tmp_path / "models").symlink_to(place)
    program, *words = command
    name = words[1].split(".")[-1]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    assert program == "python"
    few = ["--examples=3", FEW[name]]
    subprocess.run([sys.executable, *words, *few], cwd=tmp_path, env=env, check=True)
    assert "the first 3 test images" in (tmp_path / "runs" / name / "report.md").read_text()
