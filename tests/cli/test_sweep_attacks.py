"""Sweeps whose finished cells are attacked and measured, too."""

import json
from pathlib import Path

import pytest
from study_cells import write_report
from sweep_cells import GRID

from experiments.evaluations import attack_options, measure_options
from experiments.evaluations.follow_up import measurement
from experiments.reports import measures

ATTACKS = "--evaluate=--attacks=fgsm --epsilons=0.1"


def test_finished_cells_are_attacked_once(call_sweep, made_up, tmp_path):
    call_sweep(GRID)
    code, out, err = call_sweep(GRID, ATTACKS, "--evaluate=--attacks=quick --epsilons=0.1,0.2")
    assert (code, err) == (0, "")
    assert len(made_up.commands) == 3 and len(made_up.evaluated) == 6
    folder = Path(out.splitlines()[-1])
    cells = [folder / name for name in json.loads((folder / "sweep.json").read_text())["cells"]]
    first = attack_options.parse(made_up.evaluated[0])
    assert first == attack_options.parse(["evaluate", f"--model={cells[0]}", *ATTACKS[11:].split()])
    assert "## Under attack: `--attacks=fgsm --epsilons=0.1`" in out
    assert "| fgsm | 0.1 (linf) | 0.0 (2 s) | 0.0 (2 s) | 0.0 (2 s) |" in out
    assert "**Warning**, static 50 %: masked" in out
    call_sweep(GRID, ATTACKS)
    assert len(made_up.evaluated) == 6
    folder.rename(tmp_path / "elsewhere")
    assert "**Warning**, static 50 %: masked" in write_report(str(tmp_path / "elsewhere"))


def test_finished_cells_are_measured_once(call_sweep, made_up):
    grid = "--grid=strategy=original,random,continued"
    texts = ["--measures=r_inf", "--measures=deepfool --at_rounds=1"]
    asked = [f"--measure={text}" for text in texts]
    code, out, err = call_sweep(grid, *asked)
    assert (code, err) == (0, "")
    assert len(made_up.commands) == 3 and len(made_up.measured) == 6
    folder = Path(out.splitlines()[-1])
    content = json.loads((folder / "sweep.json").read_text())
    assert content["measurements"] == texts
    first = folder / content["cells"][0]
    assert measure_options.parse(made_up.measured[0]) == measure_options.parse(
        ["measure", f"--model={first}", "--measures=r_inf"]
    )
    asked_of = [measurement(text) for text in texts]
    measured = measures.of_run(str(first), asked_of)
    assert measures.of_rounds(measured) == dict.fromkeys(range(3), {"accuracy": 0.5})
    assert [number for number, _ in measures.of_run(str(first), asked_of[1:])] == [1]
    assert measures.warnings(measured) == ["few"] * 4
    call_sweep(grid, *asked)
    assert len(made_up.measured) == 6
    (lost,) = (first / "rounds" / "0").glob("measures*")
    lost.unlink()
    call_sweep(grid, *asked)
    assert made_up.measured[6:] == made_up.measured[:1]


def test_rounds_that_a_cell_does_not_have_are_left_out(call_sweep, made_up):
    asked = [
        "--measure=--measures=r_inf --at_rounds=0,2",
        "--evaluate=--attacks=fgsm --at_rounds=2",
    ]
    grid = "--grid=method=dense,lottery,strategy=continued,rounds=2,3"
    code, out, err = call_sweep(grid, *asked)
    assert (code, err) == (0, "")
    found = {}
    for command in made_up.measured:
        options = measure_options.parse(command)
        flags = json.loads(Path(options.model, "results.json").read_text())["flags"]
        found[flags.get("method", "lottery"), flags["rounds"]] = options.at_rounds
    assert found == {("dense", 2): ["0"], ("dense", 3): ["0"], ("lottery", 2): ["0"]} | {
        ("lottery", 3): ["0", "2"]
    }
    (only,) = made_up.evaluated
    assert attack_options.parse(only).at_rounds == ["2"]


def test_a_cell_whose_attack_fails_is_named(call_sweep, made_up):
    made_up.standing = {"static"}
    code, out, err = call_sweep(GRID, ATTACKS)
    assert code == 1 and len(made_up.evaluated) == 4  # one of them twice
    assert "static" in err and err.count("error: ") == 1
    assert "dense 100 % | set 50 %" in out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("--attacks=strong", "must be one of quick"),
        ("--model=runs/x", "must not set --model"),
        ("--output=x", "must not set --output"),
        ("--attacks='", "No closing quotation"),
        ("--nosuch=1", "nosuch"),
        ("--attacks=zoo", "norm=linf: must be l2"),
        ("--attacks=pgd --epsilons=a", "epsilons=a: must be numbers"),
        ("--at_rounds=0,a", "at_rounds=0,a: must be whole numbers from 0"),
    ],
)
def test_refuses_evaluations(call_sweep, made_up, text, words):
    code, out, err = call_sweep(GRID, f"--evaluate={text}")
    assert (code, out) == (2, "") and words in err
    assert made_up.commands == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("--measures=speed", "must be one of r_inf"),
        ("--model=runs/x", "measure=--model=runs/x: must not set --model"),
        ("--measures='", "measure=--measures=': cannot be read"),
        ("--at_rounds=a", "at_rounds=a: must be whole numbers"),
    ],
)
def test_refuses_measurements(call_sweep, made_up, text, words):
    code, out, err = call_sweep(GRID, f"--measure={text}")
    assert (code, out) == (2, "") and words in err
    assert made_up.commands == []
