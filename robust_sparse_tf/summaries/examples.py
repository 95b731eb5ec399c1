"""Images before and after attacks."""

import numpy as np
import tensorflow as tf

from robust_sparse_tf.attacks import norms
from robust_sparse_tf.evaluation.report import Picture, Report, is_image
from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.summaries.writing import write_images, write_tensor


def write_examples(report: Report, step: int) -> None:
    """Writes what attacks made of a few images, at each epsilon.

    Of an image there are the clean one, the adversarial one and their difference, gray where
    nothing changed. Only images [height, width, 1 or 3] are written. They are in the tab "Images"
    as `example_pictures/<attack>/<epsilon>`, too.

    Args:
        report: whose pictures are written.
        step: steps of training that the network has behind it.
    """
    of_attacks = {(outcome.attack, outcome.epsilon): outcome for outcome in report.outcomes}
    for (attack, epsilon), pictures in report.pictures.items():
        shown = [picture for picture in pictures if is_image(picture.clean)]
        if not shown:
            continue
        norm = of_attacks[attack, epsilon].norm
        parts = [_parts(picture) for picture in shown]
        about = {
            "attack": attack,
            "norm": norm,
            "epsilon": epsilon,
            "items": [_item(picture, norm) for picture in shown],
        }
        tag = log_format.examples_tag(attack, epsilon)
        strips = [np.concatenate(images, axis=1) for images in parts]
        pictured = f"example_pictures/{tag.removeprefix(log_format.EXAMPLES)}"
        pngs = [tf.io.encode_png(strip).numpy() for strip in strips]
        write_images({pictured: pngs}, strips[0].shape, step)
        encoded = [tf.io.encode_png(image) for images in parts for image in images]
        write_tensor(tag, tf.stack([log_format.to_json(about), *encoded]), step)


def _item(picture: Picture, norm: str) -> dict[str, float]:
    change = (picture.adversarial - picture.clean)[None]
    return {
        "label": picture.label,
        "before": picture.label,  # only images that the model has right are attacked
        "after": picture.prediction,
        "distance": float(norms.distance(tf.constant(change), norm)[0]),
        "scale": picture.scale,
    }


def _parts(picture: Picture) -> list[np.ndarray]:
    """The clean image, the adversarial one, and their difference: uint8."""
    images = (picture.clean, picture.adversarial, picture.difference)
    return [np.round(255 * np.clip(image, 0, 1)).astype(np.uint8) for image in images]
