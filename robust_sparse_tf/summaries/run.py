"""Describes a run: its method, attack and flags."""

import dataclasses
from collections.abc import Mapping, Sequence

from tensorboard.plugins.hparams import api as hparams

from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.summaries.writing import write_json


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunInfo:
    """A run, or one of its rounds.

    Attributes:
        name: of the run.
        round: of several, from 0; None where there is one.
        first_step: training steps of the rounds before.
        method: that makes it sparse.
        density: fraction of weights that was asked for; None where it was not.
        attack: that it is trained with, "none" without.
        seed: None where it is not known.
        hparams: flags and other hyperparameters by name, for the tab "HParams", too.
        classes: their names; none where they are numbers.
    """

    name: str
    round: int | None = None
    first_step: int = 0
    method: str = "dense"
    density: float | None = None
    attack: str = "none"
    seed: int | None = None
    hparams: Mapping[str, bool | float | str] = dataclasses.field(default_factory=dict)
    classes: Sequence[str] = ()


def write_run(info: RunInfo) -> None:
    """Writes what a run is, at step 0."""
    write_json(log_format.RUN, dataclasses.asdict(info), 0)
    whole = {"method": info.method, "attack": info.attack, **info.hparams}
    if info.round is not None:
        whole["round"] = info.round
    hparams.hparams(whole, trial_id=f"{info.name} {info.round or 0}")
