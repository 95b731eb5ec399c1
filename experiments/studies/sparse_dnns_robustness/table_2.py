"""Table 2 of "Sparse DNNs with Improved Adversarial Robustness" (2018), on the paper's networks.

The paper used networks from the Internet, where those of "Dynamic Network Surgery for Efficient
DNNs" (Guo et al., 2016) still are: https://github.com/yiwenguo/Dynamic-Network-Surgery, in
`models`.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence

import numpy as np
from etils import epy

from experiments.cli import command, flags, quiet
from experiments.cli.quiet import load_tensorflow
from experiments.evaluations.measure_options import MeasureOptions
from experiments.reports import published
from experiments.reports.published import compare
from experiments.studies.sparse_dnns_robustness.numbers import Row
from experiments.studies.sparse_dnns_robustness.protocol import COLUMNS, NETWORKS, PERCENT
from experiments.studies.sparse_dnns_robustness.published import Published, read
from robust_sparse_tf import files
from robust_sparse_tf.data.options import data_dir_option
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import check, option
from robust_sparse_tf.texts import markdown_table, percent

with epy.lazy_imports():
    import tf_keras as keras

    from experiments.evaluations import loading, measuring
    from robust_sparse_tf import models

USAGE = "python -m experiments.studies.sparse_dnns_robustness.table_2 --networks=FOLDER"
FILES = {
    ("mlp", "dense"): "caffe_lenet300100_original.caffemodel",
    ("mlp", "sparse"): "caffe_lenet300100_sparse.caffemodel",
    ("lenet5", "dense"): "caffe_lenet5_original.caffemodel",
    ("lenet5", "sparse"): "caffe_lenet5_sparse.caffemodel",
}
"""The file of each row, by our model and kind."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnNetworks:
    """Options of networks and test images."""

    networks: str = option("", "folder of the .caffemodel files of table 2")
    data_dir: str | None = data_dir_option()

    def __post_init__(self) -> None:
        check(self)
        if not self.networks:
            raise InputError(f"networks: must be given, the folder of {', '.join(FILES.values())}")

    def network(self, model: str, kind: str) -> keras.Model:
        """Loads a network of `FILES`.

        Raises:
            InputError: if the file does not have it.
        """
        empty = models.lenet5() if model == "lenet5" else models.lenet_300_100(use_bias=True)
        return models.load_caffe(os.path.join(self.networks, FILES[model, kind]), empty)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(OnNetworks):
    """Options of networks, images and results."""

    output: str = option("runs/table_2", "folder of report.md and report.json")
    examples: int = option(0, "test images (0: all)", unit="images", minimum=0)
    cw_examples: int = option(200, "test images for Carlini-Wagner", unit="images", minimum=1)

    @property
    def measures(self) -> MeasureOptions:
        """The measures, as by `experiments.measure`."""
        return MeasureOptions(
            measures=["r_inf", "deepfool", "carlini_wagner", "gamma"],
            cw_examples=self.cw_examples,
            cw_constant=1.0,
            cw_searches=6,
            cw_steps=300,
        )


def main(argv: list[str]) -> int:
    """The command; returns its exit code, see `command.exit_code`."""
    if "--help" in argv:
        print(flags.help_of_group(Options, USAGE))
        return 0
    quiet.quiet_loggers()
    command.show_warnings()
    return command.exit_code(lambda: _table_2(argv))


def _table_2(argv: list[str]) -> int:
    options, known = flags.parse_group(argv, Options), read()
    load_tensorflow()
    networks = {key: options.network(*key) for key in FILES}
    os.makedirs(options.output, exist_ok=True)
    test = loading.images("", "mnist", options.data_dir, options.examples)
    rows = []
    for (model, kind), found in networks.items():
        numbers = measuring.of_network(found, test, options.measures)
        numbers |= {name: 100 * numbers[name] for name in PERCENT if name in numbers}
        theirs = known.table_2[model, kind].measures
        compared = {name: compare([value], theirs.get(name)) for name, value in numbers.items()}
        rows.append(Row(f"{NETWORKS[model]}, {kind}", zeros(found), compared))
        print(f"{rows[-1].network}: measured", flush=True)
        command.raise_if_interrupted()
    few = options.cw_examples, options.measures.lipschitz_examples
    text = "\n".join(report(rows, known, test.size, *few))
    content = {"images": test.size, "table_2": [row.as_json() for row in rows]}
    files.write_json(os.path.join(options.output, "report.json"), content)
    files.write_text(os.path.join(options.output, "report.md"), text)
    print(text)
    return 0


