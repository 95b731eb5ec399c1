"""Every command and every example of the README and of the documentation works."""

import configparser
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable

import pages
import pytest
import test_experiments_readme
from pages import PAGES, ROOT, TEXT
from stopped_sweep import first_report, shortened
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import robust_sparse_tf as rst
from robust_sparse_tf.summaries import log_format

# The commands are run as they stand, except for less of the same work.
SHORT = ["--rounds=2", "--iterations=20", "--evaluate_every=10"]
COMMANDS = pages.commands()
RUNS = [command for command in COMMANDS if "experiments.run" in command]
MAKES = [command for command in COMMANDS if command[0] == "make"]
INSTALLS = [command for command in COMMANDS if command[0] == "pip"]
ALL_SWEEPS = [command for command in COMMANDS if "experiments.sweep" in command]
STUDIES = test_experiments_readme.EVERY
SWEEPS = [command for command in ALL_SWEEPS if command not in STUDIES]
(REPORT,) = [command for command in COMMANDS if "experiments.report" in command]
(EVALUATE,) = [command for command in COMMANDS if "experiments.evaluate" in command]
(MEASURE,) = [command for command in COMMANDS if "experiments.measure" in command]
EXPORTS = [command for command in COMMANDS if "experiments.export" in command]
(PARETO,) = [command for command in COMMANDS if "experiments.pareto" in command]
OF_RUNS = [REPORT, EVALUATE, MEASURE, *EXPORTS, PARETO]
KNOWN = [*RUNS, *MAKES, *INSTALLS, *STUDIES, *ALL_SWEEPS, *OF_RUNS]
OTHERS = [command for command in COMMANDS if command not in KNOWN]
EXAMPLES = {name: code for name, text in PAGES.items() if (code := pages.examples(text))}
# The README's example and a page's stand for the others.
FAST_EXAMPLES = ("README.md", "docs/methods.md", "docs/sparse-compute.md")
SLOW_EXAMPLES = tuple(
    f"docs/{name}.md"
    for name in (
        "adversarial-training",
        "certified-training",
        "compare",
        "evaluate",
        "explain",
        "export",
        "own-model",
        "tensorboard",
    )
)


def call(command: list[str], **kwargs) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **kwargs)


@pytest.mark.parametrize(
    "command",
    [
        # The quickstart each time; the other flagfiles are run by other tests, too.
        pytest.param(command, marks=pytest.mark.slow if number > 0 else ())
        for number, command in enumerate(c for c in RUNS if "--help" not in c)
    ]
    + [command for command in RUNS if "--help" in command],
    ids=" ".join,
)
def test_run(command, tmp_path):
    if any("mnist" in word for word in command) and not os.environ.get("RST_DATA_DIR"):
        pytest.skip("RST_DATA_DIR does not say where MNIST is")
    command = [sys.executable, *command[1:], *SHORT, f"--output_dir={tmp_path}"]
    done = call(command)
    assert done.returncode == 0, done.stderr
    if "--help" not in command:
        assert os.path.exists(os.path.join(done.stdout.splitlines()[-1], "results.json"))


@pytest.mark.slow  # tests/cli/ has both commands, too
def test_evaluate_and_measure(tmp_path):
    """As they stand, of a short run, but on few images."""
    command = [sys.executable, *RUNS[0][1:], *SHORT, f"--output_dir={tmp_path}"]
    run = call(command).stdout.splitlines()[-1]
    evaluate, measure = (
        [sys.executable, *(word.replace("runs/RUN", run) for word in command[1:]), "--examples=30"]
        for command in (EVALUATE, MEASURE)
    )
    done = call(evaluate)
    assert done.returncode == 0, done.stderr
    for attack in ("apgd_ce", "apgd_t", "fab_t", "square", "worst"):
        assert f"| {attack} | 0.1 |" in done.stdout
    done = call(measure)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"\.json$", done.stdout, re.MULTILINE)) == 2  # a file for each round


@pytest.mark.slow  # tests/cli/test_export.py exports in several formats
def test_export_and_pareto(tmp_path):
    """As they stand, of a short run, but on few images."""
    command = [sys.executable, *RUNS[0][1:], *SHORT, f"--output_dir={tmp_path}"]
    run = call(command).stdout.splitlines()[-1]
    few = ["--compared=100", "--attacked=10", "--calls=10", "--representative=100"]
    for export in EXPORTS:
        words = [word.replace("runs/RUN", run) for word in export[1:]]
        done = call([sys.executable, *words, *few])
        assert "| tflite_" in done.stdout or "\nRefused:\n" in done.stdout, done.stderr
    done = call([sys.executable, *PARETO[1:-1], str(tmp_path)])
    assert done.returncode == 0, done.stderr
    assert "| yes |" in done.stdout


