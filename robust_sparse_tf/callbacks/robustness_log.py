"""Logs robustness for TensorBoard."""

from collections.abc import Mapping, Sequence

import tf_keras as keras

from robust_sparse_tf import summaries
from robust_sparse_tf.attacks import Attack, Ball
from robust_sparse_tf.callbacks.step_log import StepLog
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.evaluation import Evaluator, evaluate, inputs
from robust_sparse_tf.evaluation.inputs import Data
from robust_sparse_tf.options import checked, require, shown


class RobustnessLog(StepLog):
    """Attacks a model while it trains, and logs its accuracies for TensorBoard.

    Each point has clean and robust accuracy and loss, for the tab "Sparsity & Robustness" and as
    plain scalars `validation/clean_accuracy`, `validation/<attack>_accuracy` and the like; the
    accuracies are among the logs of the epoch, too. At the end of training the model is evaluated
    (see `evaluate`): accuracies with their intervals, checks of gradient masking, and examples.

    Args:
        log_dir: folder of the event files.
        data: of validation; see `evaluate`.
        attacks: by name, those of all points and of the evaluation.
        every: steps between two points; None for one per epoch.
        epsilons: radii of the evaluation at the end; by default the attacks' own.
        examples: how many of the first images are attacked.
        check_masking: whether the evaluation tests for gradient masking.

    Raises:
        InputError: for data or attacks that do not fit, and numbers out of range.
    """

    def __init__(
        self,
        log_dir: str,
        data: Data,
        attacks: Mapping[str, Attack],
        every: int | None = None,
        *,
        epsilons: Sequence[float] = (),
        examples: int = 500,
        check_masking: bool = True,
    ) -> None:
        super().__init__(log_dir, every)
        if not isinstance(attacks, Mapping) or not attacks:
            raise InputError(
                f"attacks={shown(attacks)}: must be attacks by name, as in {{'pgd': PGD()}}"
            )
        for attack in attacks.values():
            require("attack", attack, Attack)
        examples = checked("examples", examples, int, minimum=1)
        images, labels = inputs.images_and_labels(data, inputs.ANY_RANGE)
        self._data = images[:examples], labels[:examples]
        self._attacks, self._epsilons = dict(attacks), epsilons
        self._check_masking = checked("check_masking", check_masking, bool)

    def set_model(self, model: keras.Model) -> None:
        """Called by `fit`; raises `InputError` unless it is a tf_keras model with logits."""
        if model is not self.model:
            super().set_model(model)
            self._measure = Evaluator(model, self._attacks)

    def write(self, step: int, logs: dict[str, float]) -> None:
        """Writes one point."""
        figures = self._measure(self._data)
        train = {name: value for name, value in logs.items() if not name.startswith("val_")}
        splits = {"validation": (figures, len(self._data[1]))}
        summaries.write_accuracy(splits, self._attacks, step, train=train)
        logs["clean_accuracy"] = figures["clean_accuracy"]
        for name, value in figures["robust_accuracy"].items():
            logs[f"{name}_accuracy"] = value

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Evaluates the model, and writes the report."""
        report = evaluate(
            self.model,
            self._data,
            self._attacks,
            self._epsilons,
            ball=Ball("linf", 0.0, *next(iter(self._attacks.values())).limits),
            check_masking=self._check_masking,
            verbose=False,
        )
        with self._writing():
            summaries.write_report("evaluation", report, self._steps, split="validation")
