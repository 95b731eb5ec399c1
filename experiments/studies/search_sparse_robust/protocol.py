"""Settings of "The Search for Sparse, Robust Neural Networks".

Its text (2019) omits details that are in its published code.
"""

from experiments.studies.protocol import Allowed, Protocol

STUDY = "search_sparse_robust"
DENSITIES = (100.0, 51.3, 16.9, 8.7, 3.6, 1.8)
"""Percentages of weights left in the networks of the paper's tables."""

ATTACKS = ("fgsm", "pgd")
ITERATION = 25_020
"""What the paper calls iteration 30,000: its evaluations are half an epoch of 834 steps apart and
counted as 500, and the 61st, so called, is at step 25,021."""

_OF_ATTACKS: Allowed = {
    "attack_labels": ["predicted"],
    "random_start": [True],
    "step_size": [0.05],
}
_SETTINGS: Allowed = {
    "dataset": ["mnist", "fashion_mnist"],
    "attack": ["none", *ATTACKS],
    "strategy": ["original", "random", "continued"],
    "rewind_to": ["initial", "trained_dense"],
    "label_smoothing": [0.1],
    **{f"{group}.{name}": own for group in ("attack", "eval") for name, own in _OF_ATTACKS.items()},
}
_BUDGET: Allowed = {
    "iterations": [50_000],
    "dense_iterations": [None, 50_000],
    "validation_size": [10_000],
    "test_size": [None],
    # Its program uses the first images for validation, and the mixed loss for early stopping.
    # Stored runs draw other images in each trial, and use the robust loss.
    "validation_split": ["first", "seeded"],
    "early_stopping": ["mixed", "robust"],
}
PROTOCOL = Protocol(lambda values: _SETTINGS, lambda values: _BUDGET)
