"""The report of "Towards lighter adversarially robust model".

Networks of rising capacity, the features of binary ones, and lottery tickets, on MNIST.
"""

import functools
import math
from collections.abc import Mapping, Sequence

from experiments.evaluations.follow_up import Evaluation, Measurement
from experiments.reports import measures, published
from experiments.reports.measures import Measured
from experiments.reports.robustness import AttackedNetwork
from experiments.studies import stronger_attacks
from experiments.studies.cells import how, seeds, select, tested, values_of
from experiments.studies.lighter_robust_model import figures, findings, numbers
from experiments.studies.lighter_robust_model.numbers import Features, Pruned, Scale, Ticket
from experiments.studies.lighter_robust_model.protocol import (
    ATTACKS,
    EPSILON,
    PROTOCOL,
    SCALES,
    TABLES,
    parameters,
    units,
)
from experiments.studies.lighter_robust_model.published import Published, read
from experiments.studies.protocol import Part
from experiments.sweeps import directory
from experiments.sweeps.directory import Cell
from robust_sparse_tf.texts import markdown_table


def report(
    folder: str, cells: Sequence[Cell], attacked: Sequence[AttackedNetwork]
) -> tuple[str, Mapping[str, object]]:
    """Tables I to III, figures 2, 3 and 5 to 12, and stronger attacks.

    Args:
        folder: folder of the sweep, for the figures.
        cells: see `experiments.studies`.
        attacked: see `robustness.attacked`.

    Returns:
        Markdown, and the numbers of its tables.
    """
    known, measurements = read(), directory.read(folder).measurements
    measured = measures.of_cells(cells, measurements)
    found, content = PROTOCOL.report(
        cells, known, functools.partial(_tables, measured=measured, folder=folder)
    )
    text, strong = stronger_attacks.table(attacked)
    lines = [f"# {known.title}", "", *PROTOCOL.head(cells), *_protocol(cells, measurements), *found]
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
    binary = select(cells, model="binary_cnn")
    dense = select(cells, model="capacity_cnn", rounds=1)  # what is pruned is no network of it
    scales = numbers.scales(dense, known)
    features, pruned = numbers.features(binary, measured), numbers.pruned(binary)
    mlps = select(cells, model="mlp_300_100_100")
    tickets = numbers.tickets(mlps, known)
    told = [*findings.capacity(scales), *findings.features(features, known.robust_features)]
    told += [*findings.pruning(pruned), *findings.controls(pruned), *findings.tickets(tickets)]
    told += findings.breakpoints(tickets, known.holds_down_to)
    lines = [*_scale_table(dense, known), *_accuracy_tables(scales, known.beside, seeds(dense))]
    lines += _feature_table(features, seeds(binary)) or ["Features and their pruning: not run.", ""]
    lines += _pruning_table(pruned, seeds(select(binary, prune="features")))
    lines += _ticket_tables(tickets, seeds(mlps)) or ["Lottery tickets: not run.", ""]
    lines += ["## What held", "", *(f"- {line}" for line in told or ["No findings yet."]), ""]
    left = _left(scales, dense, directory.read(folder).evaluations)
    lines += figures.draw(folder, place, scales, features, pruned, tickets, left)
    return lines, {
        "scales": [each.as_json() for each in scales],
        "features": [each.as_json() for each in features],
        "pruning": [each.as_json() for each in pruned],
        "tickets": [each.as_json() for each in tickets],
        "held": told,
    }


def _left(
    scales: Sequence[Scale], cells: Sequence[Cell], evaluations: Sequence[Evaluation]
) -> figures.Left:
    """Accuracy under `standard` per scale, in percent, if it was run."""
    found = {}
    for entry in scales:
        own = numbers.of_scale(cells, entry.scale, attack=entry.trained)
        left = stronger_attacks.left_of_dense(evaluations, own, EPSILON)
        if left is not None:
            found[entry.trained, entry.scale] = 100 * left
    return found


def _protocol(cells: Sequence[Cell], measurements: Sequence[Measurement]) -> list[str]:
    """Training lengths and attacks, ours and the paper's."""
    trained: dict[str, list[str]] = {}
    for cell in cells:
        model = cell.flag("model")
        scale = f" of scale {math.log2(cell.flag('width')):g}" if model == "capacity_cnn" else ""
        rate, count = cell.flag("learning_rate"), cell.flag("iterations")
        rounds = " a round" if cell.flag("rounds") > 1 else ""
        own = f"{count:,}{rounds} at {cell.flag('optimizer')}'s learning rate {rate:g}"
        trained.setdefault(own, []).append(f"{model}{scale}")
    words = [f"{', '.join(dict.fromkeys(nets))}: {own}" for own, nets in trained.items()]
    batch = " and ".join(f"{size:,}" for size in values_of(cells, "batch_size"))
    pairs = dict.fromkeys((cell.flag("attack.steps"), numbers.step_size(cell)) for cell in cells)
    attack = " or ".join(f"{steps} steps of {size:g}" for steps, size in pairs)
    return [
        f"Iterations of batch {batch}: {'; '.join(words)}. PGD, in training and in tests, takes "
        f"{attack}. The paper trains the scales of capacity for 50 epochs (23,450 iterations of "
        "batch 128) at SGD's learning rate 0.001, tickets for 12 epochs per round, with PGD of 40 "
        f"steps of 0.01. {measures.images(measurements)}".rstrip(),
        "",
        *tested(cells),
    ]


