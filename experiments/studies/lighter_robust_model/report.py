"""The report of "Towards lighter adversarially robust model".

Networks of rising capacity, the features of binary ones, and lottery tickets, on MNIST.
"""

import math
import os
from typing import Any

from experiments.reports import measures, published
from experiments.studies import stronger_attacks
from experiments.studies.cells import (
    Cell,
    accuracy,
    flag,
    how,
    measurements,
    select,
    tested,
    values_of,
)
from experiments.studies.lighter_robust_model import figures
from experiments.studies.lighter_robust_model import findings as held
from robust_sparse_tf import models
from robust_sparse_tf.texts import markdown_table

STUDY = "lighter_robust_model"
# The attack of training, and the study's table of it.
TABLES = {
    "pgd": ("Table II: trained with PGD", "table_2_pgd_trained"),
    "fgsm": ("Table III: trained with FGSM", "table_3_fgsm_trained"),
}
ATTACKS = figures.ATTACKS
_FEATURES = 100  # of binary_cnn, before its width


def report(folder: str, cells: list[Cell], attacked: list[dict]) -> tuple[str, dict[str, Any]]:
    """Tables I to III, figures 2, 3 and 5 to 12, and what stronger attacks leave.

    Args:
        folder: the sweep's, in which the figures are drawn.
        cells: see `experiments.studies`.
        attacked: see `robustness.summarise`.

    Returns:
        Markdown, and the numbers of its tables.
    """
    study = published.load(STUDY)
    texts = measurements(folder)
    binary = select(cells, model="binary_cnn")
    useful = {
        cell["name"]: measures.of_rounds(os.path.join(folder, cell["name"]), texts)
        for cell in binary
    }
    dense = select(cells, model="capacity_cnn", rounds=1)  # what is pruned is no network of it
    scales = _scales(dense, study)
    features, pruned = _features(binary, useful), _pruned(binary)
    tickets = _tickets(select(cells, model="mlp_300_100_100"), study)
    told = [*held.capacity(scales), *held.features(features), *held.pruning(pruned)]
    told += held.tickets(tickets)
    text, strong = stronger_attacks.table(attacked)
    numbers = {
        "scales": scales,
        "features": features,
        "pruning": pruned,
        "tickets": tickets,
        "held": told,
        "beyond": strong,
    }
    lines = [f"# {study.get('study', STUDY)}", "", *_protocol(cells, texts)]
    lines += [*_sizes(dense, study), *_capacity(scales)]
    lines += _usefulness(features) or ["Features and their pruning: not run.", ""]
    lines += [*_pruning(pruned), *(_lottery(tickets) or ["Lottery tickets: not run.", ""])]
    lines += ["## What held", "", *(f"- {line}" for line in told or ["Nothing to say yet."]), ""]
    lines += figures.draw(folder, scales, features, pruned, tickets)
    return "\n".join(lines) + "\n" + text, numbers


def _protocol(cells: list[Cell], texts: list[str]) -> list[str]:
    """How long and with which attack the networks were trained, beside the study's own."""
    trained: dict[str, list[str]] = {}
    for cell in cells:
        model = flag(cell, "model")
        scale = f" of scale {math.log2(flag(cell, 'width')):g}" if model == "capacity_cnn" else ""
        rate, count = flag(cell, "learning_rate"), flag(cell, "iterations")
        rounds = " a round" if flag(cell, "rounds") > 1 else ""
        own = f"{count:,}{rounds} at {flag(cell, 'optimizer')}'s learning rate {rate:g}"
        trained.setdefault(own, []).append(f"{model}{scale}")
    words = [f"{', '.join(dict.fromkeys(nets))}: {own}" for own, nets in trained.items()]
    batch = " and ".join(f"{size:,}" for size in values_of(cells, "batch_size"))
    attack = " or ".join(dict.fromkeys(f"{flag(c, 'steps')} steps of {_step(c)}" for c in cells))
    return [
        f"Iterations of batch {batch}: {'; '.join(words)}. PGD, in training and in tests, takes "
        f"{attack}. The study trains the scales of capacity for 50 epochs (23,450 iterations of "
        "batch 128) at SGD's learning rate 0.001, tickets for 12 epochs a round, with PGD of 40 "
        f"steps of 0.01. {measures.images(texts)}".rstrip(),
        "",
        *tested(cells),
    ]


