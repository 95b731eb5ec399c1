"""Uninterrupted runs of the lottery ticket, made once."""

import functools

import pytest
from lottery_runs import PROCEDURES, run


@pytest.fixture(scope="session")
def whole(digits):
    """Model, records and weights seen of an uninterrupted run, by name; each is run once."""
    return functools.cache(lambda name: run(PROCEDURES[name], digits))
