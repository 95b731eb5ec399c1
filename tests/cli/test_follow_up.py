"""Evaluations and measurements that are limited to some cells of a sweep."""

import pytest

from experiments.evaluations.follow_up import evaluation, measurement
from experiments.runs import options as flags
from robust_sparse_tf.errors import InputError

FLAGS = "--attacks=pgd --epsilons=0.1"


def values(*words: str) -> dict:
    return flags.parse(["run", "--method=dense", *words])


def test_words_before_the_flags_limit_cells():
    noisy = evaluation(f"noise=channel width=0.5 {FLAGS}")
    assert noisy.of_cell(values("--noise=channel", "--width=0.5"))
    assert noisy.of_cell(values("--noise=channel")) is None
    assert noisy.of_cell(values("--width=0.5")) is None
    assert noisy.argv("run", None) == ["evaluate", "--model=run", *FLAGS.split()]
    assert noisy.files("run") == evaluation(FLAGS).files("run")


def test_measurements_too():
    dense = measurement("method=dense --measures=deepfool")
    assert dense.of_cell(values()) and dense.of_cell(values("--method=set")) is None
    assert dense.argv("run", None)[2:] == ["--measures=deepfool"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (f"noise {FLAGS}", "noise must be a flag of cells, as in noise=channel"),
        (f"color=red {FLAGS}", "color=red must be a flag of cells"),
        (f"seed=x {FLAGS}", "seed"),
    ],
)
def test_unknown_flags_of_cells(text, error):
    with pytest.raises(InputError, match=error):
        evaluation(text)
