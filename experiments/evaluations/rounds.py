"""Checks the rounds of a run that are attacked or measured."""

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import is_count


def check_rounds(at_rounds: list[str]) -> None:
    """Checks the numbers of rounds given to a command.

    Raises:
        InputError: for values that are not numbers of rounds.
    """
    if not all(map(is_count, at_rounds)):
        raise InputError(f"at_rounds={','.join(at_rounds)}: must be whole numbers from 0")
