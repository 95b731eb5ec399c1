"""The report of "Dynamic Sparse Adversarial Training for Robust Image Classification".

Dense, SET and RigL networks on CIFAR-10 and CIFAR-100: clean training, then adversarial training.
"""

import functools
from collections.abc import Mapping, Sequence

from experiments.reports import measures, published
from experiments.reports.published import Stored
from experiments.reports.robustness import AttackedNetwork
from experiments.studies import budgets, claims, overfitting, stronger_attacks
from experiments.studies.cells import robust_round
from experiments.studies.dynamic_sparse_adversarial import (
    attention,
    figures,
    findings,
    numbers,
    tables,
)
from experiments.studies.dynamic_sparse_adversarial.numbers import Connections
from experiments.studies.dynamic_sparse_adversarial.protocol import (
    DATASETS,
    PROTOCOL,
    STEPS,
    STUDY,
)
from experiments.studies.protocol import Part
from experiments.sweeps import directory, trials
from experiments.sweeps.directory import Cell

READ = (
    "Part I has 250 robust epochs in the text and 150 in the caption of figure 3: there is a "
    "flagfile of each.",
    "Part II has 50 clean epochs in the text, the captions of figures 4 and 5 have 100. Ours has "
    "50.",
    "The text says that the number of connections is fixed; in table I it falls from the clean to "
    "the robust phase. It is fixed here, except in `density_per_phase.flags`.",
    "The text has six or nine models; table I and figure 3 need 18 trainings each, and 18 are run.",
    "Equation 3 has the adversarial loss alone, which is ours; parts of the text have clean "
    "images in the training pool, too (`variants.flags`).",
    'Robust training "none" is the network after its clean phase. The control beside it trains '
    "as many more clean epochs; FGSM-trained sparse networks of table I beat the clean ones on "
    "clean images, which longer training alone may explain.",
    "The density is not in the text. Ours, 0.505 of all weights, leaves 10.78 million "
    "connections, and the published are 10.79; batches of 128, PGD of 7 steps of a quarter of "
    "epsilon with a random start, crops and flips, and true labels in attacks are ours, too.",
    "Momentum 0.9 of Adam is beta_1. The deviation of Norm(0, 0.25) is taken as 0.25, and "
    "negative draws by their magnitude; in evaluation each batch of images has a draw of its own, "
    "the same each time.",
    "Connections are trainable parameters that are not zeros of kernels: 21,328,292 of a dense "
    "ResNet-34 with 100 outputs, 21,282,122 with 10. Rows of CIFAR-10 with 21.33 million had 100 "
    "outputs.",
    "The epsilon of table I is not in the text, and 45 % under PGD of epsilon 0.3 is out of reach: "
    "`table_1_intensity.flags` tries five.",
)
"""How contradictions and gaps of the text were read."""


def report(
    folder: str, cells: Sequence[Cell], attacked: Sequence[AttackedNetwork]
) -> tuple[str, Mapping[str, object]]:
    """Table I, figures 3 to 5, claims, and stronger attacks.

    Args:
        folder: folder of the sweep, for the figures.
        cells: see `experiments.studies`.
        attacked: see `robustness.attacked`.

    Returns:
        Markdown, and the numbers of its tables.
    """
    known, sweep = published.stored(STUDY), directory.read(folder)
    measured = measures.of_cells(cells, sweep.measurements)
    connections = {
        name: {
            number: own["connections"]
            for number, own in measures.of_rounds(rounds).items()
            if "connections" in own
        }
        for name, rounds in measured.items()
    }
    part = functools.partial(_tables, folder=folder, connections=connections)
    found, content = PROTOCOL.report(cells, known, part)
    text, strong = stronger_attacks.table(attacked)
    lines = [f"# {known.title}", "", *PROTOCOL.head(cells), *budgets.head(cells, STEPS), *found]
    lines += ["## How it was read", "", *(f"- {line}" for line in READ), ""]
    beyond = {"beyond": [each.as_json() for each in strong]}
    return "\n".join(lines) + "\n" + text, content | beyond


def _tables(
    cells: Sequence[Cell], known: Stored, place: str, *, folder: str, connections: Connections
) -> Part:
    """All tables and figures of cells with the same settings."""
    rows, curves = numbers.table_1(cells, known, connections), numbers.curves(cells)
    controls, epsilons = numbers.controls(cells), numbers.by_epsilon(cells, known)
    explained = trials.drawn(folder).get("explanations", {}) if known.beside else {}
    names = [tables.name_of(cell) for cell in cells]
    gaps = overfitting.gaps(cells, names, list(map(robust_round, cells)))
    gains = known.content["claims"]
    held = findings.of_table_1(rows, {name: gains[f"gain_{name}"] for name in DATASETS})
    held += [*findings.of_figure_3(curves), *findings.of_explanations(explained)]
    held += findings.of_overfitting(gaps)
    short = claims.is_short(cells, STEPS)
    held = claims.given_length(held, short)
    lines = [*tables.table_1(rows, known), *tables.controls(controls)]
    lines += [*tables.by_epsilon(epsilons), *tables.part_1(curves)]
    lines += figures.figure_3(folder, place, curves)
    lines += ["## Part III: explanations", ""]
    lines += figures.explanations(folder, place, explained)
    lines += [*attention.markdown(explained), *claims.markdown(held), *tables.leaking(rows)]
    lines += overfitting.markdown(gaps)
    return lines, {
        "short": short,
        "table_1": [row.as_json() for row in rows],
        "controls": {"/".join(key): dict(own) for key, own in controls.items()},
        "epsilons": [vars(each) for each in epsilons],
        "part_1": [vars(each) for each in curves],
        "overfitting": [gap.as_json() for gap in gaps],
        "claims": [claim.as_json() for claim in held],
    }
