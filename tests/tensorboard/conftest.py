"""Boards of a log that is whole, in both ways in which TensorBoard reads logs."""

from collections.abc import Iterator

import pytest
from boards import MODES, Board, serving
from handmade_logs import write_run


@pytest.fixture(scope="session", params=MODES.values(), ids=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """How TensorBoard reads logs."""
    return request.param


@pytest.fixture(scope="session")
def mode_fast() -> str:
    """The way that is taken by default, where the other would show the same."""
    return MODES["fast"]


@pytest.fixture(scope="session")
def board(mode: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A board of three runs that have all there is."""
    folder = tmp_path_factory.mktemp("logs")
    write_run(folder / "lottery" / "round_00")
    write_run(folder / "rigl" / "seed_0")
    write_run(folder / "set" / "seed_0")
    with serving(folder, mode, runs=3) as board:
        yield board
