"""Size and latency of a run's exported file."""

from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.summaries.writing import write_json, write_scalars


def write_export(tflite_bytes: int, latency_ms: float | None, step: int) -> None:
    """Writes the size of the TFLite file, and the time of one inference.

    Args:
        tflite_bytes: of the file.
        latency_ms: milliseconds of one example on one thread, the median; None where not measured.
        step: steps of training done.
    """
    write_json(log_format.EXPORT, {"tflite_bytes": tflite_bytes, "latency_ms": latency_ms}, step)
    write_scalars({"export/tflite_bytes": tflite_bytes, "export/latency_ms": latency_ms}, step)
