"""Grids, and the cells that come of them."""

from typing import Any

import pytest

from experiments.runs import options as flags
from experiments.sweeps.grid import as_flag, cells, parse_grid
from robust_sparse_tf.errors import InputError


@pytest.mark.parametrize(
    ("text", "axes"),
    [
        ("method=rigl", {"method": ["rigl"]}),
        ("seed=0,1,2", {"seed": ["0", "1", "2"]}),
        (
            "method=set,rigl,density=0.5,0.1,seed=0,1",
            {"method": ["set", "rigl"], "density": ["0.5", "0.1"], "seed": ["0", "1"]},
        ),
        ("density=0.5,method=set", {"density": ["0.5"], "method": ["set"]}),
        ("structure=2:4,block:4x1", {"structure": ["2:4", "block:4x1"]}),
        ('layer_densities={"logits": 0.5}', {"layer_densities": ['{"logits": 0.5}']}),
        ("classes=1+7,3+7+9,seed=0", {"classes": ["1,7", "3,7,9"], "seed": ["0"]}),
        ("learning_rate=1e+3,1e-3", {"learning_rate": ["1e+3", "1e-3"]}),
        ("learning_rate=1e-3,2e-3", {"learning_rate": ["1e-3", "2e-3"]}),
    ],
)
def test_parse_grid(text, axes):
    assert parse_grid(text) == axes
    assert list(parse_grid(text)) == list(axes)


BAD_GRIDS = {
    "": "must be like method=set,rigl",
    "rigl": "must be like",
    "rigl,seed=1": "must be like",
    "=1": "must be like",
    "seed=": "must be like",
    "seed=0,,1": "must be like",
    "seed=0,": "must be like",
    ",seed=0": "must be like",
    "sparsity=0.5": "sparsity is no flag of experiments.run",
    "seed=0,nosuch=1,2": "nosuch is no flag",
    "grid=seed": "grid is no flag",
    "flagfile=x": "flagfile is no flag",
    "seed=0,method=set,seed=1": "seed must be given once",
}


@pytest.mark.parametrize("text", BAD_GRIDS)
def test_parse_grid_refuses(text):
    with pytest.raises(InputError, match=f"^grid={text}: .*{BAD_GRIDS[text]}"):
        parse_grid(text)


def chosen(shared: dict[str, Any], *grids: str) -> list[dict[str, Any]]:
    """What is not the default in each cell."""
    return [flags.different(values) for values in cells(shared, list(grids))]


CELLS = {
    "one": ({}, ["method=set"], [{"method": "set"}]),
    "lists": (
        {"dataset": "mnist"},
        ["classes=1+7", "classes=3+7"],
        [{"dataset": "mnist", "classes": classes} for classes in (["1", "7"], ["3", "7"])],
    ),
    "product": (
        {},
        ["method=set,rigl,density=0.5,0.2"],
        [{"method": m, "density": d} for m in ("set", "rigl") for d in (0.5, 0.2)],
    ),
    "dense is one cell": (
        {},
        ["method=dense,set,density=0.5,0.2"],
        [
            {"method": "dense"},
            {"method": "set", "density": 0.5},
            {"method": "set", "density": 0.2},
        ],
    ),
    "dense is one cell a seed": (
        {"density": 0.3},
        ["method=dense,density=0.5,0.2,seed=0,1"],
        [{"method": "dense"}, {"method": "dense", "seed": 1}],
    ),
    "equal cells of two grids": (
        {},
        ["method=set,density=0.5", "method=rigl", "density=0.5,method=set,rigl"],
        [{"method": "set", "density": 0.5}, {"method": "rigl"}, {"method": "rigl", "density": 0.5}],
    ),
    "options of others are left out": (
        {"update_interval": 50, "stop_step": 7, "rounds": 3},
        ["method=static,set,gradual,lottery"],
        [
            {"method": "static", "rounds": 3},
            {"method": "set", "update_interval": 50, "stop_step": 7, "rounds": 3},
            {"method": "gradual", "update_interval": 50, "stop_step": 7, "rounds": 3},
            {"rounds": 3},  # the lottery is the default
        ],
    ),
    "method of all": (
        {"method": "rigl", "density": 0.5},
        ["density=0.2,seed=1", "seed=1"],
        [
            {"method": "rigl", "density": 0.2, "seed": 1},
            {"method": "rigl", "density": 0.5, "seed": 1},
        ],
    ),
    "defaults are no flags": ({}, ["method=lottery,seed=0"], [{}]),
    "ordered by seed": (
        {},
        ["method=set,seed=1,0", "method=rigl,seed=2,0", "method=dense,seed=1"],
        [
            {"method": "set"},
            {"method": "rigl"},
            {"method": "set", "seed": 1},
            {"method": "dense", "seed": 1},
            {"method": "rigl", "seed": 2},
        ],
    ),
    "lists and objects": (
        {"eval_attacks": ["fgsm", "pgd"], "layer_densities": {"logits": 0.5}},
        ["method=static,dense"],
        [
            {
                "method": "static",
                "eval_attacks": ["fgsm", "pgd"],
                "layer_densities": {"logits": 0.5},
            },
            {"method": "dense", "eval_attacks": ["fgsm", "pgd"]},
        ],
    ),
}


@pytest.mark.parametrize("name", CELLS)
def test_cells(name):
    shared, grids, expected = CELLS[name]
    assert chosen(shared, *grids) == expected


def test_cells_have_all_flags():
    (values,) = cells({"output_dir": "here", "overwrite": True}, ["seed=1"])
    assert values == flags.parse(["run", "--output_dir=here", "--overwrite", "--seed=1"])


def test_cells_refuse_values():
    with pytest.raises(InputError, match="seed"):
        cells({}, ["seed=one"])


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (3, "--name=3"),
        (0.5, "--name=0.5"),
        (True, "--name=True"),
        ("x y", "--name=x y"),
        ([], "--name="),
        (["a", "b"], "--name=a,b"),
        ({"a": 1}, '--name={"a": 1}'),
    ],
)
def test_as_flag(value, word):
    assert as_flag("name", value) == word
