"""Both packages are built in rooms that import downwards only."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# A room imports from those before it, and from itself.
LIBRARY = [
    "data",
    "models",
    "attacks",
    "compute",
    "sparsity",
    "bounds",
    "training",
    "evaluation",
    "explain",
    "summaries",
    "callbacks",
    "procedures",
    "comparison",
    "plot",
    "export",
    "tensorboard",
    "keras_classes",
]
EXPERIMENTS = ["cli", "runs", "evaluations", "sweeps", "reports", "studies"]
COMMANDS = ["run", "evaluate", "measure", "export", "report", "pareto", "check", "chain", "sweep"]
ROOMS = {"robust_sparse_tf": LIBRARY, "experiments": [*EXPERIMENTS, *COMMANDS]}
EVERYWHERE = {
    "robust_sparse_tf": {
        "docstrings",
        "drawing",
        "durations",
        "errors",
        "files",
        "method_table",
        "options",
        "tensors",
        "texts",
        "values",
        "version",
    },
    "experiments": set(),
}
# Only commands may be told which studies there are.
APART = [
    ("sweeps", "reports"),
    ("sweeps", "studies"),
    ("sparsity", "attacks"),
    ("sparsity", "data"),
]
CASES = [(package, room) for package, rooms in ROOMS.items() for room in rooms]


def imported(path: Path, package: str) -> set[str]:
    """The rooms and modules of a package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        first, *rest = (getattr(node, "module", None) or "").split(".")
        if first == package:
            found |= {rest[0]} if rest else {alias.name for alias in node.names}
    return found


def imports(package: str, room: str) -> dict[str, set[str]]:
    """What each file of a room imports of its package."""
    folder = ROOT / package
    files = [*(folder / room).rglob("*.py"), *folder.glob(f"{room}.py")]
    assert files
    return {str(file.relative_to(folder)): imported(file, package) for file in files}


@pytest.mark.parametrize(("package", "room"), CASES)
def test_rooms_import_downwards(package, room):
    rooms = ROOMS[package]
    below = {*rooms[: rooms.index(room) + 1], *EVERYWHERE[package]}
    upward = {name: above for name, own in imports(package, room).items() if (above := own - below)}
    assert not upward


@pytest.mark.parametrize(("room", "other"), APART)
def test_rooms_that_know_nothing_of_each_other(room, other):
    package = "experiments" if room in EXPERIMENTS else "robust_sparse_tf"
    assert not [name for name, own in imports(package, room).items() if other in own]


@pytest.mark.parametrize("package", ROOMS)
def test_every_room_is_known(package):
    folders = {path.parent for path in (ROOT / package).glob("*/*.py")}
    modules = set((ROOT / package).glob("*.py"))
    names = {path.stem for path in folders | modules}
    assert names - {"__init__"} == {*ROOMS[package], *EVERYWHERE[package]}


@pytest.mark.parametrize("package", ROOMS)
def test_the_documentation_has_the_same_order(package):
    text = (ROOT / "docs" / "extend.md").read_text()
    block = re.search(rf"^    {package}/.*\n((?:      .*\n)+)", text, re.M)
    listed = re.findall(r"^      (\w+)(?:/|\.py)", block[1], re.M)
    assert listed == {"robust_sparse_tf": LIBRARY, "experiments": EXPERIMENTS}[package]
