"""Tables of "Dynamic Sparse Adversarial Training" as Markdown, ours beside the published."""

from collections.abc import Mapping, Sequence

from experiments.reports import published
from experiments.reports.published import Stored
from experiments.studies.dynamic_sparse_adversarial.numbers import Curve, Row, Trained
from experiments.studies.dynamic_sparse_adversarial.protocol import (
    DATASETS,
    EPSILONS,
    METHODS,
    TRAININGS,
)
from experiments.sweeps.directory import Cell
from robust_sparse_tf.texts import markdown_table


def table_1(rows: Sequence[Row], known: Stored) -> list[str]:
    """Table I: every row, with the missing networks named, and notes on the published counts."""
    by_place: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        by_place.setdefault((row.training, row.attack, row.method), {})[row.dataset] = row
    table = [["robust training", "attack", "model"]]
    table[0] += [f"{title} (%)" for title in DATASETS.values()]
    table[0] += [f"connections, {title} (millions)" for title in DATASETS.values()]
    for (training, attack, method), own in by_place.items():
        shown = [published.beside(own[name].accuracy) for name in DATASETS]
        shown += [published.beside(own[name].connections) for name in DATASETS]
        table.append([TRAININGS[training], TRAININGS[attack], METHODS[method], *shown])
    gone = [
        f"{DATASETS[row.dataset]}: robust training {TRAININGS[row.training]}, {METHODS[row.method]}"
        for row in rows
        if not row.accuracy.trials
    ]
    note = "Test accuracy in percent" + ("; ours (published)." if known.beside else ".")
    lines = ["## Table I: ResNet-34", "", note, "", *markdown_table(table, left=3), ""]
    lines += [f"Not run: {'; '.join(dict.fromkeys(gone))}.", ""] if gone else []
    if not known.beside:
        return lines
    stored = known.content["table_1_resnet34"]
    notes = {name: own["note"] for name, own in stored.items() if "note" in own}
    alike: dict[str, list[str]] = {}
    for name, text in notes.items():
        alike.setdefault(text, []).append(name)
    lines += ["Of the published connections:", ""]
    return lines + [*(f"- {', '.join(own)}: {text}." for text, own in alike.items()), ""]


def controls(found: Mapping[tuple[str, str], Mapping[str, Sequence[float]]]) -> list[str]:
    """The control that the study lacks: as many more clean epochs as robust ones."""
    if not found:
        return ["The control, more clean epochs: not run.", ""]
    rows = [["network", *(f"attack {title}" for title in TRAININGS.values())]]
    for (dataset, method), own in found.items():
        words = [published.beside(published.compare(own[name], None)) for name in TRAININGS]
        rows.append([f"{DATASETS[dataset]}, {METHODS[method]}", *words])
    title = "Clean epochs instead of robust ones, equally many: a control (%)."
    return [title, "", *markdown_table(rows), ""]


def part_1(found: Sequence[Curve]) -> list[str]:
    """The ends of the lines of figure 3, and those that are missing."""
    titles = ["after the clean phase, attacked", "end, clean", "end, attacked"]
    rows = [["attack", "epsilon", "model", *titles]]
    known = {(each.attack, each.epsilon, each.method): each for each in found}
    gone = []
    for attack in ("fgsm", "pgd"):
        for epsilon in EPSILONS:
            for method, name in METHODS.items():
                own = known.get((attack, epsilon, method))
                words = ["-"] * 3
                if own and own.clean:
                    ends = (own.after_clean(), own.clean[-1], own.robust[-1])
                    words = ["-" if value is None else f"{value:.2f}" for value in ends]
                else:
                    gone.append(f"{TRAININGS[attack]} {epsilon} {name}")
                rows.append([TRAININGS[attack], epsilon, name, *words])
    lines = ["## Part I: ResNet-50, figure 3", "", "Validation accuracy in percent.", ""]
    lines += [*markdown_table(rows, left=3), ""]
    return lines + ([f"Not run: {'; '.join(gone)}.", ""] if gone else [])


def by_epsilon(found: Sequence[Trained]) -> list[str]:
    """Which epsilon of PGD in training comes nearest to table I; [] for one epsilon."""
    if not found:
        return []
    rows = [
        ["epsilon in training", "reach (epsilons)", "clean (%)", "PGD (%)", "distance (points)"]
    ]
    for each in found:
        reach = "drawn" if each.reach is None else f"{each.reach:.2f}"
        rows.append(
            [each.epsilon, reach, *(f"{v:.2f}" for v in (each.clean, each.pgd, each.distance))]
        )
    nearest = min(found, key=lambda each: each.distance)
    note = (
        "RigL on CIFAR-10. Reach is how far all steps go together; below 1, the ball's border is "
        "not reached. Distance is the sum of both differences from table I (74.09 clean, 44.08 "
        "under PGD)."
    )
    lines = ["## Which epsilon is that of table I?", "", note, "", *markdown_table(rows), ""]
    return [*lines, f"Nearest: {nearest.epsilon}.", ""]


def leaking(rows: Sequence[Row]) -> list[str]:
    """Networks whose accuracy under FGSM is above the clean one: a sign of label leaking."""
    known = {(r.training, r.attack, r.method, r.dataset): r.accuracy.mean for r in rows}
    found, seen = [], 0
    for dataset, title in DATASETS.items():
        for method, name in METHODS.items():
            clean = known["fgsm", "none", method, dataset]
            under = known["fgsm", "fgsm", method, dataset]
            if clean is not None and under is not None:
                seen += 1
                if under > clean:
                    found.append(f"{title}, {name} ({under:.2f} under FGSM, {clean:.2f} clean)")
    told = (
        "An accuracy under FGSM above the clean one is label leaking: the attack with true labels "
        "marks images with them. The published rows of SET and RigL have it."
    )
    if not seen:
        return ["## Beyond the paper: label leaking", "", f"{told} Not tested here.", ""]
    own = f"Here {len(found)} of {seen} networks do" + (f": {'; '.join(found)}." if found else ".")
    return ["## Beyond the paper: label leaking", "", f"{told} {own}", ""]


def name_of(cell: Cell) -> str:
    """The name of a cell's network."""
    words = [cell.flag("model"), DATASETS.get(cell.flag("dataset"), cell.flag("dataset"))]
    words += [f"trained {cell.flag('attack')}"]
    if cell.flag("attack") != "none":
        std = cell.flag("epsilon_std")
        words += [f"|Norm(0, {std:g})|" if std else f"epsilon {cell.flag('attack.epsilon'):.3g}"]
        words += [f"attacked at {cell.flag('eval.epsilon'):.3g}"] if not std else []
    words += [METHODS.get(cell.flag("method"), cell.flag("method"))]
    words += [f"seed {cell.flag('seed')}"] if cell.flag("seed") else []
    return ", ".join(words)