def _step(cell: Cell) -> str:
    size = flag(cell, "step_size")
    return "2.5 x epsilon / steps" if size is None else f"{size:g}"


def _mean(cells: list[Cell], number: int, attack: str) -> float | None:
    """The accuracy (percent) of a round over the trials that have it."""
    own = [cell["rounds"][number]["test"] for cell in cells if number < len(cell["rounds"])]
    found = [value for each in own if (value := accuracy(each, attack)) is not None]
    return sum(found) / len(found) if found else None


def _sizes(cells: list[Cell], study: dict[str, Any]) -> list[str]:
    """Table I: what the scales are, with our counts of parameters beside the published."""
    known = study.get("capacity_scales", {})
    rows = [["scale", "filters", "hidden units", "parameters (published)", "model.tflite (KB)"]]
    for scale in range(6):
        network = models.capacity_cnn(width=2**scale)
        first, second, hidden, _ = [w.shape[-1] for w in network.weights if "kernel" in w.name]
        theirs = published.aligned(range(6), known.get("parameters", [])).get(scale, "-")
        own = select(cells, width=float(2**scale))
        size = next((c["export"]["tflite_bytes"] for c in own if "export" in c), None)
        rows.append(
            [
                str(scale),
                f"{first}, {second}",
                f"{hidden:,}",
                f"{network.count_params():,} ({theirs})",
                "-" if size is None else f"{size / 1000:.0f}",
            ]
        )
    layout = (
        "The study does not print kernels, paddings and poolings; ours are 5x5 without padding and "
        "2x2, whose counts of parameters come nearest."
    )
    return ["## Table I: the scales of capacity", "", *markdown_table(rows), "", layout, ""]


def _scales(cells: list[Cell], study: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry a way of training and scale: accuracies (percent) beside the published."""
    found = []
    for trained, (_, table) in TABLES.items():
        known = study.get(table, {})
        for scale in range(6):
            own = select(cells, attack=trained, width=float(2**scale))
            entry = {"trained": trained, "scale": scale}
            for attack, title in ATTACKS.items():
                values = [accuracy(cell["rounds"][0]["test"], attack) for cell in own]
                theirs = published.aligned(
                    known.get("scales", []), known.get(title.lower(), [])
                ).get(scale)
                entry[attack] = published.compare(
                    [value for value in values if value is not None],
                    None if theirs is None else {"mean": theirs},
                )
            found.append(entry)
    return found


def _capacity(scales: list[dict[str, Any]]) -> list[str]:
    """Tables II and III."""
    lines = []
    for trained, (title, _) in TABLES.items():
        own = [entry for entry in scales if entry["trained"] == trained]
        if not any(entry["none"]["trials"] for entry in own):
            lines += [f"{title}: not run.", ""]
            continue
        lines += [f"## {title}", "", "Test accuracy in percent (published).", ""]
        rows = [["scale", *(ATTACKS[attack] for attack in ATTACKS)]]
        rows += [
            [str(e["scale"]), *(published.beside(e[attack]) for attack in ATTACKS)] for e in own
        ]
        missing = [str(e["scale"]) for e in own if not e["none"]["trials"]]
        unknown = [
            str(e["scale"])
            for e in own
            if not all(e[attack]["published"] for attack in ("none", trained))
        ]
        lines += [*markdown_table(rows), ""]
        lines += [f"Scales not run: {', '.join(missing)}.", ""] if missing else []
        lines += [f"Scales without published numbers: {', '.join(unknown)}.", ""] if unknown else []
    return lines


def _features(cells: list[Cell], useful: dict[str, dict]) -> list[dict[str, Any]]:
    """One entry a way of training: the network that is not pruned, and its features' usefulness."""
    found = []
    for trained in values_of(cells, "attack"):
        own = select(cells, attack=trained)
        entry: dict[str, Any] = {"trained": trained}
        entry |= {attack: _mean(own, 0, attack) for attack in ATTACKS}
        measured = [useful[cell["name"]].get(0, {}).get("usefulness") for cell in own]
        entry["usefulness"] = next((each for each in measured if each), None)
        found.append(entry)
    return found


def _usefulness(found: list[dict[str, Any]]) -> list[str]:
    """The binary networks and how many of their features are useful."""
    if not found:
        return []
    titles = ["useful", "robustly useful", "mean usefulness", "mean robust usefulness"]
    rows = [["trained", *ATTACKS.values(), "features that vary", *titles]]
    for entry in found:
        words = [how(entry["trained"]), *(_percent(entry[attack]) for attack in ATTACKS)]
        if use := entry["usefulness"]:
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
        "Test accuracy in percent; features of which the usefulness of the weighted feature is "
        "above 0, on the images and at the infimum that PGD finds (3 steps of 0.01). The study "
        "prints no numbers of these."
    )
    return ["## Features of 3 against 7", "", note, "", *markdown_table(rows), ""]


