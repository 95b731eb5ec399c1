"""Theorem 3.3 of "Sparse DNNs with Improved Adversarial Robustness" (2018), by Monte Carlo.

Equations 11 and 12 of https://arxiv.org/abs/1810.09619, on the LeNet-300-100 of table 2.
"""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from collections.abc import Sequence

import numpy as np
from etils import epy

from experiments.cli import command, flags, quiet
from experiments.cli.quiet import load_tensorflow
from experiments.studies.sparse_dnns_robustness import table_2
from experiments.studies.sparse_dnns_robustness.published import read
from robust_sparse_tf import files
from robust_sparse_tf.options import option
from robust_sparse_tf.texts import markdown_table, percent

with epy.lazy_imports():
    import tensorflow as tf
    import tf_keras as keras

    from experiments.evaluations import loading
    from robust_sparse_tf import attacks, evaluation

USAGE = "python -m experiments.studies.sparse_dnns_robustness.theorem_3_3 --networks=FOLDER"
PRUNED = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98)
"""The theorem's alpha, for all layers except the last."""

_QS = {"l2": "L_2", "linf": "L_1"}
_ERRORS = 2  # tolerance in standard errors of a mean over masks


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(table_2.OnNetworks):
    """Options of networks, images and masks."""

    output: str = option("runs/theorem_3_3", "folder of report.md and report.json")
    examples: int = option(10, "test images", unit="images", minimum=1)
    draws: int = option(20, "masks per fraction of zeros", unit="masks", minimum=2)
    radius: float = option(0.1, "radius of the theorem's ball", unit="input units", minimum=0)
    seed: int = option(0, "seed of the masks", minimum=0, maximum=2**31 - 1)


@dataclasses.dataclass(frozen=True)
class Row:
    """The constants for masks with one fraction of zeros; means over images, classes and masks.

    `largest` is the largest ratio, over images and classes, of the mean of lemma 3.1's constant
    plus two standard errors to its bound; `log10_eta` is None for an eta of 0.
    """

    constant: str
    pruned: float
    gradient: float
    lemma_3_1: float
    bound: float
    largest: float
    log10_eta: float | None


def main(argv: list[str]) -> int:
    """The command; returns its exit code, see `command.exit_code`."""
    if "--help" in argv:
        print(flags.help_of_group(Options, USAGE))
        return 0
    quiet.quiet_loggers()
    command.show_warnings()
    return command.exit_code(lambda: _theorem_3_3(argv))


def _theorem_3_3(argv: list[str]) -> int:
    options = flags.parse_group(argv, Options)
    load_tensorflow()
    dense, trained = (options.network("mlp", kind) for kind in ("dense", "sparse"))
    os.makedirs(options.output, exist_ok=True)
    test = loading.images("", "mnist", options.data_dir, options.examples)
    x = test.gather(tf.range(test.size))[0]
    rows, surgery = [], {}
    for norm, name in _QS.items():
        ball = attacks.Ball(norm, options.radius)
        rows += [_row(dense, x, ball, pruned, options) for pruned in PRUNED]
        surgery[name] = _mean(evaluation.local_lipschitz(trained, x, ball))
        print(f"{name}: measured", flush=True)
        command.raise_if_interrupted()
    asked = {name: getattr(options, name) for name in ("examples", "draws", "radius", "seed")}
    content = {
        "options": asked,
        "rows": [dataclasses.asdict(row) for row in rows],
        "trained_sparse": surgery | {"pruned": table_2.zeros(trained)},
    }
    text = "\n".join(report(rows, options, surgery, table_2.zeros(trained)))
    files.write_json(os.path.join(options.output, "report.json"), content)
    files.write_text(os.path.join(options.output, "report.md"), text)
    print(text)
    return 0


def _row(
    network: keras.Model, x: tf.Tensor, ball: attacks.Ball, pruned: float, options: Options
) -> Row:
    found = evaluation.masked_lipschitz(
        network, x, ball, pruned, draws=options.draws, seed=options.seed
    )
    most = found.upper + _ERRORS * found.error
    shares = np.divide(most, found.bound, out=np.zeros_like(most), where=found.bound > 0)
    eta = found.log_eta / math.log(10)
    return Row(
        constant=_QS[ball.norm],
        pruned=pruned,
        gradient=_mean(found.lower),
        lemma_3_1=_mean(found.upper),
        bound=_mean(found.bound),
        largest=float(np.max(shares)),
        log10_eta=eta if math.isfinite(eta) else None,
    )


def _mean(constants: np.ndarray | tf.Tensor) -> float:
    """The mean over images and all classes except the predicted one, whose constants are 0."""
    images, classes = constants.shape
    return float(np.sum(constants)) / (images * (classes - 1))


def report(
    rows: Sequence[Row], options: Options, surgery: dict[str, float], pruned: float
) -> list[str]:
    """Markdown: a table per constant, and verdicts on the theorem.

    Args:
        rows: rows of both constants, by fraction of zeros.
        options: options of the computation.
        surgery: lemma 3.1's constants of the trained sparse network.
        pruned: fraction of its weights that are zero.
    """
    header = ["zeros (%)", "constant", "gradient at the image", "lemma 3.1", "theorem", "eta"]
    table = [[*header, "largest share of the theorem's bound (%)"]]
    for row in rows:
        eta = "0" if row.log10_eta is None else f"10^{row.log10_eta:.3g}"
        means = [f"{value:.4g}" for value in (row.gradient, row.lemma_3_1, row.bound)]
        table.append([percent(row.pruned), row.constant, *means, eta, percent(row.largest)])
    return [
        f"# {read().title}: theorem 3.3",
        "",
        "Local Lipschitz constants of table 2's dense LeNet-300-100, whose first two layers are "
        f"masked at random: means over the first {options.examples} test images, 9 classes and "
        f"{options.draws} masks, in balls of radius {options.radius:g}. The expectation of the "
        "theorem's constant is between those of the gradient's norm and of lemma 3.1's bound.",
        "",
        *markdown_table(table),
        "",
        *(f"- {line}" for line in _verdicts(rows, options, surgery, pruned)),
        "",
    ]


def _verdicts(
    rows: Sequence[Row], options: Options, surgery: dict[str, float], pruned: float
) -> list[str]:
    lines = []
    for name, equation in (("L_2", 11), ("L_1", 12)):
        own = [row for row in rows if row.constant == name]
        largest, means = max(row.largest for row in own), [row.lemma_3_1 for row in own]
        falls = all(after < before for before, after in zip(means, means[1:], strict=False))
        lines += [
            f"{name} is below c (1 - eta), equation {equation}: "
            f"{'held' if largest <= 1 else 'not held'} ({len(own)} shares, {options.examples} "
            f"images, 9 classes; at most {percent(largest)} % of the bound).",
            f"{name} decreases with sparsity: for random masks "
            f"{'held' if falls else 'not held'} (lemma 3.1: {means[0]:.4g} without zeros, "
            f"{means[-1]:.4g} with {percent(own[-1].pruned)} %); for the sparse network of table "
            f"2, pruned by {percent(pruned)} % while it was trained, "
            f"{'held' if surgery[name] < means[0] else 'not held'} ({surgery[name]:.4g}).",
        ]
    most = max((row.log10_eta for row in rows if row.log10_eta is not None), default=None)
    if most is not None and most < -16:
        lines.append(
            f"eta, the part of the bound that grows with sparsity, is at most 10^{most:.3g}: for "
            "this network the theorem has the same bound for all sparsities, the dense network's c."
        )
    return lines


if __name__ == "__main__":
    command.leave(main(sys.argv))
