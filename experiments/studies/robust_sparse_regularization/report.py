"""The report of "Robust Sparse Regularization" (2019).

Noise on weights and a lasso in adversarial training on CIFAR-10, and pruning after it.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.evaluations.follow_up import Evaluation
from experiments.evaluations.stored import Weights
from experiments.reports import measures, published
from experiments.reports.published import Stored
from experiments.reports.robustness import AttackedNetwork
from experiments.studies import budgets, claims, overfitting, stronger_attacks
from experiments.studies.cells import robust_round
from experiments.studies.protocol import Part
from experiments.studies.robust_sparse_regularization import figures, findings, numbers, tables
from experiments.studies.robust_sparse_regularization.numbers import Networks
from experiments.studies.robust_sparse_regularization.protocol import (
    NETWORKS,
    PROTOCOL,
    STEPS,
    STUDY,
)
from experiments.sweeps import directory, trials
from experiments.sweeps.directory import Cell

READ = (
    "The text has no optimizer, learning rate, batch size or epochs. Ours are those of the "
    'program of "Parametric Noise Injection" (He, Rakin and Fan, 2019), on which the paper '
    "builds: SGD of 0.1 with Nesterov's momentum 0.9, weight decay 3e-4 except on alpha, batches "
    "of 128, 160 epochs, a tenth of the learning rate at 80 and 120, the first 5 epochs without "
    "an attack.",
    "The same program attacks the network's own prediction in training, and the true label in "
    "tests. The network is in inference mode then, with new noise at each step.",
    "PGD has 7 steps of 2/255 and a random start, as in the work that the paper cites; that "
    "program has steps of 0.01 (`variants.flags`). Equation 2 starts at the image itself, but the "
    'text has "randomness in PGD".',
    '"5 trials" are 5 evaluations of a network here. In brackets is their deviation; after ± is '
    "that of trainings with several seeds.",
    "Fine-tuning in section 5 is the choice of gamma; nothing is trained after pruning.",
    "Pruned networks have, each, the sparsity that table 1 prints for them.",
    "The published capacity of VGG-16, 138,357,544, is that of the network for ImageNet; ours has "
    "14,724,042 parameters.",
    "The row of PGD training at width 1 of table 2 (86.82 and 47.85) is that of CNI in table 1, "
    "where PGD training has 86.11 and 44.31.",
    "In table 2, 0.125 and 14.37 are misprints: a quarter of the width leaves 0.0628 of the "
    "parameters, and 100 - 85.36 is 14.64.",
    "The text finds the best accuracy with VGG-16; in table 1 it is that of ResNet-18. VGG-16 has "
    "the largest gain.",
    "Table 3: the target RSR is pruned, as in table 4. Whether success counts images that were "
    "wrong before the attack, and how the sources were trained, is not in the text: both are "
    "shown.",
)
"""How contradictions and gaps of the text were read."""


def report(
    folder: str, cells: Sequence[Cell], attacked: Sequence[AttackedNetwork]
) -> tuple[str, Mapping[str, object]]:
    """Tables 1 to 5, figures 1 and 2, claims, and stronger attacks.

    Args:
        folder: folder of the sweep, for the figures.
        cells: see `experiments.studies`.
        attacked: see `robustness.attacked`.

    Returns:
        Markdown, and the numbers of its tables.
    """
    known, sweep = published.stored(STUDY), directory.read(folder)
    found_weights = _weights(cells, measures.of_cells(cells, sweep.measurements))
    part = functools.partial(
        _tables, folder=folder, evaluations=sweep.evaluations, weights=found_weights
    )
    found, content = PROTOCOL.report(cells, known, part)
    text, strong = stronger_attacks.table(attacked)
    lines = [f"# {known.title}", "", *PROTOCOL.head(cells), *budgets.head(cells, STEPS), *found]
    lines += ["## How it was read", "", *(f"- {line}" for line in READ), ""]
    beyond = {"beyond": [each.as_json() for each in strong]}
    return "\n".join(lines) + "\n" + text, content | beyond


def _tables(
    cells: Sequence[Cell],
    known: Stored,
    place: str,
    *,
    folder: str,
    evaluations: Sequence[Evaluation],
    weights: Mapping[str, Mapping[int, Weights]],
) -> Part:
    """All tables and figures of cells with the same settings."""
    nets = Networks(cells, evaluations, known)
    table_1, table_3 = numbers.table_1(nets), trials.drawn(folder).get("table_3", {})
    sparsities = {model: numbers.by_sparsity(nets, model) for model in NETWORKS}
    lambdas = numbers.by_lambda(nets)
    drawn = _of_trainings(nets, weights)
    held = findings.of_table_1(table_1, nets)
    held += findings.of_others(nets, sparsities, lambdas, drawn, table_3)
    short = claims.is_short(cells, STEPS)
    held = claims.given_length(held, short)
    others = tables.others(nets)
    gaps = overfitting.gaps(
        cells, [tables.name_of(c) for c in cells], list(map(robust_round, cells))
    )
    lines = tables.table_1(table_1, known.beside)
    lines += [*tables.table_2(nets), *tables.table_3(table_3, nets), *tables.table_4(nets)]
    lines += [*tables.table_5(nets), *claims.markdown(held)]
    lines += ["## Figures", ""]
    lines += figures.figure_1(folder, place, drawn) if drawn else tables.missing("Figure 1")
    if not any(len(points) > 1 for points in sparsities.values()):
        lines += tables.missing("Figure 2 (a)")
    lines += figures.figure_2(folder, place, sparsities, lambdas, drawn)
    lines += [*tables.lambdas(lambdas), *tables.below(drawn), *tables.noise(cells, weights)]
    lines += [*tables.rivals(others), *overfitting.markdown(gaps)]
    return lines, {
        "table_1": [row.as_json() for row in table_1.values()],
        "table_3": table_3,
        "figure_2": {
            "sparsities": sparsities,
            "lambdas": {f"{weight:g}": own for weight, own in lambdas.items()},
            "below": {kind: own["below"] for kind, own in drawn.items()},
        },
        "rivals": [row.as_json() for row in others],
        "overfitting": [gap.as_json() for gap in gaps],
        "short": short,
        "claims": [claim.as_json() for claim in held],
    }


def _weights(
    cells: Sequence[Cell], measured: Mapping[str, measures.Measured]
) -> dict[str, dict[int, Weights]]:
    """The measured weights by cell and round."""
    return {
        cell.name: {number: own.weights for number, own in measured[cell.name] if own.weights}
        for cell in cells
    }


def _of_trainings(
    nets: Networks, weights: Mapping[str, Mapping[int, Weights]]
) -> dict[str, Weights]:
    """The weights of ResNet-18 before pruning, of the first seed of each training."""
    found: dict[str, Any] = {}
    for kind in figures.TRAININGS:
        for cell in nets.of("resnet18", kind)[:1]:
            own = weights[cell.name].get(robust_round(cell))
            if own:
                found[kind] = own
    return found
