"""Training with quantised weights and activations before an export."""

import tf_keras as keras

from experiments.cli.values import Values
from experiments.runs import options
from experiments.runs.training_run import TrainingRun
from robust_sparse_tf import data, export, training
from robust_sparse_tf.errors import InputError


def trained(network: keras.Model, train: data.Split, flags: Values, steps: int) -> keras.Model:
    """Trains a network of a run further, with quantised weights and activations.

    Attack, loss, optimizer and batch size are the run's. Zeros stay zeros.

    Args:
        network: the run's network.
        train: its training images.
        flags: the run's flags that are not defaults.
        steps: number of steps.

    Raises:
        InputError: for a network without a run, or one that cannot be quantised.
    """
    if not flags:
        raise InputError(
            f"qat_steps={steps}: must be 0 for a model without a run, whose attack and optimizer "
            "are used"
        )
    run = TrainingRun(options.whole(flags))
    keras.utils.set_random_seed(run.options.seed)
    quantized = export.quantization_aware(network)
    model = training.AdversarialModel(
        quantized, run.attack, run.objective, seed=run.options.seed, branches=1
    )
    model.compile(run.optimizer.build())
    model.fit(train.repeat(), steps_per_epoch=steps, epochs=1, verbose=0)
    return quantized
