"""The rounds of a run whose networks are attacked or measured."""

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import is_count


def check_rounds(at_rounds: list[str]) -> None:
    """Checks the numbers of rounds that a command is given.

    Raises:
        InputError: for what is no round's number.
    """
    if not all(map(is_count, at_rounds)):
        raise InputError(f"at_rounds={','.join(at_rounds)}: must be whole numbers from 0")
