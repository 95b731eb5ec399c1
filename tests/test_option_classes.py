"""Every option of every public class takes values of its type and range alone."""

import dataclasses
import math

import numpy as np
import pytest

from experiments.evaluations.attack_options import EvaluateOptions
from experiments.evaluations.measure_options import MeasureOptions
from experiments.runs.options import RunOptions
from robust_sparse_tf import attacks, sparsity
from robust_sparse_tf.data import DataOptions
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import LARGEST_INT, kind
from robust_sparse_tf.procedures import FeaturePruning, LotteryTicket, PhaseOptions, Rounds
from robust_sparse_tf.training import OptimizerOptions, StepOptions, objectives

NEEDED = {
    attacks.Ball: dict(norm="linf", epsilon=0.3),
    attacks.RandomIntensity: dict(attack=attacks.PGD()),
}
CLASSES = [
    *attacks.BY_NAME.values(),
    *sparsity.BY_NAME.values(),
    *NEEDED,
    sparsity.LayerRates,
    FeaturePruning,
    LotteryTicket,
    Rounds,
    PhaseOptions,
    *objectives.BY_NAME.values(),
    OptimizerOptions,
    StepOptions,
    DataOptions,
    RunOptions,
    EvaluateOptions,
    MeasureOptions,
]
CASES = [
    (cls, field)
    for cls in CLASSES
    for field in dataclasses.fields(cls)
    if "help" in field.metadata
    # A random intensity has these of its attack.
    if cls is not attacks.RandomIntensity or field.name in ("epsilon", "std")
]
EVERY = [object(), b"1", {1}, 1j, len, float]
NO_NUMBERS = [*EVERY, True, "1", "", [1], (1,), {"a": 1}, np.zeros(2), np.bool_(True)]
NOT_FINITE = [math.inf, -math.inf, math.nan, 1e39, -1e39, 10**400, np.float64("nan")]
WRONG = {
    bool: [*EVERY, 0, 1, 1.0, "yes", "True", [], np.int64(1)],
    int: [*NO_NUMBERS, *NOT_FINITE, 1.5, 1.0, np.float32(1), 2**31, 2**63, -(2**31), 10**400],
    float: [*NO_NUMBERS, *NOT_FINITE],
    str: [*EVERY, 0, 1.0, True, [], ["linf"], np.int64(1)],
    list: [*EVERY, "1", 1, 1.0, True, [None], [1.5], [True], [["1"]], {"a": 1}],
    dict: [*EVERY, "{}", 1, [1], {1: 0.5}, {"a": "0.5"}, {"a": None}, {"a": True}],
}


def wrong(field: dataclasses.Field) -> list:
    """Values of other types, and those just beyond the range."""
    rule = field.metadata
    values = [*WRONG[kind(field)], *([] if field.default is None else [None])]
    if rule["choices"]:
        values.append(["none of them"] if kind(field) is list else "none of them")
    elif kind(field) in (int, float):
        step = 1 if kind(field) is int else 1e-6
        values += [] if rule["minimum"] is None else [rule["minimum"] - step]
        values += [] if rule["maximum"] is None else [rule["maximum"] + step]
        values += [] if rule["above"] is None else [rule["above"], rule["above"] - step]
    return values


@pytest.mark.parametrize(
    ("cls", "field"),
    [pytest.param(*case, id=f"{case[0].__name__}-{case[1].name}") for case in CASES],
)
def test_wrong_values_are_refused(cls, field):
    for value in wrong(field):
        with pytest.raises(InputError, match=f"^{field.name}[=:]") as caught:
            cls(**NEEDED.get(cls, {}) | {field.name: value})
            pytest.fail(f"{field.name}={value!r} is accepted")
        assert len(str(caught.value).splitlines()) == 1


def test_there_are_many_cases():
    assert sum(len(wrong(field)) for _, field in CASES) > 5000


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (np.float32(0.25), 0.25),
        (np.float64(0.25), 0.25),
        (np.array(0.25), 0.25),
        (np.int8(1), 1.0),
        (1, 1.0),
        (-0.0, 0.0),
    ],
)
def test_numbers_become_pythons(value, wanted):
    found = attacks.PGD(epsilon=value, step_size=0.25).epsilon
    assert (type(found), found, math.copysign(1, found)) == (float, wanted, 1.0)


def test_whole_numbers_become_pythons():
    found = attacks.PGD(steps=np.uint8(7), random_start=np.bool_(True))
    assert (type(found.steps), found.steps, found.random_start) == (int, 7, True)
    assert Rounds(iterations=LARGEST_INT).iterations == LARGEST_INT
    assert Rounds(evaluate_at=np.array([1, 7])).evaluate_at == [1, 7]


def test_paths_become_strings(tmp_path):
    assert DataOptions(data_dir=tmp_path).data_dir == str(tmp_path)


@pytest.mark.parametrize("cls", CLASSES)
def test_types_are_told(cls):
    """An option whose default is None says what else it may be."""
    fields = [field for field in dataclasses.fields(cls) if "help" in field.metadata]
    assert all(kind(field) in WRONG for field in fields)
