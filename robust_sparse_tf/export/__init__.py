"""Exports trained models, and loads models from files."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from robust_sparse_tf.export.compaction.compacting import compact
    from robust_sparse_tf.export.compaction.result import CompactedLayer, Compaction
    from robust_sparse_tf.export.exporting import Exported, Exports, to_formats
    from robust_sparse_tf.export.file_robustness import FileRobustness, robust_accuracy
    from robust_sparse_tf.export.keras3 import to_keras3
    from robust_sparse_tf.export.loading import load, load_model
    from robust_sparse_tf.export.measuring import measure
    from robust_sparse_tf.export.model_card import ModelCard
    from robust_sparse_tf.export.model_explorer import to_model_explorer
    from robust_sparse_tf.export.onnx_file import to_onnx
    from robust_sparse_tf.export.packed import load_packed, to_packed
    from robust_sparse_tf.export.patterns import Pattern, pattern_of
    from robust_sparse_tf.export.quantization_training import quantization_aware
    from robust_sparse_tf.export.record import ExportReport, ExportRow
    from robust_sparse_tf.export.saved_model import to_saved_model
    from robust_sparse_tf.export.storage import Sizes, entropy_bound, sizes
    from robust_sparse_tf.export.tflite import to_tflite
    from robust_sparse_tf.export.tflite_runner import tflite_function, tflite_logits
    from robust_sparse_tf.export.timing import latency
    from robust_sparse_tf.export.twins.twin import Twin, TwinAgreement, twin
    from robust_sparse_tf.export.verification import Verification, agreement, verify


__all__ = [
    "CompactedLayer",
    "Compaction",
    "FileRobustness",
    "ExportReport",
    "ExportRow",
    "Exported",
    "Exports",
    "ModelCard",
    "Pattern",
    "Sizes",
    "Twin",
    "TwinAgreement",
    "Verification",
    "agreement",
    "compact",
    "entropy_bound",
    "latency",
    "load",
    "load_model",
    "load_packed",
    "measure",
    "pattern_of",
    "quantization_aware",
    "robust_accuracy",
    "sizes",
    "tflite_function",
    "tflite_logits",
    "to_formats",
    "to_keras3",
    "to_model_explorer",
    "to_onnx",
    "to_packed",
    "to_saved_model",
    "to_tflite",
    "twin",
    "verify",
]


def __dir__() -> list[str]:
    """The public names, for completion by TAB."""
    return __all__
