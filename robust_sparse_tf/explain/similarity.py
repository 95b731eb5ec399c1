"""Similarity of two explanations of the same images, in numbers."""

import warnings
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.tensors import as_array

_STRONGEST = 0.2  # fraction of the pixels


class Similarity(NamedTuple):
    """Similarity of explanations, image by image; NaN where an explanation does not define it.

    Attributes:
        overlap: intersection over union of the strongest fifth of the pixels, float64 [n], from 0
            to 1. Pixels of equal strength are strong together, and pixels of strength 0 never are.
        rank_correlation: Spearman's rank correlation of the pixels' strengths, float64 [n].
        central_a: fraction of the first explanation's strength in the central half of height and
            width, float64 [n]; 1/4 if it is uniform.
        central_b: the same of the second explanation.
    """

    overlap: np.ndarray
    rank_correlation: np.ndarray
    central_a: np.ndarray
    central_b: np.ndarray


def compare(saliency_a: Any, saliency_b: Any) -> Similarity:
    """Compares two explanations of the same images.

    The strength of a pixel is the sum of absolute values over its channels.

    Args:
        saliency_a: numbers [n, height, width] or [n, height, width, channels], from `grad_cam` or
            `guided_backprop`, for example.
        saliency_b: the same, of another model, label or method.

    Raises:
        InputError: for other shapes, different numbers of images or sizes, or values that are not
            finite.
    """
    a, b = _strengths("saliency_a", saliency_a), _strengths("saliency_b", saliency_b)
    if a.shape != b.shape:
        raise InputError(
            f"saliency_b of {b.shape}: must be {a.shape} as saliency_a, channels aside"
        )
    return Similarity(
        overlap=np.array([_overlap(*pair) for pair in zip(a, b, strict=True)]),
        rank_correlation=np.array([_correlation(*pair) for pair in zip(a, b, strict=True)]),
        central_a=_central(a),
        central_b=_central(b),
    )


def _strengths(name: str, saliency: Any) -> np.ndarray:
    """The strengths of the pixels, float64 [n, height, width]."""
    values = as_array(name, saliency).astype(np.float64)
    if values.ndim not in (3, 4) or not values.size:
        raise InputError(
            f"{name} of shape {values.shape}: must be [n, height, width] or "
            "[n, height, width, channels]"
        )
    if not np.isfinite(values).all():
        raise InputError(f"{name}: holds values that are not finite; must be finite")
    return np.abs(values) if values.ndim == 3 else np.abs(values).sum(axis=-1)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    strong = [_strongest(each) for each in (a, b)]
    union = np.count_nonzero(strong[0] | strong[1])
    return np.count_nonzero(strong[0] & strong[1]) / union if union else np.nan


def _strongest(strengths: np.ndarray) -> np.ndarray:
    """Whether each pixel is among the strongest fifth."""
    count = max(1, round(_STRONGEST * strengths.size))
    weakest = np.partition(strengths, -count, axis=None)[-count]
    return (strengths >= weakest) & (strengths > 0)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    with warnings.catch_warnings():  # of constant strengths, whose correlation is NaN
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        return float(stats.spearmanr(a.ravel(), b.ravel()).statistic)


def _central(strengths: np.ndarray) -> np.ndarray:
    height, width = (_inside(size) for size in strengths.shape[1:])
    total = strengths.sum(axis=(1, 2))
    inside = np.einsum("nhw,h,w->n", strengths, height, width)
    return np.divide(inside, total, out=np.full(len(total), np.nan), where=total > 0)


def _inside(size: int) -> np.ndarray:
    """The part of each of the pixels of an axis that lies in its central half."""
    first = np.arange(size)
    return np.clip(np.minimum(first + 1, 0.75 * size) - np.maximum(first, 0.25 * size), 0, 1)
