"""The report of "Sparse DNNs with Improved Adversarial Robustness" (2018).

Linear models, LeNet-300-100 and LeNet-5 on MNIST, pruned round by round.
"""

import os
import statistics
from typing import Any

from experiments.cli.tables import deviation
from experiments.reports import measures, published
from experiments.studies import stronger_attacks
from experiments.studies.cells import Cell, flag, measurements, select
from experiments.studies.sparse_dnns_robustness import figures
from robust_sparse_tf.texts import markdown_table

STUDY = "sparse_dnns_robustness"
NETWORKS = figures.NETWORKS
DEEP = {"mlp": "lenet_300_100", "lenet5": "lenet5"}
"""What the published numbers call a model of ours."""

# What a table calls a measure, with the digits after the point; those in percent are fractions.
_COLUMNS = {
    "accuracy": ("accuracy (%)", 2),
    "r_inf_fgsm": ("r_inf FGS", 4),
    "r_inf_rfgsm": ("r_inf rFGS", 4),
    "bound_r_inf": ("bound on r_inf", 4),
    "r_2_deepfool": ("r_2 DeepFool", 4),
    "r_2_carlini_wagner": ("r_2 Carlini-Wagner", 4),
    "bound_r_2": ("bound on r_2", 4),
    "clever": ("CLEVER", 4),
    "lipschitz_l2": ("L_2 of lemma 3.1", 2),
    "lipschitz_linf": ("L_1 of lemma 3.1", 2),
    "activation_sparsity": ("silent units before the last layer (%)", 2),
}
_PERCENT = ("accuracy", "activation_sparsity")
# The weights of the activations' norm that were chosen for the published rows' sparsities.
_L1 = {"mlp": (0.0, 0.002, 0.01), "lenet5": (0.0, 0.003, 0.03)}
_TABLE_1 = ("r_inf_fgsm", "r_2_deepfool", "accuracy", "activation_sparsity")
_TABLE_2 = ("r_inf_fgsm", "r_2_deepfool")

Series = list[dict[str, Any]]
"""An entry a round: `round`, `sparsity` (a fraction) and the `trials` of each measure, by the name
of the reference's cell, in the unit of its table."""


def report(folder: str, cells: list[Cell], attacked: list[dict]) -> tuple[str, dict[str, Any]]:
    """Tables 1 and 2, the linear models' numbers, figures 1 to 3, and what stronger attacks leave.

    Args:
        folder: the sweep's, in which the figures are drawn.
        cells: see `experiments.studies`.
        attacked: see `robustness.summarise`.

    Returns:
        Markdown, and the numbers of its tables.
    """
    study = published.load(STUDY)
    texts = measurements(folder)
    runs = {cell["name"]: os.path.join(folder, cell["name"]) for cell in cells}
    plain = select(cells, activity_l1=0.0)
    found = {
        model: own for model in NETWORKS if (own := series(select(plain, model=model), runs, texts))
    }
    penalised = _table_1(cells, runs, texts, study)
    text, strong = stronger_attacks.table(attacked)
    numbers = {
        "dense": _dense(found, study),
        "table_1": penalised,
        "table_2": _table_2(found, study),
        "rounds": {model: [_means(entry) for entry in own] for model, own in found.items()},
        "held": [*_held(found), *_held_of_activity(penalised)],
        "beyond": strong,
    }
    lines = [f"# {study.get('study', STUDY)}", "", *_assumed(cells, texts), ""]
    lines += _section("Linear models and references", numbers["dense"])
    lines += _section("Table 1: the l1 norm of activations penalised", numbers["table_1"])
    lines += _section("Table 2: over-pruned networks", numbers["table_2"])
    lines += ["## What held", "", *(f"- {line}" for line in numbers["held"]), ""]
    lines += [_near(numbers["dense"] + numbers["table_1"] + numbers["table_2"]), ""]
    lines += figures.draw(folder, found)
    for model, own in found.items():
        lines += [f"## Rounds: {NETWORKS[model]}", "", *_rounds(own), ""]
    lines += _told([w for run in runs.values() for w in measures.warnings(run, texts)])
    return "\n".join(lines) + "\n" + text, numbers


