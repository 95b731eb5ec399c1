"""Random crops and flips: those that NumPy makes, in training only, and the same at resume."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import data
from robust_sparse_tf.attacks import FGSM
from robust_sparse_tf.data.augmentation import VIEWS, crop_flip, draw_views
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.procedures import CheckpointStore, Rounds
from robust_sparse_tf.training import AdversarialModel, devices

SIZE = 30
DRAW = np.random.default_rng(0)
IMAGES = DRAW.random((SIZE, 8, 9, 2), np.float32)  # higher than wide, so that axes differ
LABELS = np.arange(SIZE) % 3


def split(augment: str = "crop_flip", seed: int = 0, batch_size: int = 10) -> data.Split:
    return data.Split(
        IMAGES,
        LABELS,
        num_classes=3,
        batch_size=batch_size,
        shuffle=True,
        seed=seed,
        augment=augment,
    )


def views_by_hand(image: np.ndarray) -> np.ndarray:
    """All views of an image in their order, [162, height, width, channels]."""
    height, width, _ = image.shape
    padded = np.pad(image, [(4, 4), (4, 4), (0, 0)])
    crops = [padded[y : y + height, x : x + width] for y in range(9) for x in range(9)]
    return np.stack([view for crop in crops for view in (crop, crop[:, ::-1])])


def drawn(images: data.Split, steps: int, first_step: int = 0) -> np.ndarray:
    """Numbers and views of the images of some steps, [steps, 2, batch_size]."""
    batches = images.index_batches(first_step).take(steps)
    return np.array([[part.numpy() for part in batch] for batch in batches])


class Killed(Exception):
    """Stands for a process that is killed."""


def make_model(seed: int = 0) -> AdversarialModel:
    keras.utils.set_random_seed(seed)
    network = keras.Sequential(
        [keras.layers.Input((8, 9, 2)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    model = AdversarialModel(network, FGSM(epsilon=0.1))
    model.compile(keras.optimizers.SGD(0.1), jit_update=False)
    return model


def test_views_are_those_of_numpy():
    assert VIEWS == 162
    for image in IMAGES[:2]:
        expected = views_by_hand(image)
        found = crop_flip(
            tf.constant(np.tile(image, (VIEWS, 1, 1, 1))), tf.range(162, dtype="int64")
        )
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(expected[80], image)


def test_training_gathers_one_of_all_views():
    """The images of `fit`, with their own labels."""
    images = split()
    for batch in images.index_batches().take(6):
        found, labels = tf.function(images.training_gather)(batch)
        for number, view, image, label in zip(*batch, found, labels, strict=True):
            np.testing.assert_array_equal(image, views_by_hand(IMAGES[number])[view])
            assert label == LABELS[number]


def test_all_views_are_equally_frequent():
    """For an image over many epochs, and for all images of one."""
    count = 162 * 200
    of_epoch = draw_views(count, 3, tf.constant(5, tf.int64)).numpy()
    of_image = np.array([draw_views(2, 3, tf.constant(e, tf.int64))[1] for e in range(2000)])
    for views in (of_epoch, of_image):
        expected = len(views) / VIEWS
        counts = np.bincount(views, minlength=VIEWS)
        assert len(counts) == VIEWS
        assert np.abs(counts - expected).max() < 6 * expected**0.5


def test_views_differ_between_epochs_seeds_and_images():
    found = {
        tuple(draw_views(50, seed, tf.constant(epoch, tf.int64)).numpy())
        for seed in (0, 1, 2)
        for epoch in (0, 1, 2)
    }
    assert len(found) == 9 and all(len(set(views)) > 30 for views in found)


@pytest.mark.parametrize("first_step", [1, 3, 4, 17])
def test_views_are_the_same_from_any_step(first_step):
    whole = drawn(split(batch_size=8), first_step + 6)
    np.testing.assert_array_equal(drawn(split(batch_size=8), 6, first_step), whole[first_step:])


def test_a_view_does_not_depend_on_the_batch_size():
    """Only on seed, epoch and image."""
    by_image = []
    for batch_size in (5, 30):
        numbers, views = drawn(split(batch_size=batch_size), 30 // batch_size).swapaxes(0, 1)
        by_image.append(views.ravel()[np.argsort(numbers.ravel())])
    np.testing.assert_array_equal(*by_image)


def test_the_order_of_images_is_that_without_augmentation():
    numbers = np.array(list(split("none").index_batches().take(7)))
    np.testing.assert_array_equal(drawn(split(), 7)[:, 0], numbers)


def test_only_training_is_augmented(digits):
    """Neither what evaluations gather, nor validation and test images."""
    images = split()
    found, _ = images.gather(tf.range(SIZE, dtype=tf.int64))
    np.testing.assert_array_equal(found, IMAGES)
    rows = {image.tobytes() for image in IMAGES}
    assert all(
        image.tobytes() in rows for batch, _ in images.as_numpy_iterator() for image in batch
    )
    train, *others = data.load("digits", batch_size=32, augment="crop_flip")
    assert train.augment == "crop_flip"
    for other, plain in zip(others, digits[1:], strict=True):
        assert other.augment == "none"
        np.testing.assert_array_equal(other.images, plain.images)


def test_a_killed_run_resumes_bit_identically(tmp_path):
    """In the middle of an epoch, as 3 batches are one."""
    rounds = Rounds(rounds=1, iterations=8, evaluate_every=2)

    def trained(store: CheckpointStore | None, kill_at: int | None = None) -> list[np.ndarray]:
        model = make_model()

        def on_record(record) -> None:
            if record["iteration"] == kill_at:
                raise Killed

        rounds.run(model, split(), lambda: {}, store=store, on_record=on_record)
        return model.network.get_weights()

    store = CheckpointStore(str(tmp_path))
    with pytest.raises(Killed):
        trained(store, kill_at=4)
    np.testing.assert_equal(trained(store), trained(None))


def test_replicas_train_on_the_images_of_one_device():
    one = make_model()
    with devices.strategy("mirrored").scope():
        two = make_model()
    for model in (one, two):
        model.fit(split(), epochs=2, verbose=0)
    for a, b in zip(one.network.get_weights(), two.network.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-5)


def test_sample_weights_are_those_of_the_images():
    """Images of weight 0 have no effect, whatever their views."""
    weights = (LABELS == 0).astype(np.float32)
    model = make_model()
    model.fit(split(), sample_weight=weights, epochs=1, verbose=0)
    other = make_model()
    kept = data.Split(
        np.where(LABELS[:, None, None, None] == 0, IMAGES, 0),
        LABELS,
        num_classes=3,
        batch_size=10,
        shuffle=True,
        augment="crop_flip",
    )
    other.fit(kept, sample_weight=weights, epochs=1, verbose=0)
    np.testing.assert_equal(model.network.get_weights(), other.network.get_weights())


def test_zeros_around_images_must_be_allowed():
    """Padding leaves the range of an attack on images from 0.5 to 1."""
    model = make_model()
    model.attack = FGSM(epsilon=0.1, low=0.5)
    bright = data.Split(IMAGES / 2 + 0.5, LABELS, num_classes=3, batch_size=10)
    model.fit(bright, steps_per_epoch=1, verbose=0)
    padded = data.Split(IMAGES / 2 + 0.5, LABELS, num_classes=3, batch_size=10, augment="crop_flip")
    with pytest.raises(InputError, match="0.5"):
        model.fit(padded, steps_per_epoch=1, verbose=0)


def test_small_images_are_refused():
    with pytest.raises(InputError, match="^augment=crop_flip: must be none for images of 7 x 8 "):
        data.Split(IMAGES[:, :7, :8], LABELS, num_classes=3, batch_size=2, augment="crop_flip")