def _pruned(cells: list[Cell]) -> list[dict[str, Any]]:
    """One entry a round of networks that lose features: how many are left, and accuracies."""
    found = []
    for trained in values_of(cells, "attack"):
        for measure in values_of(cells, "prune_measure"):
            own = select(cells, attack=trained, prune_measure=measure, prune="features")
            for entry in own[0]["rounds"] if own else []:
                number = entry["round"]
                share = entry["layers"].get("output", 1.0)
                found.append(
                    {
                        "trained": trained,
                        "measure": measure,
                        "round": number,
                        "features": round(share * _FEATURES * flag(own[0], "width")),
                        **{attack: _mean(own, number, attack) for attack in ATTACKS},
                    }
                )
    return found


def _pruning(found: list[dict[str, Any]]) -> list[str]:
    if not found:
        return []
    rows = [["trained", "pruned by least", "features left", *ATTACKS.values()]]
    for entry in found:
        shown = [_percent(entry[attack]) for attack in ATTACKS]
        words = [how(entry["trained"]), entry["measure"].replace("_", " ")]
        rows.append([*words, str(entry["features"]), *shown])
    note = (
        "Test accuracy in percent after each round, which goes on from the weights that remain: "
        "later rounds are trained longer, so that what they gain is not pruning's alone."
    )
    return ["## Pruning the least useful features", "", note, "", *markdown_table(rows), ""]


def _tickets(cells: list[Cell], study: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry a way of training, strategy and round that the study draws."""
    drawn = study.get("lottery", {}).get("rounds_drawn", 20)
    found = []
    for trained in values_of(cells, "attack"):
        for strategy in values_of(cells, "strategy"):
            own = select(cells, attack=trained, strategy=strategy)
            for entry in own[0]["rounds"][:drawn] if own else []:
                figures_ = {attack: _mean(own, entry["round"], attack) for attack in ATTACKS}
                found.append(
                    {
                        "trained": trained,
                        "strategy": strategy,
                        "round": entry["round"],
                        "weights": 100 * entry["density"],
                        **figures_,
                    }
                )
    return found


def _lottery(found: list[dict[str, Any]]) -> list[str]:
    """A table for each way of training: the original initialisation beside another one."""
    lines = []
    for trained in dict.fromkeys(entry["trained"] for entry in found):
        own = [entry for entry in found if entry["trained"] == trained]
        strategies = list(dict.fromkeys(entry["strategy"] for entry in own))
        titles = [f"{title}: {name}" for title in ATTACKS.values() for name in strategies]
        rows = [["round", "weights (%)", *titles]]
        for number in dict.fromkeys(entry["round"] for entry in own):
            at = {entry["strategy"]: entry for entry in own if entry["round"] == number}
            words = [
                _percent(at[name][attack]) if name in at else "-"
                for attack in ATTACKS
                for name in strategies
            ]
            rows.append([str(number), f"{next(iter(at.values()))['weights']:.2f}", *words])
        lines += [f"## Lottery tickets trained {how(trained)}", ""]
        lines += ["Test accuracy in percent; `random` is initialised anew each round.", ""]
        lines += [*markdown_table(rows), ""]
    return lines


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
