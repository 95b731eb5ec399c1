"""The library's rooms import downwards only."""

import ast
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[1] / "robust_sparse_tf"
# Each room imports from those before it, and from itself.
ROOMS = ["data", "models", "attacks", "sparsity", "training", "procedures", "evaluation", "export"]
EVERYWHERE = {"errors", "files", "options", "version"}


def imported(path: Path) -> set[str]:
    """The rooms and modules of the library that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        package, *rest = (getattr(node, "module", None) or "").split(".")
        if package == LIBRARY.name:
            found |= {rest[0]} if rest else {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_downwards(room):
    below = {*ROOMS[: ROOMS.index(room) + 1], *EVERYWHERE}
    files = [*(LIBRARY / room).rglob("*.py"), *LIBRARY.glob(f"{room}.py")]
    assert files
    upward = {file.name: above for file in files if (above := imported(file) - below)}
    assert not upward


def test_every_room_is_known():
    names = {path.stem for path in LIBRARY.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert names - {"__init__", "__pycache__"} == {*ROOMS, *EVERYWHERE}
