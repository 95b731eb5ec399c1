"""Logs for TensorBoard: the format of the plugin's data, and writing it."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from robust_sparse_tf.summaries.accuracy import write_accuracy, write_metrics
    from robust_sparse_tf.summaries.examples import write_examples
    from robust_sparse_tf.summaries.export import write_export
    from robust_sparse_tf.summaries.reports import write_checks, write_measures, write_report
    from robust_sparse_tf.summaries.run import RunInfo, write_run
    from robust_sparse_tf.summaries.topology import (
        MaskWriter,
        write_histograms,
        write_layers,
        write_statistics,
    )
    from robust_sparse_tf.summaries.writing import writer_of

__all__ = [
    "MaskWriter",
    "RunInfo",
    "write_accuracy",
    "write_checks",
    "write_examples",
    "write_export",
    "write_histograms",
    "write_layers",
    "write_measures",
    "write_metrics",
    "write_report",
    "write_run",
    "write_statistics",
    "writer_of",
]


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
