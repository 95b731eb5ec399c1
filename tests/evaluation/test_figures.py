import matplotlib.image
import numpy as np
import pytest

from robust_sparse_tf.evaluation import figures
from robust_sparse_tf.evaluation.report import Picture, Report


def kept(count, shape, seed=0):
    """A few images, turned upside down by the attack."""
    generator = np.random.default_rng(seed)
    clean = generator.random((count, *shape))
    return [Picture(1, 2, image, image[::-1]) for image in clean]


def report_of(pictures):
    none = np.zeros(0, np.int64)
    return Report(
        labels=none, predictions=none, judged=none, outcomes=[], warnings=[], pictures=pictures
    )


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3)])
def test_images_are_where_they_belong(shape, tmp_path):
    """One attack with three images, one with two, one with none; each with clean and difference."""
    path = str(tmp_path / "images.png")
    figures.draw_images(
        report_of({("a", 0.1): kept(3, shape), ("none", 0.1): [], ("b", None): kept(2, shape)}),
        path,
    )
    drawn = matplotlib.image.imread(path)[..., :3]
    height, width = drawn.shape[:2]
    for number, row in enumerate(np.array_split(drawn, 6)):
        thirds = [np.mean(part < 0.9) for part in np.array_split(row, 3, axis=1)]
        assert min(thirds[:2]) > 0.3
        assert (thirds[2] > 0.3) == (number < 3)
    colours = np.ptp(drawn, axis=2).max()
    assert colours > 0.5 if shape[-1] == 3 else colours < 0.01
    assert height > width


@pytest.mark.parametrize("pictures", [{}, {("a", 0.1): []}, {("a", 0.1): kept(2, (7,))}])
def test_without_images(pictures, tmp_path):
    """Nothing, or the titles alone."""
    path = str(tmp_path / "images.png")
    figures.draw_images(report_of(pictures), path)
    drawn = matplotlib.image.imread(path)[..., :3]
    assert 0.95 < drawn.mean() <= 1
    assert (drawn.min() < 0.5) == bool(pictures.get(("a", 0.1)))
