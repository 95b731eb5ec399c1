"""Checks of numbers for images in [0, 1]."""

from robust_sparse_tf.errors import InputError


def check_epsilon(name: str, epsilon: float, norm: str) -> None:
    """Refuses an epsilon beyond the range, which is usually in units of 1/255.

    Raises:
        InputError: for an epsilon above 1 in linf.
    """
    if norm == "linf" and epsilon > 1:
        raise InputError(
            f"{name}={epsilon:g}: must be at most 1 in linf, as images are in [0, 1]; "
            f"{epsilon:g}/255 is {epsilon / 255:.4g}"
        )