def series(cells: list[Cell], runs: dict[str, str], texts: list[str]) -> Series:
    """The measures of each round of networks that differ in nothing but their seeds.

    The accuracy is the run's own, of all test images.

    Args:
        cells: of the references; rounds that none of them has measured are left out.
        runs: the directories of the cells by their names.
        texts: what the sweep measured, see `measures.parse`.
    """
    found: dict[int, dict[str, Any]] = {}
    for cell in cells:
        for number, own in measures.of_rounds(runs[cell["name"]], texts).items():
            trained = cell["rounds"][number]
            empty = {"round": number, "sparsity": 1 - trained["density"], "trials": {}}
            entry = found.setdefault(number, empty)
            for name, value in (own | {"accuracy": trained["test"]["clean_accuracy"]}).items():
                shown = 100 * value if name in _PERCENT else value
                entry["trials"].setdefault(name, {})[cell["name"]] = shown
    return [found[number] for number in sorted(found)]


def _trials(entry: dict[str, Any] | None, name: str) -> list[float]:
    """A measure of a round, one number a reference; none where it is not measured."""
    return [*entry["trials"].get(name, {}).values()] if entry else []


def _means(entry: dict[str, Any]) -> dict[str, Any]:
    """A round's entry of report.json."""
    spreads = {
        name: {
            "mean": statistics.fmean(values),
            "std": deviation(values),
            "references": len(values),
        }
        for name, values in ((name, _trials(entry, name)) for name in entry["trials"])
    }
    return {"round": entry["round"], "sparsity": entry["sparsity"], "measures": spreads}


def _dense(found: dict[str, Series], study: dict[str, Any]) -> list[dict[str, Any]]:
    """The numbers that the study's text has of dense networks, and of one round of pruning."""
    linear, references = study.get("linear", {}), study.get("references", {})
    rows = [
        _row(found, "binary_linear", 0, "accuracy", linear.get("binary_1_vs_7_accuracy")),
        _row(found, "linear", 0, "accuracy", linear.get("ten_class_accuracy")),
    ]
    for name in ("deepfool", "carlini_wagner"):
        theirs = linear.get(f"binary_r2_{name}", {})
        for number, key in enumerate(("dense", "after_one_round")):
            rows.append(_row(found, "binary_linear", number, f"r_2_{name}", theirs.get(key)))
    for model, name in DEEP.items():
        rows.append(_row(found, model, 0, "accuracy", references.get(f"{name}_accuracy")))
    return rows


def _row(
    found: dict[str, Series], model: str, number: int, measure: str, theirs: dict | None
) -> dict[str, Any]:
    """One number beside the published one."""
    entry = next((each for each in found.get(model, []) if each["round"] == number), None)
    name = NETWORKS[model] + (f", round {number}" if number else "")
    return _compared(name, entry, {measure: _trials(entry, measure)}, {measure: theirs})


def _compared(
    name: str, entry: dict | None, ours: dict[str, list[float]], theirs: dict[str, Any]
) -> dict[str, Any]:
    """A row of a table: our trials of some measures against published figures."""
    return {
        "network": name,
        "sparsity": entry and entry["sparsity"],
        "measures": {
            measure: published.compare(values, _figure(theirs.get(measure)))
            for measure, values in ours.items()
        },
    }


def _figure(value: Any) -> dict[str, float] | None:
    """A published figure: as it is, [mean, deviation], or a number alone."""
    if isinstance(value, list):
        return dict(zip(("mean", "std"), value, strict=False))
    return {"mean": value} if isinstance(value, int | float) else value


