"""Short runs of the lottery ticket, and what they change."""

import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import models, sparsify
from robust_sparse_tf.attacks import PGD
from robust_sparse_tf.procedures import LotteryTicket
from robust_sparse_tf.sparsity import masked_weights
from robust_sparse_tf.training import AdversarialModel

ATTACK = PGD(epsilon=0.1, step_size=0.05, steps=2, random_start=True)
SHORT = dict(rounds=3, iterations=5, evaluate_every=2)

PROCEDURES = {
    "original": LotteryTicket(**SHORT),
    "late": LotteryTicket(rewind_step=3, **SHORT),
    "trained_dense": LotteryTicket(rewind_to="trained_dense", **SHORT),
    "random": LotteryTicket(strategy="random", **SHORT),
    "continued": LotteryTicket(strategy="continued", **SHORT),
}
every_procedure = pytest.mark.parametrize("name", PROCEDURES)


def make_model(seed=0, rate=1e-2, optimizer=None, **compiled) -> AdversarialModel:
    keras.utils.set_random_seed(seed)
    model = AdversarialModel(sparsify(models.lenet_300_100((8, 8, 1))), ATTACK, seed=seed)
    compiled = dict(jit_update=False) | compiled
    model.compile(optimizer or keras.optimizers.Adam(rate), **compiled)
    return model


def kernels(model) -> list[np.ndarray]:
    return [weight.numpy() for _, weight, _, *_ in masked_weights(model.network)]


def masks(model) -> list[np.ndarray]:
    return [mask.numpy() for _, _, mask, *_ in masked_weights(model.network)]


def state(model) -> list[np.ndarray]:
    """All that a run changes: weights, masks, slots and the step."""
    variables = [*model.network.variables, *model.optimizer.variables, model.step]
    return [variable.numpy() for variable in variables]


def figures(model) -> dict[str, float]:
    """Something to evaluate that is cheap and depends on every bit of the weights."""
    return {"sum": float(sum(np.sum(kernel, dtype=np.float64) for kernel in kernels(model)))}


class Weights(keras.callbacks.Callback):
    """Keeps the weights of each step, by (round, iteration), before training and after."""

    def __init__(self, procedure):
        super().__init__()
        self.procedure = procedure
        self.starts, self.masks, self.trained, self.slots = {}, {}, {}, {}
        self.traces, self.traces_after = 0, []

    def on_train_batch_begin(self, batch, logs=None):
        number, iteration = self.procedure.place(int(self.model.step) + 1)
        if iteration == 1:
            self.starts[number] = kernels(self.model)
            self.masks[number] = masks(self.model)
            self.slots[number] = [v.numpy() for v in self.model.optimizer.variables]

    def on_train_batch_end(self, batch, logs=None):
        self.trained[self.procedure.place(int(self.model.step))] = kernels(self.model)


def run(procedure, digits, *, seed=0, compiled=None, **arguments):
    model = make_model(seed, **(compiled or {}))
    seen = Weights(procedure)
    train_step = model.train_step

    def traced(data):
        seen.traces += 1
        return train_step(data)

    model.train_step = traced
    records = procedure.run(
        model,
        digits[0],
        lambda: figures(model),
        seed=seed,
        callbacks=[seen],
        on_round_end=lambda number: seen.traces_after.append(seen.traces),
        **arguments,
    )
    return model, records, seen
