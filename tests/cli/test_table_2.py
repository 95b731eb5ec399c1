"""Table 2 of "Sparse DNNs with Improved Adversarial Robustness", on networks from Caffe's files."""

import json
import os
import re

import numpy as np
import pytest
from caffe_files import write

from experiments.evaluations import loading, measuring
from experiments.studies.sparse_dnns_robustness import table_2
from experiments.studies.sparse_dnns_robustness.published import read
from robust_sparse_tf import data, evaluation
from robust_sparse_tf.attacks import FGSM

SHAPES = {
    "mlp": [(300, 784), (100, 300), (10, 100)],
    "lenet5": [(20, 1, 5, 5), (50, 20, 5, 5), (500, 800), (10, 500)],
}
# r_inf and r_2 of the dense network and of the sparse one.
OURS = {"LeNet-300-100": [(0.27, 1.06), (0.38, 0.93)], "LeNet-5": [(0.68, 1.52), (0.79, 1.22)]}


def made(path, model: str, zeros: int = 0) -> None:
    """A network whose first units' weights are zero."""
    kernels = [np.full(shape, 0.5) for shape in SHAPES[model]]
    for kernel in kernels:
        kernel[: len(kernel) * zeros // 10] = 0
    write(path, [(kernel, np.zeros(len(kernel))) for kernel in kernels])


@pytest.fixture
def folder(tmp_path):
    """Four networks; of the sparse ones half the weights are zero."""
    for (model, kind), name in table_2.FILES.items():
        made(tmp_path / name, model, 5 if kind == "sparse" else 0)
    return tmp_path


@pytest.fixture
def call(folder, capsys, monkeypatch, digits):
    monkeypatch.setattr(loading, "images", lambda *arguments: digits[2])

    def run(*argv: str) -> tuple[int, str, str]:
        code = table_2.main(["table_2", f"--output={folder / 'report'}", *argv])
        return code, *capsys.readouterr()

    return run


def test_ours_stand_beside_the_published(call, folder, monkeypatch):
    numbers = iter([pair for pairs in OURS.values() for pair in pairs])

    def measured(*arguments):
        r_inf, r_2 = next(numbers)
        return {
            "accuracy": 0.98,
            "r_inf_fgsm": r_inf,
            "r_2_deepfool": r_2,
            "gamma_linf": r_inf / 1e3,
        }

    monkeypatch.setattr(measuring, "of_network", measured)
    code, out, err = call(f"--networks={folder}")
    assert (code, err) == (0, "")
    text = (folder / "report" / "report.md").read_text()
    assert text in out
    row = "| LeNet-300-100, sparse | 50.00 (98.21) | 98.00 | 0.3800 (0.3823) | 0.9300 (1.1058) |"
    assert row in text
    for claim in (
        "LeNet-300-100, sparse, is more robust than the dense network by r_inf FGS: held",
        "LeNet-5, sparse, is less robust than the dense network by r_inf FGS: not held",
        "LeNet-5, sparse, has a larger gamma of proposition 3.1 in linf than the dense network: "
        "held (0.000790 against 0.000680)",
        "r_inf FGS differs from the published one by at most 0.1109 (4 networks)",
    ):
        assert claim in text
    content = json.loads((folder / "report" / "report.json").read_text())
    assert [row["sparsity"] for row in content["table_2"]] == [0, 0.5, 0, 0.5]


SPARSE = table_2.FILES["mlp", "sparse"]


@pytest.mark.parametrize(
    "argv, damage, words",
    [
        ([], None, "networks: must be given, the folder of caffe_lenet300100_original"),
        (["--networks=nowhere"], None, "nowhere/caffe_lenet300100_original.*: cannot be read"),
        (["--examples=-1"], None, "examples=-1: must be at least 0"),
        (None, lambda path: path.unlink(), f"{SPARSE}: cannot be read"),
        (None, lambda path: path.write_bytes(path.read_bytes()[:9]), f"{SPARSE}: cannot be read"),
        (None, lambda path: path.write_bytes(b""), f"{SPARSE}: holds no weights"),
        (None, lambda path: made(path, "lenet5"), f"{SPARSE}: holds weights of shapes"),
    ],
    ids=["no folder", "no such", "range", "missing", "cut", "empty", "another network"],
)
def test_refused_in_one_line_before_any_is_measured(argv, damage, words, call, folder):
    if damage:
        damage(folder / SPARSE)
    code, out, err = call(*([f"--networks={folder}"] if argv is None else argv))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ")
    assert re.search(words, err)


def test_the_studys_own_networks():
    """All 10,000 images; what is published is rounded to four digits."""
    networks, place = os.environ.get("RST_CAFFE_DIR"), os.environ.get("RST_DATA_DIR")
    if not networks or not place:
        pytest.skip("RST_CAFFE_DIR or RST_DATA_DIR does not say where networks and MNIST are")
    test = data.load_test("mnist", data_dir=place)
    for key, theirs in read().table_2.items():
        network = table_2.Options(networks=networks).network(*key)
        found = evaluation.r_inf(network, test, FGSM(epsilon=0.1))
        assert found == pytest.approx(theirs.measures["r_inf_fgsm"]["mean"], abs=3e-4 + 1e-9)
        assert 100 * table_2.zeros(network) == pytest.approx(theirs.pruned, abs=0.1)
