"""Describes a run in two lines."""

from experiments.runs.directory import path_of
from experiments.runs.training_run import TrainingRun
from robust_sparse_tf.attacks import RandomIntensity


def describe(run: TrainingRun) -> str:
    """Returns model, data, method, density, attack, steps and directory of a run."""
    options, procedure = run.options, run.procedure
    parts = [f"training {options.model} on {run.data.dataset}: {options.method}"]
    density = getattr(run.method, "density", None)
    if density is not None:
        parts.append(f"density {100 * density:g} %")
    parts.append(_attack(run))
    parts.append(procedure.extent())
    return f"directory: {path_of(run.values)}\n{', '.join(parts)}, seed {options.seed}"


def _attack(run: TrainingRun) -> str:
    if run.attack is None:
        return "without an attack"
    if isinstance(run.attack, RandomIntensity):
        return f"under {run.options.attack} (random epsilon)"
    return f"under {run.options.attack} ({run.attack.norm}, epsilon {run.attack.epsilon:.3g})"
