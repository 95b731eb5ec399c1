"""Figures 4 and 5 of "Dynamic Sparse Adversarial Training": explanations of a sweep's networks."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epy

from experiments.cli import command, flags, quiet
from experiments.cli.quiet import load_tensorflow
from experiments.studies import after_sweep
from experiments.studies.cells import select
from experiments.studies.dynamic_sparse_adversarial.numbers import of_training
from experiments.studies.dynamic_sparse_adversarial.protocol import (
    EPSILON,
    METHODS,
    STEP,
    STUDY,
    TRAININGS,
)
from experiments.sweeps.directory import Cell
from robust_sparse_tf.data.options import data_dir_option
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import check, option

with epy.lazy_imports():
    import tf_keras as keras

    from experiments.evaluations import loading
    from robust_sparse_tf import attacks, explain
    from robust_sparse_tf.sparsity import wrapper

USAGE = "python -m experiments.studies.dynamic_sparse_adversarial.explanations --sweep=FOLDER"
Found = dict[str, Any]
"""What the report shows: `numbers` per image by network, kind of map and name (see `attention`);
`shown`, the maps of one image, from 0 to 255; `image`; the number of `images`; and the `missing`
networks. A network is named METHOD/TRAINING."""

_SHIP = 8  # its class in CIFAR-10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options of explanations of the networks of part II on CIFAR-10."""

    sweep: str = option("", "directory of the study's sweep")
    data_dir: str | None = data_dir_option()
    examples: int = option(
        500, "test images that all networks classify rightly, the first ones", minimum=1
    )
    seed: int = option(0, "seed of attacks and of redrawn weights", minimum=0, maximum=2**31 - 1)

    def __post_init__(self) -> None:
        check(self)
        if not self.sweep:
            raise InputError("sweep: must be given, the directory of the study's sweep")


def main(argv: list[str]) -> int:
    """The command; returns its exit code, see `command.exit_code`."""
    if "--help" in argv:
        print(flags.help_of_group(Options, USAGE))
        return 0
    quiet.quiet_loggers()
    command.show_warnings()
    return command.exit_code(lambda: _explanations(argv))


def _explanations(argv: list[str]) -> int:
    options = flags.parse_group(argv, Options)
    cells = select(after_sweep.cells_of(options.sweep, STUDY), model="resnet34", dataset="cifar10")
    places = _places(cells)
    if not places:
        raise InputError(f"sweep={options.sweep}: has no finished ResNet-34 on CIFAR-10")
    load_tensorflow()
    networks = {key: loading.network(path) for key, path in places.items()}
    test = loading.images(cells[0].path, None, options.data_dir, 0)
    x, y = after_sweep.gathered(test, np.arange(test.size))
    found = explained(networks, x, y, options.examples, options.seed)
    names = (f"{method}/{training}" for training in TRAININGS for method in METHODS)
    found["missing"] = [name for name in names if name not in places]
    print(after_sweep.add(options.sweep, "explanations", found))
    return 0


def _places(cells: Sequence[Cell]) -> dict[str, str]:
    """The folder of each network's round, of its first seed."""
    found = {}
    for training in TRAININGS:
        for method in METHODS:
            for cell, number in of_training(cells, training, method)[:1]:
                path = os.path.join(cell.path, "rounds", str(number))
                found[f"{method}/{training}"] = path
    return found


def explained(
    networks: Mapping[str, keras.Model], x: np.ndarray, y: np.ndarray, examples: int, seed: int
) -> Found:
    """Explains networks on clean and attacked images, and compares the maps.

    Args:
        networks: by METHOD/TRAINING, at least one.
        x: test images [n, height, width, channels] in [0, 1].
        y: their labels [n].
        examples: maximum number of images, the first that all networks classify rightly.
        seed: seed of attacks and redrawn weights.

    Raises:
        InputError: for networks of different inputs, or without an image that all classify rightly.
    """
    shapes = {tuple(network.input_shape[1:]) for network in networks.values()}
    if len(shapes) > 1:
        raise InputError(f"networks of inputs {sorted(shapes)}: must have the same inputs")
    right = _right(networks.values(), x, y)[:examples]
    if not len(right):
        raise InputError(
            f"networks {', '.join(networks)}: no test image is classified rightly by all of them"
        )
    x, y = x[right], y[right]
    ships = np.flatnonzero(y == _SHIP)
    chosen = int(ships[0]) if len(ships) else 0
    numbers: Found = {}
    shown: Found = {}
    for key, network in networks.items():
        attacked = _attacked(network, key.split("/")[1], x, y, seed)
        other = redrawn(network, seed)
        numbers[key], shown[key] = {}, {}
        for kind, explain_by in _maps().items():
            clean, under = explain_by(network, x, y), explain_by(network, attacked, y)
            similar = explain.compare(clean, under)
            control = explain.compare(clean, explain_by(other, x, y))
            numbers[key][kind] = {
                "overlap": _listed(similar.overlap),
                "rank": _listed(similar.rank_correlation),
                "central": _listed(similar.central_a),
                "central_attacked": _listed(similar.central_b),
                "redrawn": _listed(control.rank_correlation),
            }
            pair = {"clean": clean[chosen], "attacked": under[chosen]}
            shown[key][kind] = {state: _picture(own) for state, own in pair.items()}
        print(f"{key}: explained", flush=True)
        command.raise_if_interrupted()
    image = np.round(255 * x[chosen]).astype(int)
    image = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
    return {"numbers": numbers, "shown": shown, "image": image.tolist(), "images": len(x)}


def _maps() -> dict[str, Any]:
    return {"guided": explain.guided_backprop, "grad_cam": explain.grad_cam}


def redrawn(network: keras.Model, seed: int) -> keras.Model:
    """A copy of a network, the values of each of its kernels in another order."""
    copy = wrapper.strip(network)
    copy = keras.models.clone_model(copy)
    rng = np.random.default_rng(seed)
    values = wrapper.strip(network).get_weights()
    copy.set_weights(
        [rng.permutation(v.ravel()).reshape(v.shape) if v.ndim > 1 else v for v in values]
    )
    return copy


def _right(networks: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The numbers of the images that all networks classify rightly."""
    right = [after_sweep.predicted(network, x) == y for network in networks]
    return np.flatnonzero(np.all(right, axis=0))


def _attacked(
    network: keras.Model, training: str, x: np.ndarray, y: np.ndarray, seed: int
) -> np.ndarray:
    """The images under FGSM for networks that were trained with it, else under PGD."""
    attack: Any = attacks.PGD(epsilon=EPSILON, step_size=STEP, steps=7, random_start=True)
    if training == "fgsm":
        attack = attacks.FGSM(epsilon=EPSILON)
    return after_sweep.adversarial(attack, network, x, y, seed)


def _listed(values: np.ndarray) -> list[float | None]:
    """Values with six digits; None for NaN, which JSON does not have."""
    return [None if np.isnan(value) else round(float(value), 6) for value in values]


def _picture(strengths: np.ndarray) -> list[list[int]]:
    """The strengths of a map's pixels, its largest one 255."""
    flat = np.abs(strengths).sum(axis=-1) if strengths.ndim == 3 else np.abs(strengths)
    shown: list[list[int]] = (
        np.round(255 * flat / max(float(flat.max()), 1e-12)).astype(int).tolist()
    )
    return shown


if __name__ == "__main__":
    command.leave(main(sys.argv))
