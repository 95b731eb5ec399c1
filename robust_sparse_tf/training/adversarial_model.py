"""Adversarial training as a tf_keras model with its own train step."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf.attacks import Ascent, RandomIntensity
from robust_sparse_tf.attacks.seeds import seed_of
from robust_sparse_tf.errors import InputError, reason
from robust_sparse_tf.models import added_losses
from robust_sparse_tf.models.heads import require_logits
from robust_sparse_tf.models.network import require_tf_keras
from robust_sparse_tf.options import checked, require, shown
from robust_sparse_tf.sparsity import MaskedModel, Stepper
from robust_sparse_tf.training import gradients
from robust_sparse_tf.training.averages import Averages
from robust_sparse_tf.training.batches import Batch
from robust_sparse_tf.training.calls import Called
from robust_sparse_tf.training.gradients import Passes
from robust_sparse_tf.training.gradients.running_averages import held
from robust_sparse_tf.training.objectives import Mixed, Objective
from robust_sparse_tf.training.step_options import StepOptions
from robust_sparse_tf.training.stored import Stored
from robust_sparse_tf.training.weight_perturbation import WeightPerturbation

# Part of a batch, and the initial perturbation if the attack has one.
_Part: TypeAlias = tuple[Batch, tf.Tensor | None]


@keras.saving.register_keras_serializable("robust_sparse_tf")
class AdversarialModel(Stored, MaskedModel, Called):
    """A classifier that trains on clean and adversarial examples, and keeps masks.

    Weight regularisers of the layers add to the gradient. Activity regularisers and losses from
    `add_loss` add to the loss of both clean and adversarial examples.

    Each step makes adversarial examples of the batch with the network in inference mode, computes
    the gradient of the objective, masks it, applies the optimizer and masks the weights. The step
    runs in the graph, on one device or under MirroredStrategy and MultiWorkerMirroredStrategy.
    Batches are `(images, labels)` or `(images, labels, weights)` from any data set, or come from a
    `Split`, whose images are gathered in the graph. Images and labels may be numbers of any type,
    labels [batch] or [batch, 1]; images must be in the attack's range.

    Args:
        network: Sequential or functional tf_keras model from inputs to logits [batch, classes],
            dense, from `sparsify`, or containing a model from `sparsify` (after preprocessing).
        attack: the training attack, or None for ordinary training.
        objective: the loss, by default `Mixed`; its adversarial part is used only with an attack.
        seed: seed of the attack's random starts.
        branches: number of parts into which a batch is split, computed in parallel if TensorFlow
            has inter-op threads. With batch normalization only the attack is split, and only at
            inference. Ignored if other layers mix examples or draw random numbers, or if the batch
            size is unknown or not divisible.
        step_options: further options of the step, such as the mode of batch normalization.

    Raises:
        InputError: for a Keras 3 or subclassed model, one that does not return logits, one without
            a ReLU if activations are penalised, or an attack that the objective cannot use.
    """

    def __init__(
        self,
        network: keras.Model,
        attack: Ascent | RandomIntensity | None = None,
        objective: Objective | None = None,
        *,
        seed: int = 0,
        branches: int = 1,
        step_options: StepOptions | None = None,
    ) -> None:
        require_tf_keras(network)
        require_logits(network)
        allowed = isinstance(attack, Ascent | RandomIntensity | None)
        if not allowed or (attack and attack.targeted):
            raise InputError(
                f"attack={shown(attack)}: must be untargeted and follow the gradient, as FGSM and "
                "PGD do"
            )
        super().__init__(name="adversarial_" + network.name)
        self._set_dtype_policy(network.dtype_policy)  # so that `compile` scales losses for float16
        self.network = network
        self.attack = attack
        self.objective = Mixed() if objective is None else objective
        require("objective", self.objective, Objective)
        self.step_options = StepOptions() if step_options is None else step_options
        require("step_options", self.step_options, StepOptions)
        self.seed = checked("seed", seed, int)
        branches = checked("branches", branches, int, minimum=1)
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA
        self.step = tf.Variable(0, trainable=False, dtype=tf.int64, name="step", aggregation=first)
        self.nonfinite_step = tf.Variable(
            -1, trainable=False, dtype=tf.int64, name="nonfinite_step", aggregation=first
        )
        self._passes = Passes(self, branches)
        self._branches = branches
        self._gradients = gradients.of_objective(self._passes)
        self.averages: Averages | None = None
        if (decay := self.step_options.average) is not None:
            self.averages = Averages(network, decay)
            self._average_weights = self.averages.variables  # so that Keras saves them
        self._loss = keras.metrics.Mean("loss")
        self._robust = self._gradients.metric
        self.build(network.input_shape)
        self._set_save_spec(network.input)  # training calls the network directly

    def train_with(
        self, attack: Ascent | RandomIntensity | None, objective: Objective | None = None
    ) -> None:
        """Changes the training attack and the objective; the train step is traced again.

        Args:
            attack: see the class.
            objective: see the class.

        Raises:
            InputError: for an attack that the objective cannot use.
        """
        self.attack, self.objective = attack, Mixed() if objective is None else objective
        require("objective", self.objective, Objective)
        with self.distribute_strategy.scope():  # as a metric is made
            self._passes = Passes(self)
            self._gradients = gradients.of_objective(self._passes)
        self._robust = self._gradients.metric
        if self.optimizer is not None:
            self._stepper.penalize(self._weight_l1())
        self.train_function = self.test_function = None

    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        """Returns logits [batch, classes]."""
        return self.network(inputs, training=training)

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str = "adam",
        *,
        metrics: Any = None,
        jit_compile: bool | None = False,
        jit_update: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """See `tf_keras.Model.compile`; the loss is that of the objective.

        Args:
            optimizer: a tf_keras optimizer or its name.
            metrics: as in tf_keras, for the clean logits.
            jit_compile: whether XLA compiles the whole step. On CPUs it makes convolutions several
                times slower, and dense networks are faster with `branches=2` instead. On several
                devices the values of data sets are then not checked; those of arrays are.
            jit_update: whether XLA compiles only the optimizer's part; the default is True on one
                CPU.
            **kwargs: other arguments of tf_keras, such as `steps_per_execution`.

        Raises:
            InputError: if a loss or loss weights are given, as the objective is the loss, or for
                weight perturbation on several devices.
        """
        for name in ("loss", "loss_weights"):
            if kwargs.get(name) is not None:
                raise InputError(
                    f"{name}={kwargs[name]}: the loss is the model's objective; must not be given"
                )
        jit_compile = jit_compile is not None and checked("jit_compile", jit_compile, bool)
        if jit_update is not None:
            jit_update = checked("jit_update", jit_update, bool)
        super().compile(optimizer, metrics=metrics, jit_compile=jit_compile, **kwargs)
        with self.distribute_strategy.scope():  # so that the train step creates no variables
            logits = tf.zeros([1, *self.network.output_shape[1:]])
            try:
                self.compiled_metrics.build(logits, tf.zeros([1], tf.int64))
            except (ValueError, TypeError, AttributeError) as error:
                raise InputError(f"metrics={shown(metrics)}: {reason(error)}") from error
        self._jit_update = jit_update
        # XLA cannot access variables of several devices.
        single = self.distribute_strategy.num_replicas_in_sync == 1
        if jit_update is None:
            jit_update = single and not jit_compile and not tf.config.list_physical_devices("GPU")
        self._stepper = Stepper(
            self.network,
            self.optimizer,
            self.trainable_variables,
            jit_compile=jit_update,
            weight_l1=self._weight_l1(),
        )
        self._perturbation: WeightPerturbation | None = None
        if gamma := self.step_options.weight_perturbation:
            start = self.step_options.perturbation_start
            self._perturbation = WeightPerturbation(
                self.network, self.trainable_variables, gamma, start
            )

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """A context in which the network has averaged weights, if `step_options` has `average`.

        For evaluations and exports; outside it the network has the weights that are trained.
        """
        with self.averages.used() if self.averages else contextlib.nullcontext():
            yield

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The loss, the compiled metrics and the objective's own, such as robust accuracy."""
        robust = [self._robust] if self._gradients.judges else []
        compiled = self.compiled_metrics.metrics if self.compiled_metrics else []
        return [self._loss, *compiled, *robust]

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step on one batch; see the class."""
        return self.after_checks(self._train)(self._training_batch(data))

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Returns loss, metrics and robust accuracy of one batch, in inference mode."""
        return self.after_checks(self._test)(self._batch(data))

    def _train(self, batch: Batch) -> dict[str, tf.Tensor]:
        attack, noise = self._draw(batch.images)
        of_weights, results = self._of_parts(attack, self._parts(batch, noise))
        size = tf.cast(tf.shape(batch.images)[0], tf.float32)
        self._stepper([*of_weights, *self._penalty(size)], _sum_over_replicas(size))
        if self.averages:
            self.averages.update()
        joined = gradients.Results.joined(results)
        self._watch(joined.losses)
        self.step.assign_add(1)
        return self._results(batch, joined)

    def _of_parts(self, attack: Ascent | None, parts: Sequence[_Part]) -> tuple[Any, Any]:
        """The gradients and the results of each part; gradients at perturbed weights, if any."""
        perturbation = self._perturbation
        with held(self.network, hold=perturbation is not None):
            found = [self._gradients.of_part(attack, *part) for part in parts]
        of_weights, results = zip(*found, strict=True)
        if perturbation is None:
            return of_weights, results
        before = perturbation.add(of_weights, self.step)
        pairs = zip(parts, results, strict=True)
        of_weights = [self._gradients.again(batch, own.images) for (batch, _), own in pairs]
        perturbation.remove(before)
        return of_weights, results

    def _test(self, batch: Batch) -> dict[str, tf.Tensor]:
        return self._results(batch, self._gradients.of_test(batch))

    def _weight_l1(self) -> float:
        return float(getattr(self.objective, "weight_l1", 0.0))

    def _penalty(self, size: tf.Tensor) -> list[list[tf.Tensor]]:
        """The gradients of weight penalties, for a part of `size` examples."""
        with tf.GradientTape() as tape:
            losses = added_losses.of_weights(self)
            if not losses:
                return []
            penalty = size * tf.add_n([tf.cast(loss, tf.float32) for loss in losses])
        return [tape.gradient(penalty, self.trainable_variables, unconnected_gradients="zero")]

    def _parts(self, batch: Batch, noise: tf.Tensor | None) -> list[_Part]:
        """Splits the batch into one equal part per branch, if possible."""
        size, count = batch.images.shape[0], self._branches
        if not self._passes.pure or not size or size % count:
            count = 1
        cut = [[None] * count if v is None else tf.split(v, count) for v in (*batch, noise)]
        return [(Batch(*part), noise) for *part, noise in zip(*cut, strict=True)]

    def _draw(self, x: tf.Tensor) -> tuple[Ascent | None, tf.Tensor | None]:
        """The attack of the batch, and this replica's part of the initial perturbation."""
        if not self._gradients.attack:
            return None, None
        context, size = tf.distribute.get_replica_context(), tf.shape(x)[0]
        replicas = context.num_replicas_in_sync
        shape = tf.concat([[size * replicas], tf.shape(x)[1:]], 0)
        seed = seed_of(self.seed, self.step)
        attack = self._gradients.attack.drawn(seed)
        noise = attack.noise(shape, seed)
        if noise is None:
            return attack, None
        if replicas > 1:
            noise = noise[context.replica_id_in_sync_group * size :][:size]
        return attack, tf.ensure_shape(noise, x.shape)

    def _watch(self, losses: tf.Tensor) -> None:
        """Records the first step whose loss is not finite."""
        bad = tf.reduce_sum(tf.cast(~tf.math.is_finite(losses), tf.int64))
        first = (_sum_over_replicas(bad) > 0) & (self.nonfinite_step < 0)
        self.nonfinite_step.assign(tf.where(first, self.step, self.nonfinite_step))

    def _results(self, batch: Batch, found: gradients.Results) -> dict[str, tf.Tensor]:
        self._loss.update_state(found.losses)
        if found.logits is not None:
            self.compiled_metrics.update_state(batch.labels, found.logits, batch.weights)
        if self._gradients.judges:
            self._gradients.update_metric(batch.labels, found.judged)
        return self.get_metrics_result()


def _sum_over_replicas(value: tf.Tensor) -> tf.Tensor:
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)
