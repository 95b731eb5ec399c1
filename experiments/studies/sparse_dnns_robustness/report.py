"""The report of "Sparse DNNs with Improved Adversarial Robustness" (2018).

Linear models, LeNet-300-100 and LeNet-5 on MNIST, pruned round by round.
"""

import functools
import os
from collections.abc import Mapping, Sequence

from experiments.evaluations.follow_up import Measurement
from experiments.reports import measures, published
from experiments.reports.measures import Measured
from experiments.reports.robustness import AttackedNetwork
from experiments.studies import budgets, stronger_attacks
from experiments.studies.cells import select
from experiments.studies.protocol import Part
from experiments.studies.sparse_dnns_robustness import (
    cifar,
    figures,
    findings,
    numbers,
    table_figure,
)
from experiments.studies.sparse_dnns_robustness.numbers import PenalisedRow, Row, Series
from experiments.studies.sparse_dnns_robustness.protocol import (
    CIFAR,
    COLUMNS,
    GAMMAS,
    NETWORKS,
    PROTOCOL,
)
from experiments.studies.sparse_dnns_robustness.published import Published, read
from experiments.sweeps import directory
from experiments.sweeps.directory import Cell
from robust_sparse_tf import files
from robust_sparse_tf.texts import markdown_table, percent


def report(
    folder: str, cells: Sequence[Cell], attacked: Sequence[AttackedNetwork]
) -> tuple[str, Mapping[str, object]]:
    """Table 1, the linear models' numbers, figures, and stronger attacks.

    Args:
        folder: folder of the sweep, for the figures.
        cells: see `experiments.studies`.
        attacked: see `robustness.attacked`.

    Returns:
        Markdown, and the numbers of its tables.
    """
    known, measurements = read(), directory.read(folder).measurements
    measured = measures.of_cells(cells, measurements)
    text, strong = stronger_attacks.table(attacked)
    lines = [f"# {known.title}", "", *PROTOCOL.head(cells), *_assumed(cells, measurements), ""]
    found, content = PROTOCOL.report(
        cells, known, functools.partial(_tables, measured=measured, folder=folder)
    )
    lines += found
    lines += _told([line for cell in cells for line in measures.warnings(measured[cell.name])])
    return "\n".join(lines) + "\n" + text, content | {"beyond": [each.as_json() for each in strong]}


def _tables(
    cells: Sequence[Cell],
    known: Published,
    place: str,
    *,
    measured: Mapping[str, Measured],
    folder: str,
) -> Part:
    """All tables and figures of cells with the same settings."""
    if cells[0].flag("model") in CIFAR:
        return cifar.tables(cells, place, measured=measured, folder=folder)
    plain = select(cells, activity_l1=0.0, weight_l1=0.0)
    all_series = {model: numbers.series(select(plain, model=model), measured) for model in NETWORKS}
    found = {model: own for model, own in all_series.items() if own}
    dense = numbers.dense(found, known)
    table_1 = numbers.table_1(cells, measured, known)
    by_weights = numbers.table_1_by_weights(cells, measured)
    held = [
        *findings.pruning(found),
        *findings.over_pruning(found),
        *findings.theorems(found),
        *findings.gammas(found),
        *findings.activity(table_1),
    ]
    lines = _section("Linear models and references", dense, known.beside)
    lines += _section("Table 1: the l1 norm of weights penalised", by_weights, False)
    lines += _section("Table 1: the l1 norm of activations penalised", table_1, known.beside)
    lines += _at_a_glance(folder, place, cells, table_1) if known.beside else []
    lines += _gammas(found)
    lines += ["## What held", "", *(f"- {line}" for line in held), ""]
    lines += [_near([*dense, *table_1]), ""] if known.beside else []
    lines += figures.draw(folder, found, place)
    for model, own in found.items():
        lines += [f"## Rounds: {NETWORKS[model]}", "", *_rounds(own), ""]
    return lines, {
        "dense": [row.as_json() for row in dense],
        "table_1": [row.as_json() for row in table_1],
        "table_1_by_weights": [row.as_json() for row in by_weights],
        "rounds": {model: [entry.as_json() for entry in own] for model, own in found.items()},
        "held": held,
    }


def _section(title: str, rows: Sequence[Row], beside: bool) -> list[str]:
    """A table of all measures that any row has, with published numbers or only ours."""
    if not beside:
        rows = [row for row in rows if any(found.trials for found in row.measures.values())]
    if not rows:
        return []
    names = list(dict.fromkeys(name for row in rows for name in row.measures))
    table = [["network", "pruned (%)", *(COLUMNS[name].title for name in names)]]
    for row in rows:
        sparsity = "-" if row.sparsity is None else percent(row.sparsity)
        shown = [
            published.beside(row.measures[name], COLUMNS[name].digits)
            if name in row.measures
            else ""
            for name in names
        ]
        table.append([row.network, sparsity, *shown])
    note = "Ours, mean ± deviation over references"
    note += " (published; our difference in published σ)." if beside else "."
    missing = [
        f"{row.network}: {COLUMNS[name].title}"
        for row in rows
        for name, found in row.measures.items()
        if beside and not found.published
    ]
    told = [f"No published number of {'; '.join(missing)}.", ""] if missing else []
    return [f"## {title}", "", note, "", *markdown_table(table), "", *told]


