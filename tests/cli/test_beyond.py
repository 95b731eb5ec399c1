"""What reports of studies say of stronger attacks."""

from experiments.studies import stronger_attacks


def entry(network: str, evaluation: str, **accuracies: float) -> dict:
    rows = [dict(attack="clean", epsilon=None, accuracy=0.9)]
    rows += [dict(attack=a, epsilon=0.3, accuracy=value) for a, value in accuracies.items()]
    return {"network": network, "evaluation": evaluation, "rows": rows, "warnings": []}


def test_columns_are_in_the_order_of_the_attacks():
    """Also where the first network lacks one, as two classes are too few for some."""
    standard = "--attacks=standard --epsilons=0.3"
    text, _ = stronger_attacks.table(
        [
            entry("binary", standard, apgd_ce=0.5, square=0.4, worst=0.4),
            entry("all", standard, apgd_ce=0.6, apgd_t=0.5, square=0.3, worst=0.3),
            entry("all", "--attacks=quick --epsilons=0.3", fgsm=0.8, worst=0.7),
        ]
    )
    titles = "clean | apgd_ce 0.3 | apgd_t 0.3 | square 0.3 | standard 0.3 | fgsm 0.3 | quick 0.3"
    assert f"| network | {titles} | warnings |" in text
    assert "| binary | 90.0 | 50.0 |  | 40.0 | 40.0 |  |  | 0 |" in text
