"""Table 3 of "Robust Sparse Regularization" (2019): ZOO and transfer, on a sweep's networks."""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import Any

import numpy as np
from etils import epy

from experiments.cli import command, flags, quiet
from experiments.cli.quiet import load_tensorflow
from experiments.reports import published
from experiments.studies import after_sweep
from experiments.studies.cells import robust_round
from experiments.studies.robust_sparse_regularization.numbers import (
    Networks,
    printed,
    pruned_to,
)
from experiments.studies.robust_sparse_regularization.protocol import EPSILON, STEP, STUDY
from experiments.sweeps.directory import Cell
from robust_sparse_tf.data.options import data_dir_option
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import check, option

with epy.lazy_imports():
    from experiments.evaluations import loading
    from robust_sparse_tf import attacks

USAGE = "python -m experiments.studies.robust_sparse_regularization.black_box --sweep=FOLDER"
SOURCES = {
    "vgg16": ("vgg16", "pgd"),
    "resnet18": ("resnet18", "pgd"),
    "vgg16, clean": ("vgg16", "clean"),
    "resnet18, clean": ("resnet18", "clean"),
}
"""The model and the training of each source."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options of black-box attacks on ResNet-20."""

    sweep: str = option("", "directory of the study's sweep")
    data_dir: str | None = data_dir_option()
    examples: int = option(200, "test images, drawn by the seed", unit="images", minimum=1)
    queries: int = option(100_000, "forward passes of ZOO per image", unit="queries", minimum=1033)
    seed: int = option(0, "seed of images and attacks", minimum=0, maximum=2**31 - 1)

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
    return command.exit_code(lambda: _black_box(argv))


def _black_box(argv: list[str]) -> int:
    options = flags.parse_group(argv, Options)
    cells = after_sweep.cells_of(options.sweep, STUDY)
    nets = Networks(cells, [], published.stored(STUDY))
    load_tensorflow()
    found: dict[str, Any] = {}
    for kind in ("pgd", "rsr"):
        place = _target(nets, kind)
        if place is None:
            found[kind] = {"missing": [f"the target resnet20 by {kind}"]}
            continue
        own, number = place
        model = loading.network(os.path.join(own.path, "rounds", str(number)))
        test = loading.images(own.path, None, options.data_dir, 0)
        images, labels = after_sweep.drawn_images(test, options.examples, options.seed)
        print(f"attacking resnet20 by {kind}, round {number}", flush=True)
        found[kind] = _zoo(model, images, labels, options) | _transfer(
            nets, model, images, labels, options
        )
        command.raise_if_interrupted()
    print(after_sweep.add(options.sweep, "table_3", found))
    return 0


def _target(nets: Networks, kind: str) -> tuple[Cell, int] | None:
    """A cell of ResNet-20 and the round that is attacked, of RSR after pruning if there is one."""
    own = nets.of("resnet20", kind)
    if not own:
        return None
    to = printed(nets.known, "table_1", "resnet20", "after_pruning", kind, "sparsity")
    number = pruned_to(to)(own[0]) if kind == "rsr" else None
    return own[0], robust_round(own[0]) if number is None else number


def _zoo(model: Any, images: np.ndarray, labels: np.ndarray, options: Options) -> dict[str, Any]:
    """Success of untargeted ZOO in percent, of all images and of those right before."""
    right = after_sweep.predicted(model, images) == labels
    zoo = attacks.ZOO(queries=options.queries)
    adversarial = after_sweep.adversarial(zoo, model, images, labels, options.seed)
    fooled = after_sweep.predicted(model, adversarial) != labels
    of_right = 100 * float(np.mean(fooled[right])) if right.any() else None
    return {
        "zoo_success": 100 * float(np.mean(fooled)),
        "zoo_success_of_right": of_right,
        "queries": options.queries,
        "images": len(images),
    }


def _transfer(
    nets: Networks, model: Any, images: np.ndarray, labels: np.ndarray, options: Options
) -> dict[str, Any]:
    """Accuracy in percent under PGD-7 of each source, and the sources that are missing."""
    pgd = attacks.PGD(epsilon=EPSILON, step_size=STEP, steps=7, random_start=True)
    left, missing = {}, []
    for name, (source, kind) in SOURCES.items():
        own = nets.of(source, kind)
        if not own:
            missing.append(f"the source {source} by {kind}")
            continue
        folder = os.path.join(own[0].path, "rounds", str(robust_round(own[0])))
        adversarial = after_sweep.adversarial(
            pgd, loading.network(folder), images, labels, options.seed
        )
        left[name] = 100 * float(np.mean(after_sweep.predicted(model, adversarial) == labels))
    return {"transfer": left, "missing": missing}


if __name__ == "__main__":
    command.leave(main(sys.argv))