def _table_1(
    cells: list[Cell], runs: dict[str, str], texts: list[str], study: dict[str, Any]
) -> list[dict[str, Any]]:
    """Dense networks by the weight of their activations' norm."""
    rows = []
    for model, name in DEEP.items():
        nets = select(cells, model=model)
        theirs = published.aligned(_L1[model], study.get("table_1_l1", {}).get(name, []))
        for weight in sorted({*_L1[model], *(flag(cell, "activity_l1") for cell in nets)}):
            own = series(select(nets, activity_l1=weight), runs, texts)
            dense = own[0] if own and own[0]["round"] == 0 else None
            trials = {key: _trials(dense, key) for key in _TABLE_1}
            known = published.aligned(_TABLE_1, theirs.get(weight, []))
            rows.append(
                _compared(f"{NETWORKS[model]}, l1 {weight:g}", dense, trials, known)
                | {"model": model, "activity_l1": weight}
            )
    return rows


def _table_2(found: dict[str, Series], study: dict[str, Any]) -> list[dict[str, Any]]:
    """Dense networks, and those pruned nearly as far as the study's over-pruned ones."""
    rows = []
    for model, name in DEEP.items():
        for kind in ("dense", "sparse"):
            theirs = study.get("table_2_over_pruning", {}).get(f"{name}_{kind}", [])
            known = published.aligned((*_TABLE_2, "pruned"), theirs)
            percent = 0.0 if kind == "dense" else known.get("pruned")
            entry = _nearest(found.get(model, []), percent)
            trials = {key: _trials(entry, key) for key in _TABLE_2}
            pruned = "-" if percent is None else f"{percent:g} %"
            label = f"{NETWORKS[model]}, {kind} (published: {pruned} pruned)"
            rows.append(_compared(label, entry, trials, known))
    return rows


def _nearest(own: Series, percent: float | None) -> dict[str, Any] | None:
    """The round with about this share of its weights pruned; None where there is none."""
    if percent is None or not own:
        return None
    return min(own, key=lambda entry: abs(100 * entry["sparsity"] - percent))


def _section(title: str, rows: list[dict[str, Any]]) -> list[str]:
    """A table of all measures that any of its rows has."""
    names = list(dict.fromkeys(name for row in rows for name in row["measures"]))
    table = [["network", "pruned (%)", *(_COLUMNS[name][0] for name in names)]]
    for row in rows:
        sparsity = "-" if row["sparsity"] is None else f"{100 * row['sparsity']:.2f}"
        own = row["measures"]
        shown = [
            published.beside(own[name], _COLUMNS[name][1]) if name in own else "" for name in names
        ]
        table.append([row["network"], sparsity, *shown])
    note = "Ours, mean ± deviation over references (published; our difference in published σ)."
    missing = [
        f"{row['network']}: {_COLUMNS[name][0]}"
        for row in rows
        for name, found in row["measures"].items()
        if not found["published"]
    ]
    told = [f"No published number of {'; '.join(missing)}.", ""] if missing else []
    return [f"## {title}", "", note, "", *markdown_table(table), "", *told]


def _rounds(own: Series) -> list[str]:
    names = [name for name in _COLUMNS if any(name in entry["trials"] for entry in own)]
    table = [["round", "pruned (%)", *(_COLUMNS[name][0] for name in names)]]
    for entry in own:
        shown = [
            published.beside(published.compare(_trials(entry, name), None), digits)
            for name, (_, digits) in _COLUMNS.items()
            if name in names
        ]
        table.append([str(entry["round"]), f"{100 * entry['sparsity']:.2f}", *shown])
    return markdown_table(table)


def _told(warnings: list[str]) -> list[str]:
    """What could not be measured, and the first warning of each attack, with how many there are."""
    alike: dict[str, list[str]] = {}
    for warning in warnings:
        key = warning if " not measured: " in warning else warning.split()[0]
        alike.setdefault(key, []).append(warning)
    return [
        f"**Note:** {own[0]}{f' (the first of {len(own)} such)' if len(own) > 1 else ''}\n"
        for own in alike.values()
    ]


def _held(found: dict[str, Series]) -> list[str]:
    """Of each network and measure where it was best, and what the last round left."""
    lines = []
    for model, own in found.items():
        for name in ("r_inf_fgsm", "r_2_deepfool", "r_2_carlini_wagner", "clever"):
            measured = [entry for entry in own if name in entry["trials"]]
            if len(measured) >= 2:
                lines.append(f"{NETWORKS[model]}, {_COLUMNS[name][0]}: {_best(measured, name)}")
    return lines


