"""Tables and figures bear the numbers that the studies' texts give to the same quantities.

The variable RST_STUDIES_DIR says where the texts are, without which these tests are skipped.
"""

import os
import re
from pathlib import Path

import pytest

from experiments.studies.lighter_robust_model.protocol import TABLES
from experiments.studies.search_sparse_robust.figures import FIGURES as A_FIGURES
from experiments.studies.sparse_dnns_robustness.figures import FIGURES as B_FIGURES

TITLES = [
    "The Search for Sparse, Robust Neural Networks",
    "Sparse DNNs with Improved Adversarial Robustness",
    "Towards lighter adversarially robust model",
]
A, B, C = range(3)
TRAINING, STOPPED = "(as training proceeds|validation loss data)", "Early-stopping iteration"
WEIGHTS = "distribution of initializations"
# Of each study: what the text calls it, and what it says there.
IN_THE_TEXT = [
    *((A, f"Figure {n}:", f"{TRAINING}.*") for n in (1, 2, 4, 6, 7, 8, 10, 12)),
    *((A, f"Figure {n}:", "Digits with the") for n in (1, 2, 3, 4, 5)),
    *((A, f"Figure {n}:", "Fashion with the") for n in (7, 8, 9, 10, 11, 12)),
    *((A, f"Figure {n}:", STOPPED) for n in (3, 5, 9, 11)),
    *((A, f"Figure {n}:", WEIGHTS) for n in (13, 14, 15)),
    (A, "Table 1:", "MNIST Digits"),
    (A, "Table 2:", "MNIST Fashion"),
    (B, "Figure 2:", r"nonlinear DNNs.*\(a\)-\(b\): LeNet-300-100, \(c\)-\(d\): LeNet-5"),
    (B, "Figure 3 in our supplementary", "rFGS and the C&W"),
    (B, "CLEVER", r"Table 3 in the supplementary"),
    (B, "Table 1:", "norm of weight matrices"),
    (B, "Table 2:", "pre-compressed nonlinear DNNs"),
    (B, "Lemma 3.1", "local Lipschitz constant"),
    (C, "Fig. 2", "FGSM attack"),
    (C, "Fig. 3", "PGD attack"),
    (C, "Fig. 5", "usefulness of the 100 normalized features"),
    (C, "Fig. 9", "lottery ticket pruning"),
    (C, "Fig. 12", "lottery ticket pruning"),
]
OURS = [
    (A_FIGURES["iterations"][1]["mnist"], [1, 2, 4, 6]),
    (A_FIGURES["iterations"][1]["fashion_mnist"], [7, 8, 10, 12]),
    (A_FIGURES["strategies"][1]["mnist"], [3, 5]),
    (A_FIGURES["strategies"][1]["fashion_mnist"], [9, 11]),
    (A_FIGURES["tickets"][1]["mnist"], [13, 15]),
    (B_FIGURES["figure_2"].title, [2]),
    (B_FIGURES["figure_3"].title, [3]),
    (B_FIGURES["table_3"].title, [3]),
]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """In the order of TITLES; a line is a paragraph."""
    place = os.environ.get("RST_STUDIES_DIR")
    if not place:
        pytest.skip("RST_STUDIES_DIR does not say where the studies' texts are")
    whole = [path.read_text() for path in Path(place).glob("*.txt")]
    return [next(text for text in whole if title in text[:300]) for title in TITLES]


@pytest.mark.parametrize(("study", "name", "words"), IN_THE_TEXT)
def test_the_text_has_it(study, name, words, texts):
    assert re.search(f"{re.escape(name)}.*{words}", texts[study])


@pytest.mark.parametrize(("title", "numbers"), OURS)
def test_ours_bear_these_numbers(title, numbers):
    assert [int(word) for word in re.findall(r"\d+", title)] == numbers


def test_of_the_lighter_model():
    assert [title[: title.index(":")] for title in TABLES.values()] == ["Table II", "Table III"]
