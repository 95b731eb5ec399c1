"""Sparse compute on CPUs: kernels that multiply the active weights only, as TensorFlow operations.

Activations are in planes: float32 [groups, height + 2 * border, width + 2 * border, channels, 16].
Sixteen images are side by side, so that one weight multiplies them with a few instructions, and the
borders hold the zeros that convolutions read beyond the image. Features of dense layers are
channels of images of one pixel.

`pack` turns a weight and its mask into lists, once per step; `product` multiplies them.
"""

from etils import epy

from robust_sparse_tf.compute.geometry import Geometry

with epy.lazy_api_imports(globals()):
    from robust_sparse_tf.compute.build import BuildError, library
    from robust_sparse_tf.compute.network import SparseNetwork
    from robust_sparse_tf.compute.ops import Packed, enter, leave, pack, product

__all__ = [
    "BuildError",
    "Geometry",
    "Packed",
    "SparseNetwork",
    "enter",
    "leave",
    "library",
    "pack",
    "product",
]


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
