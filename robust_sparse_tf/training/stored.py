"""Saving and loading of adversarial models."""

from typing import Any

import tf_keras as keras

from robust_sparse_tf.attacks import Ascent, RandomIntensity
from robust_sparse_tf.attacks.base import Attack
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import restored, stored
from robust_sparse_tf.sparsity.masked_model import check_config, saved_format
from robust_sparse_tf.sparsity.sparse_model import with_own_trainable
from robust_sparse_tf.training.objectives import Objective
from robust_sparse_tf.training.step_options import StepOptions


class Stored(keras.Model):
    """The part of an adversarial model that saves and loads."""

    network: keras.Model
    attack: Ascent | RandomIntensity | None
    objective: Objective
    step_options: StepOptions
    seed: int
    _branches: int
    _jit_update: bool | None

    def get_config(self) -> dict[str, Any]:
        """The configurations of the network, the attack and the objective, and other arguments."""
        return {
            "network": keras.saving.serialize_keras_object(self.network),
            "attack": stored(self.attack) if self.attack else None,
            "objective": stored(self.objective),
            "seed": self.seed,
            "branches": self._branches,
            "step_options": stored(self.step_options),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Stored":
        """The inverse of `get_config`; weights are loaded separately."""
        check_config(config, "network", "attack", "objective", "seed", "branches")
        network = keras.layers.deserialize(config["network"], custom_objects)
        attack, objective = config["attack"], restored(Objective, config["objective"])
        attack = attack and restored(Attack, attack)
        seed, branches = config["seed"], config["branches"]
        step = config.get("step_options")  # files of before these options have none
        step = step and restored(StepOptions, step)
        return cls(network, attack, objective, seed=seed, branches=branches, step_options=step)

    def get_compile_config(self) -> dict[str, Any] | None:
        """See `tf_keras.Model.get_compile_config`."""
        config = super().get_compile_config()
        return config and {**config, "jit_update": self._jit_update}

    @property
    def _tracking_metadata(self) -> str:
        return with_own_trainable(super()._tracking_metadata)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """See `tf_keras.Model.save`; as `.keras` or SavedModel, which has no optimizer state.

        Raises:
            InputError: for HDF5, which is not supported; nothing is written.
        """
        refuse_hdf5(*args, **kwargs)
        super().save(*args, **kwargs)


def refuse_hdf5(filepath: Any, *args: Any, **kwargs: Any) -> None:
    """Raises InputError if `save` with these arguments would write HDF5."""
    if saved_format(filepath, *args, **kwargs) == "h5":
        raise InputError(
            f"filepath={filepath}: HDF5 does not support AdversarialModel; save it as .keras, or "
            "save its "
            "network (model.network.save)"
        )
