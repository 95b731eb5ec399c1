"""What "Sparse DNNs with Improved Adversarial Robustness" (2018) trains and measures."""

from typing import NamedTuple

STUDY = "sparse_dnns_robustness"
NETWORKS = {
    "binary_linear": "linear, 1 against 7",
    "linear": "linear, 10 classes",
    "mlp": "LeNet-300-100",
    "lenet5": "LeNet-5",
}
"""What a model of ours is called in the study."""

DEEP = {"mlp": "lenet_300_100", "lenet5": "lenet5"}
"""What the published numbers call a model of ours."""

L1 = {"mlp": (0.0, 0.002, 0.01), "lenet5": (0.0, 0.003, 0.03)}
"""The weights of the activations' norm that were chosen for the published rows' sparsities."""

TABLE_1 = ("r_inf_fgsm", "r_2_deepfool", "accuracy", "activation_sparsity")
TABLE_2 = ("r_inf_fgsm", "r_2_deepfool")
PERCENT = ("accuracy", "activation_sparsity")
"""Measures that are fractions, and in tables percent."""


class Column(NamedTuple):
    """What a table calls a measure, with the digits after the point."""

    title: str
    digits: int


COLUMNS = {
    "accuracy": Column("accuracy (%)", 2),
    "r_inf_fgsm": Column("r_inf FGS", 4),
    "r_inf_rfgsm": Column("r_inf rFGS", 4),
    "bound_r_inf": Column("bound on r_inf", 4),
    "r_2_deepfool": Column("r_2 DeepFool", 4),
    "r_2_carlini_wagner": Column("r_2 Carlini-Wagner", 4),
    "bound_r_2": Column("bound on r_2", 4),
    "clever": Column("CLEVER", 4),
    "lipschitz_l2": Column("L_2 of lemma 3.1", 2),
    "lipschitz_linf": Column("L_1 of lemma 3.1", 2),
    "activation_sparsity": Column("silent units before the last layer (%)", 2),
}
"""The columns of tables, in their order."""