def _at_a_glance(
    folder: str, place: str, cells: Sequence[Cell], rows: Sequence[PenalisedRow]
) -> list[str]:
    """Draws table 1 beside the published numbers; returns Markdown that shows it, or none."""
    left = table_figure.strongest(directory.read(folder).evaluations, cells, rows)
    figure = table_figure.draw(rows, left)
    if not figure:
        return []
    path = os.path.join(place, "table_1.png")
    os.makedirs(os.path.join(folder, place), exist_ok=True)
    files.write_figure(figure, os.path.join(folder, path))
    return [f"![Table 1 at a glance]({path})", ""]


def _gammas(found: Mapping[str, Series]) -> list[str]:
    """Proposition 3.1's distances, for all rounds that have them."""
    lines = []
    for model, series in found.items():
        own = [entry for entry in series if "gamma_l2" in entry.trials]
        if own:
            lines += [f"{NETWORKS[model]}:", "", *_rounds(own, GAMMAS), ""]
    if not lines:
        return []
    return [
        "## Proposition 3.1: distances within which predictions cannot change",
        "",
        "The mean of equation 7's gamma, for each image the largest of R = 0.01, 0.1 and 1, with "
        "lemma 3.1's bound for the Lipschitz constant; misclassified images count 0, as in r_2, "
        "which gamma is below on the same images. The paper prints no numbers of it.",
        "",
        *lines,
    ]


def _rounds(own: Series, columns: Sequence[str] = tuple(COLUMNS)) -> list[str]:
    """A table of the measures of a network's rounds."""
    names = [name for name in columns if any(name in entry.trials for entry in own)]
    table = [["round", "pruned (%)", *(COLUMNS[name].title for name in names)]]
    for entry in own:
        shown = [
            published.beside(published.compare(entry.values(name), None), COLUMNS[name].digits)
            for name in names
        ]
        table.append([str(entry.round), percent(entry.sparsity), *shown])
    return markdown_table(table)


def _told(warnings: list[str]) -> list[str]:
    """Notes on missing measures, and the first warning of each attack, with their numbers."""
    alike: dict[str, list[str]] = {}
    for warning in warnings:
        key = warning if " not measured: " in warning else warning.split()[0]
        alike.setdefault(key, []).append(warning)
    return [
        f"**Note:** {own[0]}{f' (the first of {len(own)} such)' if len(own) > 1 else ''}\n"
        for own in alike.values()
    ]


def _near(rows: Sequence[Row]) -> str:
    """The sentence on how many numbers are within two published deviations, or 5 % without one."""
    every = (found for row in rows for found in row.measures.values())
    found = published.near(every, lambda figure: 0.05 * abs(figure["mean"]))
    near = [by_width if by_std is None else by_std for by_std, by_width in found]
    return (
        f"Of {len(near)} numbers {sum(near)} are within 2 published standard deviations of the "
        "published ones, or 5 % where no deviation is published or it is 0.00."
    )


def _assumed(cells: Sequence[Cell], measurements: Sequence[Measurement]) -> list[str]:
    """Settings that the paper leaves open, and our choices."""
    if all(cell.flag("model") in CIFAR for cell in cells):
        return [*budgets.head(cells, cifar.STEPS), f"{measures.images(measurements)} {cifar.READ}"]
    l2 = sorted({cell.flag("l2") for cell in select(cells, model="binary_linear")})
    steps = {(cell.flag("model"), cell.flag("iterations")) for cell in cells}
    trained = [f"{NETWORKS.get(model, model)}: {count:,}" for model, count in sorted(steps)]
    return [
        f"Iterations per round: {'; '.join(trained)} (the paper: 50,000 of LeNet-300-100 and "
        f"LeNet-5). {measures.images(measurements)} DeepFool is not "
        "clipped to the range of images, as its authors' program, and as the paper's r_2 of linear "
        "models must be, and goes 2 % beyond the boundary (its overshoot), so that its r_2 may "
        "exceed a bound by as much; Carlini-Wagner, FGS and rFGS are clipped. The l1 norm is of "
        "all "
        "hidden ReLUs' outputs, summed over units and averaged over examples, its weights chosen "
        "for sparsities near the published ones: the paper's text has the l1 norm of the weights "
        "there, which is a different quantity. Table 2 is about networks from the Internet, see "
        "`table_2.py`."
        + (
            f" The binary model's weight decay, which the paper does not give, is {l2[-1]:g}; it "
            "was fitted to the published r_2 of its dense network, so that this number is no "
            "evidence."
            if l2
            else ""
        )
    ]
