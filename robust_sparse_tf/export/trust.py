"""Checks what the configuration of a model file names, before anything is loaded.

Keras imports the modules that a configuration names, and calls their functions. Its safe mode
refuses only `lambda`: not `os.system`, and nothing at all in HDF5 files.
"""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from tensorflow.python.util import tf_export
from tf_keras import saving
from tf_keras.src.layers.core import tf_op_layer
from tf_keras.src.saving import serialization_lib

from robust_sparse_tf.errors import InputError

PACKAGES = ("keras", "tf_keras", "tensorflow_model_optimization", "robust_sparse_tf")
"""Packages whose classes a configuration may name."""

# They hold code, load code, or call any function or operation by name.
_CODE = (
    "Lambda",
    "__lambda__",
    "ClassMethod",
    "InstanceMethod",
    "TensorFlowOpLayer",
    "ReloadedLayer",
)
# Arguments that make layers read a file.
_FILES = ("vocabulary", "vocabulary_file", "filepath")
# Functions of numbers only.
_PURE_MODULES = tuple(f"tf_keras.src.{name}" for name in ("activations", "losses", "metrics"))
_PURE_SYMBOLS = ("math.", "nn.", "linalg.", "signal.", "image.", "__operators__.", "keras.backend.")
_PURE_WORDS = """
abs add add_n argmax argmin boolean_mask broadcast_to cast clip_by_norm clip_by_value concat
constant convert_to_tensor cumsum divide einsum exp expand_dims eye fill gather gather_nd identity
linspace matmul maximum meshgrid minimum multiply norm one_hot ones ones_like pad pow range rank
repeat reshape reverse roll round scatter_nd sequence_mask shape sigmoid sign size slice sort split
sqrt square squeeze stack stop_gradient strided_slice subtract tanh tensordot tile transpose
truediv unstack where zeros zeros_like
"""
_PURE_NAMES = frozenset(_PURE_WORDS.split())
# Keras converts these to data, without importing a module; for others it imports the module.
_DATA = ("__tensor__", "__numpy__", "__bytes__")


def check(path: str, config: Any, modules: Sequence[str] = ()) -> None:
    """Refuses a configuration that runs code, or names something that is not on the list.

    Args:
        path: path of the file, for the message.
        config: configuration of a model, as JSON.
        modules: further modules that it may name, with all their contents.

    Raises:
        InputError: naming the entry that is refused.
    """
    for entry in entries(config):
        if reason := _refused(entry, modules):
            raise InputError(
                f"model={path}: {reason}; give --trust (trust=True) only if you know who made it"
            )


def entries(config: Any) -> Iterator[dict[str, Any]]:
    """All dictionaries of a configuration that name a class, at any depth."""
    left = [config]
    while left:
        found = left.pop()
        if isinstance(found, dict):
            if "class_name" in found:
                yield found
            left += found.values()
        elif isinstance(found, list):
            left += found


def _refused(entry: dict[str, Any], modules: Sequence[str]) -> str:
    """The reason to refuse an entry; "" if it is allowed."""
    name, module, inner = entry["class_name"], entry.get("module"), entry.get("config")
    names = [name, entry.get("registered_name"), *([inner] if name == "function" else [])]
    for each in names:
        if str(each).rsplit(".")[-1].rsplit(">")[-1] in _CODE:
            return f"holds code ({each})"
    arguments = inner if isinstance(inner, dict) else {}
    for argument in _FILES:
        if isinstance(arguments.get(argument), str):
            return f"reads a file ({argument}={arguments[argument]})"
    if name in ("TFOpLambda", "SlicingOpLambda"):
        return _refused_operation(inner)
    if not module:  # a name that the enclosing class knows, or a registered one
        return ""
    if not isinstance(module, str) or not isinstance(name, str):
        return f"names {module}.{name}, which is not a class"
    if name in _DATA or _is_within(module, modules):
        return ""
    if name == "__typespec__":
        known = _is_within(module, ("tensorflow.python",))
        return "" if known and str(entry.get("spec_name")).endswith("Spec") else f"names {module}"
    return _refused_object(entry, inner if name == "function" else name, module)


def _refused_operation(config: Any) -> str:
    """The reason to refuse a TensorFlow operation: some write files or load libraries."""
    symbol = str(config.get("function") if isinstance(config, dict) else config)
    return "" if _is_pure(symbol) else f"calls tf.{symbol}"


def _refused_object(entry: dict[str, Any], name: Any, module: str) -> str:
    """The reason to refuse a class or function of a module."""
    registered = saving.get_registered_object(
        name if entry["class_name"] == "function" else entry.get("registered_name")
    )
    if registered is not None:
        return ""
    known = _is_within(module, (*PACKAGES, "tensorflow.python.ops"))
    if not known and module != "builtins":
        return f"names {module}.{name}, a module that is not on the list ({', '.join(PACKAGES)})"
    kind = "function" if entry["class_name"] == "function" else "class"
    try:
        found = serialization_lib._retrieve_class_or_fn(
            name, entry.get("registered_name", name), module, obj_type=kind, full_config={}
        )
    except Exception:  # any exception: what cannot be found is refused
        return f"names {module}.{name}, which does not exist"
    if inspect.isclass(found):
        allowed = known and hasattr(found, "from_config") and not _runs_code(found)
    else:
        symbols = tf_export.get_canonical_name_for_symbol(found) or ""
        allowed = _is_within(getattr(found, "__module__", ""), _PURE_MODULES) or _is_pure(symbols)
    return "" if allowed else f"names {module}.{name}, which is not part of a network"


def _runs_code(found: type) -> bool:
    if issubclass(found, tf_op_layer.TFOpLambda):  # an alias
        return True
    return any(base.__name__ in _CODE for base in found.__mro__)


def _is_pure(symbol: str) -> bool:
    symbol = symbol.removeprefix("compat.v1.")
    return symbol.startswith(_PURE_SYMBOLS) or symbol in _PURE_NAMES


def _is_within(module: Any, packages: Sequence[str]) -> bool:
    return any(module == each or str(module).startswith(f"{each}.") for each in packages)