def zeros(network: keras.Model) -> float:
    """The fraction of a network's kernels that is zero."""
    kernels = [weight for weight in network.get_weights() if weight.ndim > 1]
    return 1 - sum(map(np.count_nonzero, kernels)) / sum(kernel.size for kernel in kernels)


def report(rows: Sequence[Row], known: Published, images: int, few: int, fewest: int) -> list[str]:
    """Markdown: the table, and verdicts on the paper's claims.

    Args:
        rows: rows of the four networks, in the order of `FILES`.
        known: the published numbers.
        images: number of images of all measures except Carlini-Wagner's and gamma.
        few: number of images for Carlini-Wagner.
        fewest: number of images for proposition 3.1's gamma.
    """
    names = list(rows[0].measures)
    table = [["network", "pruned (%)", *(COLUMNS[name].title for name in names)]]
    for row, theirs in zip(rows, known.table_2.values(), strict=True):
        pruned = percent(row.sparsity or 0)
        pruned += "" if theirs.pruned is None else f" ({theirs.pruned:.2f})"
        shown = [published.beside(row.measures[name], COLUMNS[name].digits) for name in names]
        table.append([row.network, pruned, *shown])
    return [
        f"# {known.title}: table 2",
        "",
        f"The paper's own networks on the first {images:,} test images ({few:,} for "
        f"Carlini-Wagner, {fewest:,} for gamma); ours (published). DeepFool is "
        "not clipped to the range of images, FGS, rFGS and Carlini-Wagner are. Pruned is the share "
        "of the kernels' weights that are zero.",
        "",
        *markdown_table(table),
        "",
        *(f"- {line}" for line in [*_claims(rows), *_gammas(rows), *_agreement(rows)]),
        "",
    ]


def _claims(rows: Sequence[Row]) -> list[str]:
    """The paper's claims on sparse networks, compared with the dense ones."""
    found = []
    for dense, sparse in zip(rows[::2], rows[1::2], strict=True):
        for name in ("r_2_deepfool", "r_inf_fgsm"):
            ours = [row.measures[name].mean or 0.0 for row in (dense, sparse)]
            figures = [row.measures[name].published for row in (dense, sparse)]
            if None in figures:
                continue
            theirs = [figure["mean"] for figure in figures if figure]
            held = (ours[1] < ours[0]) == (theirs[1] < theirs[0])
            claim = "less" if theirs[1] < theirs[0] else "more"
            found.append(
                f"{sparse.network}, is {claim} robust than the dense network by "
                f"{COLUMNS[name].title}: {'held' if held else 'not held'} "
                f"({ours[1]:.4f} against {ours[0]:.4f})."
            )
    return found


def _gammas(rows: Sequence[Row]) -> list[str]:
    """Section 3.2's "a higher sparsity implies a larger gamma", of proposition 3.1."""
    found = []
    for dense, sparse in zip(rows[::2], rows[1::2], strict=True):
        for name in sorted({*sparse.measures} & {"gamma_l2", "gamma_linf"}):
            title, digits = COLUMNS[name]
            ours = [row.measures[name].mean or 0.0 for row in (dense, sparse)]
            found.append(
                f"{sparse.network}, has a larger {title} than the dense network: "
                f"{'held' if ours[1] > ours[0] else 'not held'} "
                f"({ours[1]:.{digits}f} against {ours[0]:.{digits}f})."
            )
    return found


def _agreement(rows: Sequence[Row]) -> list[str]:
    """The differences of each measure from the published numbers."""
    found = []
    for name in ("r_inf_fgsm", "r_2_deepfool"):
        compared = [row.measures[name] for row in rows]
        apart = [abs(each.difference) for each in compared if each.difference is not None]
        if apart:
            found.append(
                f"{COLUMNS[name].title} differs from the published one by at most "
                f"{max(apart):.4f} ({len(apart)} networks)."
            )
    less = [_needs_less(row) for row in rows]
    if any(less):
        found.append(
            "Carlini-Wagner, which is clipped, finds smaller distances on average than the "
            "published r_2 of "
            f"DeepFool for {sum(less)} of {len(rows)} networks: that is not the minimum distance."
        )
    return found


def _needs_less(row: Row) -> bool:
    ours, theirs = row.measures.get("r_2_carlini_wagner"), row.measures["r_2_deepfool"].published
    return bool(ours and ours.mean is not None and theirs and ours.mean < theirs["mean"])


if __name__ == "__main__":
    command.leave(main(sys.argv))