@pytest.mark.slow  # tests/cli/test_sweep.py has real sweeps, too
@pytest.mark.parametrize("sweep", SWEEPS, ids=" ".join)
def test_sweep_and_report(sweep, tmp_path):
    """As they stand, except for fewer steps and images; stopped when the first cell is reported."""
    if not os.environ.get("RST_DATA_DIR"):
        pytest.skip("RST_DATA_DIR does not say where MNIST is")
    runs = tmp_path / "runs"
    runs.mkdir()
    folder = first_report(shortened(sweep, tmp_path), runs)
    done = call([sys.executable, *REPORT[1:-1], str(folder)])
    assert done.returncode == 0, done.stderr
    assert re.search(r"^\| \w.* \| [0-9]+\.[0-9] \|", done.stdout, re.MULTILINE)  # any may be first
    assert re.search(r"^[1-9][0-9]* of [0-9]+ cells", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("command", MAKES, ids=" ".join)
def test_make(command):
    """The targets exist; what they run is run by the tests, and by the continuous integration."""
    done = call(["make", "--dry-run", *command[1:]])
    assert done.returncode == 0, done.stderr
    assert "python -m" in done.stdout


@pytest.mark.parametrize("command", OTHERS, ids=" ".join)
def test_tensorboard(command, tmp_path):
    """TensorBoard with its tab, and the page alone, which wants a folder that is there."""
    (tmp_path / "runs").mkdir()
    assert command in (
        ["tensorboard", "--logdir=runs"],
        ["python", "-m", "robust_sparse_tf.tensorboard", "runs"],
    )
    program = os.path.join(os.path.dirname(sys.executable), command[0])
    server = subprocess.Popen(
        [program, *command[1:], "--port=0"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert any("http://" in line for line in server.stdout)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=600)


@pytest.mark.parametrize("command", INSTALLS, ids=" ".join)
def test_install(command):
    """This project, with extras that it has."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert command[:2] == ["pip", "install"]
    (extra,) = re.findall(r"^\.(?:\[(\w+)\])?$", command[2])
    assert extra in ("", *setup["options.extras_require"])


@pytest.fixture
def run_example(tmp_path, monkeypatch, capfd) -> Callable[[str], str]:
    """Gives what the examples of a page print, run in this process, one after another."""
    monkeypatch.chdir(tmp_path)

    def run(name: str) -> str:
        exec(compile(EXAMPLES[name], name, "exec"), {"__name__": "__main__"})
        return capfd.readouterr().out

    return run


def accuracies(shown: str) -> dict[tuple[str, str], float]:
    """Those of a printed report, by attack and epsilon."""
    table = re.findall(r"^\| (\w+) \| ([0-9.]*) \| ([0-9.]+) \|", shown, re.MULTILINE)
    return {(name, epsilon): float(accuracy) for name, epsilon, accuracy in table}


def test_ten_lines(run_example, tmp_path):
    """The README's example: an own network and arrays, sparse, robust, and exported."""
    figures = accuracies(run_example("README.md"))
    assert list(accuracies(PAGES["README.md"])) == list(figures)  # what the page shows
    assert figures["clean", ""] > 70
    assert 40 < figures["worst", "0.1"] < figures["clean", ""]
    assert os.path.getsize(tmp_path / "model.tflite") > 0
    assert (tmp_path / "robust.keras").exists()


def test_sparse_example(run_example, tmp_path):
    shown = run_example("docs/methods.md")
    density = float(re.search(r"'density': ([0-9.]+)", shown.splitlines()[-1]).group(1))
    assert density == pytest.approx(0.1, abs=1e-3)
    assert (tmp_path / "sparse.keras").exists()


def test_sparse_compute_example(run_example):
    try:
        rst.compute.library()
    except rst.compute.BuildError as error:
        pytest.skip(str(error))
    first, explained, second = run_example("docs/sparse-compute.md").splitlines()[-3:]
    assert float(first) < 1e-5 and float(second) < 1e-5
    assert explained.count("'sparse'") == 3


@pytest.mark.slow  # the README's example has most of it
def test_library_example(run_example, tmp_path):
    figures = accuracies(run_example("docs/adversarial-training.md"))
    assert figures["clean", ""] > 70
    assert 10 < figures["worst", "0.15"] < figures["worst", "0.05"] < figures["clean", ""]
    assert os.path.getsize(tmp_path / "model.tflite") > 0


@pytest.mark.slow
def test_certified_example(run_example):
    figures = accuracies(run_example("docs/certified-training.md"))
    assert 20 < figures["certified", "0.05"] <= figures["worst", "0.05"] <= figures["clean", ""]


@pytest.mark.slow
def test_own_model_example(run_example, tmp_path):
    shown = run_example("docs/own-model.md").splitlines()
    (dense,) = [line for line in shown if line.startswith("[")]
    assert "backbone" in dense and "head_2" in dense and "head_1" not in dense
    assert float(shown[-1]) == pytest.approx(0.3, abs=0.01)
    assert (tmp_path / "plain.keras").exists()


@pytest.mark.slow
def test_evaluate_example(run_example):
    shown = run_example("docs/evaluate.md")
    figures = accuracies(shown)
    assert figures["worst", "0.5"] <= figures["clean", ""]


@pytest.mark.slow
def test_explain_example(run_example, tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    correlation, overlap = map(float, run_example("docs/explain.md").splitlines()[-1].split())
    assert 0 < correlation < 1 and 0 < overlap < 1
    assert os.path.getsize(tmp_path / "explained.png") > 0


@pytest.mark.slow
def test_compare_example(run_example, tmp_path):
    shown = run_example("docs/compare.md").splitlines()
    assert [line.split(",")[0] for line in shown[:6]] == ["dense", "static", "rigl"] * 2
    table = [line for line in shown[6:] if line.startswith("|")]
    assert table[0] == "| method | density | clean | worst at 0.05 | worst at 0.1 | seeds |"
    assert [re.match(r"\| (\w+) \| ([0-9.]+)", line).groups() for line in table[2:]] == [
        ("dense", "100.0"),
        ("static", "20.0"),
        ("rigl", "20.0"),
    ]
    for name in ("comparison.png", "comparison.pdf", "comparison.tex"):
        assert os.path.getsize(tmp_path / name) > 0


@pytest.mark.slow
def test_tensorboard_example(run_example, tmp_path):
    """One run, which all views have something of."""
    run_example("docs/tensorboard.md")
    events = EventAccumulator(str(tmp_path / "runs" / "rigl"))
    events.Reload()
    tags = events.PluginTagToContent(log_format.PLUGIN)
    firsts = {tag.split("/")[0] for tag in tags}
    assert firsts == {"run", "topology", "masks", "inputs", "accuracy", "report", "examples"}


@pytest.mark.slow
def test_export_example(run_example):
    size, difference = run_example("docs/export.md").splitlines()[-1].split()
    assert int(size) > 0 and float(difference) < 1e-4


def test_every_example_is_run():
    tested = {*FAST_EXAMPLES, *SLOW_EXAMPLES}
    assert set(EXAMPLES) == tested


@pytest.mark.parametrize("name", PAGES)
def test_pictures_and_links_are_there(name):
    """Files, and headings of pages, which may be those of the page itself."""
    targets = re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", PAGES[name])
    for target, heading in targets:
        path = (ROOT / name).parent / target if target else ROOT / name
        assert path.exists(), target
        if heading:
            assert heading in pages.anchors(path.read_text()), (target, heading)


def test_every_page_is_listed():
    listed = re.findall(r"\]\(([\w-]+\.md)\)", PAGES["docs/index.md"])
    names = {name.removeprefix("docs/") for name in PAGES if name.startswith("docs/")}
    assert {*listed, "index.md"} == names


def test_readme_is_short():
    assert len(PAGES["README.md"].splitlines()) <= 150


def test_citation():
    """The README's entry has the facts of CITATION.cff."""
    (entry,) = pages.blocks("bibtex", PAGES["README.md"])
    facts = dict(re.findall(r"^([\w-]+): (.+)$", (ROOT / "CITATION.cff").read_text(), re.M))
    assert f"version = {{{facts['version']}}}" in entry
    assert f"@software{{{facts['title']}," in entry
    assert "The robust_sparse_tf maintainers" in entry.replace("\\_", "_")


@pytest.mark.parametrize("tool", sorted(set(re.findall(r"python (tools/\S+)", TEXT))))
def test_benchmarks_are_there(tool):
    done = call([sys.executable, tool, "--helpshort"])
    assert "--output" in done.stdout
