"""A learning rate that decays as a power of the step."""

from typing import Any

import tensorflow as tf
import tf_keras as keras


@keras.saving.register_keras_serializable("robust_sparse_tf")
class InverseDecay(keras.optimizers.schedules.LearningRateSchedule):
    """initial_learning_rate (1 + gamma t)^-power at step t: Caffe's policy "inv".

    "Caffe: Convolutional Architecture for Fast Feature Embedding" (Jia et al., 2014), whose LeNet
    uses a rate of 0.01, gamma 1e-4 and power 0.75.

    Args:
        initial_learning_rate: rate of the first step.
        gamma: decay per step.
        power: exponent of the decay.
    """

    def __init__(
        self, initial_learning_rate: float, gamma: float = 1e-4, power: float = 0.75
    ) -> None:
        super().__init__()
        self.initial_learning_rate = initial_learning_rate
        self.gamma = gamma
        self.power = power

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the rate of a step, float32."""
        return self.initial_learning_rate * (1 + self.gamma * tf.cast(step, tf.float32)) ** (
            -self.power
        )

    def get_config(self) -> dict[str, Any]:
        """The schedule's arguments."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "gamma": self.gamma,
            "power": self.power,
        }
