"""Logs sparsity for TensorBoard."""

from robust_sparse_tf import summaries
from robust_sparse_tf.callbacks.step_log import StepLog
from robust_sparse_tf.options import checked
from robust_sparse_tf.sparsity import statistics


class SparsityLog(StepLog):
    """Logs how sparse each layer and the model are, masks, weights and metrics, for TensorBoard.

    The measures are those of `sparsity.statistics`, for the tab "Sparsity & Robustness" and as
    plain scalars `network/<measure>`. Each time that `masks_every` points are written, there are
    masks as pictures, histograms of the weights that are kept, and plain scalars of each layer,
    `<measure>/<layer>`, too. Metrics of training are `train/<metric>`, those of validation
    `validation/<metric>`. The density of the model is added to the logs of the epoch, for the
    history and the progress bar of `fit`.

    Args:
        log_dir: folder for the event files.
        every: steps between two points; None for one per epoch.
        masks_every: points for each picture of the masks, histogram and scalar of a layer; 0 for
            none.

    Raises:
        InputError: for a folder that is not a path, or numbers out of range.
    """

    def __init__(self, log_dir: str, every: int | None = None, *, masks_every: int = 1) -> None:
        super().__init__(log_dir, every)
        self._masks_every = checked("masks_every", masks_every, int, minimum=0)
        self._points = 0
        self._masks = summaries.MaskWriter()

    def write(self, step: int, logs: dict[str, float]) -> None:
        """Writes one point."""
        found = statistics(self.model)
        summaries.write_metrics(logs, step)
        summaries.write_statistics(found, step)
        if self._masks_every and self._points % self._masks_every == 0:
            self._masks.write(self.model, step)
            summaries.write_histograms(self.model, step)
            summaries.write_layers(found, step)
        self._points += 1
        logs["density"] = found["density"]
