"""Both ways in which TensorBoard reads logs."""

import pytest
from boards import MODES


@pytest.fixture(scope="session", params=MODES.values(), ids=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """How TensorBoard reads logs."""
    return request.param