def _best(measured: Series, name: str) -> str:
    """The round that stands most beside the dense network, and the last round."""
    values = [entry["trials"][name] for entry in measured]
    pruned = [100 * entry["sparsity"] for entry in measured]
    means = [statistics.fmean(trials.values()) for trials in values]
    best = means.index(max(means[1:]), 1)
    dense = values[0]
    gained = [value > dense[cell] for cell, value in values[best].items() if cell in dense]
    spread = max(deviation([*values[place].values()]) or 0 for place in (0, best))
    said = _compare_words(means[best] - means[0], spread, "never more robust")
    return (
        f"pruned networks were {said} than the dense one ({means[0]:.4f}): at best "
        f"{means[best]:.4f} with {pruned[best]:.2f} % pruned ({sum(gained)} of {len(gained)} "
        f"references gain), and {means[-1]:.4f} with {pruned[-1]:.2f} %."
    )


def _held_of_activity(rows: list[dict[str, Any]]) -> list[str]:
    """Whether penalised activations made networks more robust."""
    lines = []
    for model in DEEP:
        own = [row for row in rows if row["model"] == model]
        means = {row["activity_l1"]: row["measures"]["r_inf_fgsm"]["mean"] for row in own}
        deviations = {r["activity_l1"]: r["measures"]["r_inf_fgsm"]["std"] for r in own}
        plain = means[0.0]
        for row in own:
            value = means[row["activity_l1"]]
            if row["activity_l1"] and plain is not None and value is not None:
                spread = max(deviations[0.0] or 0, deviations[row["activity_l1"]] or 0)
                lines.append(
                    f"{row['network']}: {_compare_words(value - plain, spread, 'less robust')} "
                    f"than without (r_inf {value:.4f} against {plain:.4f})."
                )
    return lines


def _compare_words(gain: float, spread: float, otherwise: str) -> str:
    """What a gain is called, beside the deviation of references."""
    if gain <= 0:
        return otherwise
    return "more robust" if gain > spread else "more robust, by less than references are apart,"


def _near(rows: list[dict[str, Any]]) -> str:
    """How many numbers are within two published deviations, or 5 % where none is published."""
    compared = [
        found
        for row in rows
        for found in row["measures"].values()
        if found["difference"] is not None
    ]
    near = [found for found in compared if abs(found["difference"]) <= _tolerance(found)]
    return (
        f"Of {len(compared)} numbers {len(near)} are within 2 published standard deviations of the "
        "published ones, or 5 % where no deviation is published or it is 0.00."
    )


def _tolerance(found: dict[str, Any]) -> float:
    std = found["published"].get("std")
    return 2 * std if std else 0.05 * abs(found["published"]["mean"])


def _assumed(cells: list[Cell], texts: list[str]) -> list[str]:
    """What the study leaves open, and what was taken for it."""
    l2 = sorted({flag(cell, "l2") for cell in select(cells, model="binary_linear")})
    steps = {(flag(cell, "model"), flag(cell, "iterations")) for cell in cells}
    trained = [f"{NETWORKS.get(model, model)}: {count:,}" for model, count in sorted(steps)]
    return [
        f"Iterations a round: {'; '.join(trained)} (the study: 50,000 of LeNet-300-100 and "
        f"LeNet-5). {measures.images(texts)} DeepFool is not "
        "clipped to the range of images, as its authors' program, and as the study's r_2 of linear "
        "models must be, and goes 2 % beyond the boundary (its overshoot), so that its r_2 may be "
        "as much above a bound; Carlini-Wagner, FGS and rFGS are clipped. The l1 norm is of all "
        "hidden ReLUs' outputs, summed over units and averaged over examples, its weights chosen "
        "for sparsities near the published ones. Figure 3 is taken to be CLEVER and the constants "
        "of lemma 3.1 against sparsity."
        + (
            f" The binary model's weight decay, which the study does not tell, is {l2[-1]:g}."
            if l2
            else ""
        )
    ]
