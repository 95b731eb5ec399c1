"""The sizes of a layer's images and kernel, and the borders that its products read."""

import dataclasses

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import checked, shown

_LARGEST = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Geometry:
    """A convolution from images to images, without dilation and groups; see `convolution`.

    Args:
        kernel: height and width.
        stride: the same down and across.
        before: zeros that are added above and to the left.
        inputs: height, width and channels.
        outputs: likewise.
        input_border: border of the planes of the inputs, in pixels.
        output_border: likewise of the outputs; the gradient by the inputs reads it.
    """

    kernel: tuple[int, int]
    stride: int
    before: tuple[int, int]
    inputs: tuple[int, int, int]
    outputs: tuple[int, int, int]
    input_border: int = 0
    output_border: int = 0

    @classmethod
    def dense(cls, inputs: int, outputs: int) -> "Geometry":
        """The geometry of a dense layer; `inputs` and `outputs` count features."""
        return cls._checked((1, 1), 1, (0, 0), (1, 1, inputs), (1, 1, outputs))

    @classmethod
    def convolution(
        cls,
        inputs: tuple[int, int, int],
        kernel: tuple[int, int, int, int],
        stride: int,
        same: bool,
    ) -> "Geometry":
        """The geometry of a convolution, with the smallest borders.

        Args:
            inputs: height, width and channels of the images.
            kernel: shape of the weight: [height, width, inputs, outputs].
            stride: the same down and across, at least 1.
            same: whether the padding is TensorFlow's "SAME"; otherwise "VALID".

        Raises:
            InputError: for an image that is smaller than the kernel, without padding; or for sizes
                that overflow 32 bits.
        """
        stride = checked("stride", stride, int, minimum=1)
        same = checked("same", same, bool)
        sizes, before = [], []
        for size, width in zip(inputs[:2], kernel[:2], strict=True):
            if same:
                sizes.append(-(-size // stride))
                before.append(max((sizes[-1] - 1) * stride + width - size, 0) // 2)
            else:
                sizes.append((size - width) // stride + 1)
                before.append(0)
        if min(sizes) < 1:
            raise InputError(f"inputs={shown(inputs)}: must be at least as large as the kernel")
        outputs = (sizes[0], sizes[1], kernel[3])
        start = (before[0], before[1])
        found = cls._checked((kernel[0], kernel[1]), stride, start, tuple(inputs), outputs)
        borders = (found.least_input_border, found.least_output_border)
        return found.with_borders(*borders)

    @classmethod
    def _checked(cls, *args: "int | tuple[int, ...]") -> "Geometry":
        found = cls(*args)  # type: ignore[arg-type]
        found._check()
        return found

    def with_borders(self, inputs: int, outputs: int) -> "Geometry":
        """The same convolution of planes with other borders, at least the least ones."""
        found = dataclasses.replace(self, input_border=inputs, output_border=outputs)
        found._check()
        return found

    @property
    def least_input_border(self) -> int:
        """The zeros that are read beyond the inputs, on the side where they are most."""
        return max(0, *self.before, *(self._after(axis) for axis in (0, 1)))

    @property
    def least_output_border(self) -> int:
        """The zeros that the gradient by the inputs reads beyond the outputs' gradient."""
        least = 0
        for axis in (0, 1):
            above = -((self.before[axis] - self.kernel[axis] + 1) // self.stride)
            last = (self.inputs[axis] - 1 + self.before[axis]) // self.stride
            least = max(least, above, last - (self.outputs[axis] - 1))
        return least

    @property
    def numbers(self) -> list[int]:
        """The attribute `geometry` of the operations."""
        ends = (*self.inputs, self.input_border, *self.outputs, self.output_border)
        return [*self.kernel, self.stride, *self.before, *ends]

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """The shape of the kernel: [height, width, inputs, outputs]."""
        return (*self.kernel, self.inputs[2], self.outputs[2])

    def _after(self, axis: int) -> int:
        last = (self.outputs[axis] - 1) * self.stride + self.kernel[axis] - self.before[axis]
        return last - self.inputs[axis]

    def _check(self) -> None:
        """Raises InputError for sizes that overflow the 32 bits of offsets."""
        sizes = [self.kernel[0] * self.kernel[1] * self.inputs[2] * self.outputs[2]]
        for shape, border in (self.inputs, self.input_border), (self.outputs, self.output_border):
            sizes.append((shape[0] + 2 * border) * (shape[1] + 2 * border) * shape[2] * 16)
        if max(sizes) > _LARGEST:
            raise InputError(
                f"inputs={shown(self.inputs)}, kernel={shown(self.weight_shape)}: too large for "
                f"sparse compute; weights and 16 images must have at most {_LARGEST} numbers"
            )
