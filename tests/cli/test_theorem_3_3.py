"""Theorem 3.3 of "Sparse DNNs with Improved Adversarial Robustness", told of made-up constants."""

import json
import os

import numpy as np
import pytest
import test_table_2

from experiments.evaluations import loading
from experiments.studies.sparse_dnns_robustness import theorem_3_3
from robust_sparse_tf import evaluation
from robust_sparse_tf.evaluation import MaskedConstants

folder = test_table_2.folder


@pytest.fixture
def call(folder, capsys, monkeypatch, digits):
    monkeypatch.setattr(loading, "images", lambda *arguments: digits[2].first(2))

    def run(*argv: str) -> tuple[int, str, str]:
        code = theorem_3_3.main(["theorem_3_3", f"--output={folder / 'report'}", *argv])
        return code, *capsys.readouterr()

    return run


def constants(network, x, ball, pruned, *, draws, seed):
    """Those of l2 fall with sparsity and are within the bound, those of linf rise beyond it."""
    sign = {"l2": -1, "linf": 1}[ball.norm]
    ones = np.ones([2, 10])
    ones[:, 3] = 0  # the predicted class
    lemma = (2 + sign * pruned) * ones
    eta = -np.inf if pruned == 0 else -1000.0
    return MaskedConstants(0.1 * ones, lemma, 0.1 * ones, 2.3 * ones, eta)


def test_says_what_held(call, folder, monkeypatch):
    monkeypatch.setattr(evaluation, "masked_lipschitz", constants)
    trained = np.full([2, 10], 1.8)
    trained[:, 3] = 0
    monkeypatch.setattr(evaluation, "local_lipschitz", lambda *arguments: trained)
    code, out, err = call(f"--networks={folder}", "--examples=2")
    assert (code, err) == (0, "")
    text = (folder / "report" / "report.md").read_text()
    assert text in out
    for words in (
        "| 25.00 | L_2 | 0.1 | 1.75 | 2.3 | 10^-434 | 84.78 |",
        "L_2 is below c (1 - eta), equation 11: held (7 shares, 2 images, 9 classes; at most 95.65",
        "L_1 is below c (1 - eta), equation 12: not held",
        "for random masks held (lemma 3.1: 2 without zeros, 1.02 with 98.00 %); for the sparse "
        "network of table 2, pruned by 50.00 % while it was trained, held (1.8)",
        "for random masks not held",
        "is at most 10^-434: for this network the theorem has the same bound for all sparsities",
    ):
        assert words in text
    content = json.loads((folder / "report" / "report.json").read_text())
    assert [row["log10_eta"] for row in content["rows"]][::7] == [None, None]


@pytest.mark.parametrize(
    "argv, words",
    [
        ([], "networks: must be given"),
        (["--networks=nowhere"], "nowhere/caffe_lenet300100_original"),
        (["--draws=1"], "draws=1: must be at least 2"),
        (["--radius=-1"], "radius=-1"),
    ],
    ids=" ".join,
)
def test_refused_in_one_line(argv, words, call):
    code, out, err = call(*argv)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ") and words in err


@pytest.mark.slow
def test_the_studys_own_network(tmp_path, capsys):
    networks = os.environ.get("RST_CAFFE_DIR")
    if not networks or not os.environ.get("RST_DATA_DIR"):
        pytest.skip("RST_CAFFE_DIR or RST_DATA_DIR does not say where networks and MNIST are")
    few = [f"--output={tmp_path}", "--examples=2", "--draws=2"]
    assert theorem_3_3.main(["theorem_3_3", f"--networks={networks}", *few]) == 0
    rows = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert all(row["gradient"] < row["lemma_3_1"] < row["bound"] for row in rows)
    assert all(row["largest"] <= 1 for row in rows)