def _scale_table(cells: Sequence[Cell], known: Published) -> list[str]:
    """Table I: the scales, with our numbers of parameters beside the published ones."""
    counts = "parameters (published)" if known.beside else "parameters"
    rows = [["scale", "filters", "hidden units", counts, "model.tflite (KB)"]]
    for scale in SCALES:
        first, second, hidden = units(scale)
        theirs = known.parameters.get(scale, "-")
        exports = [cell.results.get("export") for cell in numbers.of_scale(cells, scale)]
        size = next((export["tflite_bytes"] for export in exports if export), None)
        rows.append(
            [
                str(scale),
                f"{first}, {second}",
                f"{hidden:,}",
                f"{parameters(scale):,}" + (f" ({theirs})" if known.beside else ""),
                "-" if size is None else f"{size / 1000:.0f}",
            ]
        )
    layout = (
        "The paper does not print kernels, paddings and poolings; ours are 5x5 without padding and "
        "2x2, whose numbers of parameters come nearest."
    )
    return ["## Table I: the scales of capacity", "", *markdown_table(rows), "", layout, ""]


def _accuracy_tables(scales: Sequence[Scale], beside: bool, trials: str) -> list[str]:
    """Tables II and III; `trials` is in words, here and below."""
    lines = []
    for trained, title in TABLES.items():
        own = [entry for entry in scales if entry.trained == trained]
        if not any(entry.accuracies["none"].trials for entry in own):
            lines += [f"{title}: not run.", ""]
            continue
        lines += [f"## {title}", ""]
        lines += [f"Test accuracy in percent{' (published)' if beside else ''}, {trials}.", ""]
        rows = [["scale", *ATTACKS.values()]]
        rows += [
            [str(e.scale), *(published.beside(e.accuracies[attack]) for attack in ATTACKS)]
            for e in own
        ]
        missing = [str(e.scale) for e in own if not e.accuracies["none"].trials]
        unknown = [
            str(e.scale)
            for e in own
            if beside and not all(e.accuracies[attack].published for attack in ("none", trained))
        ]
        lines += [*markdown_table(rows), ""]
        lines += [f"Scales not run: {', '.join(missing)}.", ""] if missing else []
        lines += [f"Scales without published numbers: {', '.join(unknown)}.", ""] if unknown else []
    return lines


def _feature_table(found: Sequence[Features], trials: str) -> list[str]:
    """The binary networks and their numbers of useful features."""
    if not found:
        return []
    titles = ["useful", "robustly useful", "mean usefulness", "mean robust usefulness"]
    rows = [["trained", *ATTACKS.values(), "features that vary", *titles]]
    for entry in found:
        words = [how(entry.trained), *(_percent(entry.accuracies[attack]) for attack in ATTACKS)]
        if use := entry.usefulness:
            clean, robust = use["weighted"], use["weighted_robust"]
            words += [
                str(sum(value != 0 for value in use["normalised"])),
                str(sum(value > 0 for value in clean)),
                str(sum(value > 0 for value in robust)),
                f"{sum(clean) / len(clean):.4f}",
                f"{sum(robust) / len(robust):.4f}",
            ]
        rows.append(words + ["-"] * (len(rows[0]) - len(words)))
    note = (
        f"Test accuracy in percent, {trials}; features of which the usefulness of the weighted "
        "feature is above 0, on the images and at the infimum that PGD finds (3 steps of 0.01). "
        "Of these the paper prints that no feature of a naturally trained network is robust."
    )
    return ["## Features of 3 against 7", "", note, "", *markdown_table(rows), ""]


def _pruning_table(found: Sequence[Pruned], trials: str) -> list[str]:
    """The binary networks, round by round of feature pruning."""
    if not found:
        return []
    rows = [["trained", "pruned by least", "features left", *ATTACKS.values()]]
    for entry in found:
        shown = [_percent(entry.accuracies[attack]) for attack in ATTACKS]
        measure = entry.measure.replace("_", " ") if entry.share else "nothing (control)"
        words = [how(entry.trained), measure]
        rows.append([*words, str(entry.features), *shown])
    note = (
        f"Test accuracy in percent, {trials}, after each round, which continues from the weights "
        "that remain: later rounds are trained longer, so that their gains are not only due to "
        "pruning. A control is trained equally long and keeps all features (`--prune_features=0`)"
        + (": there is none here." if all(entry.share for entry in found) else ".")
    )
    return ["## Pruning the least useful features", "", note, "", *markdown_table(rows), ""]


def _ticket_tables(found: Sequence[Ticket], trials: str) -> list[str]:
    """A table per training: the original initialisation beside a new one."""
    lines = []
    for trained in dict.fromkeys(entry.trained for entry in found):
        own = [entry for entry in found if entry.trained == trained]
        strategies = list(dict.fromkeys(entry.strategy for entry in own))
        titles = [f"{title}: {name}" for title in ATTACKS.values() for name in strategies]
        rows = [["round", "weights (%)", *titles]]
        for number in dict.fromkeys(entry.round for entry in own):
            at = {entry.strategy: entry for entry in own if entry.round == number}
            words = [
                _percent(at[name].accuracies[attack]) if name in at else "-"
                for attack in ATTACKS
                for name in strategies
            ]
            rows.append([str(number), f"{next(iter(at.values())).weights:.2f}", *words])
        lines += [f"## Lottery tickets trained {how(trained)}", ""]
        note = f"Test accuracy in percent, {trials}; `random` is initialised again each round."
        lines += [note, ""]
        lines += [*markdown_table(rows), ""]
    return lines


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
