"""What reports of studies say of stronger attacks."""

import dataclasses

from experiments.evaluations.follow_up import evaluation
from experiments.reports import robustness
from experiments.reports.robustness import AttackedNetwork, MeanRow
from experiments.studies import stronger_attacks


def row(attack: str, epsilon: float | None, accuracy: float) -> MeanRow:
    return MeanRow(
        attack=attack,
        norm="linf",
        epsilon=epsilon,
        accuracy=accuracy,
        distance=None,
        seconds=None,
        std=None,
    )


def attacked(network: str, asked: str, **accuracies: float) -> AttackedNetwork:
    rows = [row("clean", None, 0.9), *(row(name, 0.3, own) for name, own in accuracies.items())]
    return AttackedNetwork(
        evaluation=evaluation(asked),
        network=network,
        training="none",
        density=1.0,
        round=-1,
        seeds=1,
        rows=rows,
        warnings=[],
    )


def test_columns_are_in_the_order_of_the_attacks():
    """Also where the first network lacks one, as two classes are too few for some."""
    standard = "--attacks=standard --epsilons=0.3"
    text, _ = stronger_attacks.table(
        [
            attacked("binary", standard, apgd_ce=0.5, square=0.4, worst=0.4),
            attacked("all", standard, apgd_ce=0.6, apgd_t=0.5, square=0.3, worst=0.3),
            attacked("all", "--attacks=quick --epsilons=0.3", fgsm=0.8, worst=0.7),
        ]
    )
    titles = "clean | apgd_ce 0.3 | apgd_t 0.3 | square 0.3 | standard 0.3 | fgsm 0.3 | quick 0.3"
    assert f"| network | {titles} | warnings |" in text
    assert "| binary | 90.0 | 50.0 |  | 40.0 | 40.0 |  |  | 0 |" in text


def test_left_of_a_dense_network(monkeypatch):
    """By `standard` at its epsilon, whatever other rounds and attacks there are."""
    strong, other = (f"--attacks={name} --epsilons=0.3" for name in ("standard", "quick"))
    sparse = dataclasses.replace(attacked("net", strong, worst=0.1), density=0.5)
    found = [sparse, attacked("net", strong, square=0.5, worst=0.4)]
    asked = []

    def of(evaluations, cells):
        asked.extend(each.text for each in evaluations)
        return found if evaluations else []

    monkeypatch.setattr(robustness, "attacked", of)
    evaluations = [evaluation(other), evaluation(strong)]
    assert stronger_attacks.left_of_dense(evaluations, [], 0.3) == 0.4
    assert asked == [evaluation(strong).text]
    assert stronger_attacks.left_of_dense(evaluations, [], 0.1) is None
    assert stronger_attacks.left_of_dense(evaluations[:1], [], 0.3) is None
