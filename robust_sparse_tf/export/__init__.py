"""Trained models for other programs."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from robust_sparse_tf.export.tflite import (
        agreement,
        tflite_function,
        tflite_logits,
        to_saved_model,
        to_tflite,
    )


__all__ = ["agreement", "tflite_function", "tflite_logits", "to_saved_model", "to_tflite"]
