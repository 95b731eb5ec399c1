"""Documents options in docstrings: each parameter with its meaning, default, unit and range."""

import dataclasses
import inspect
from collections.abc import Iterable
from typing import Any

from robust_sparse_tf.options import allowed, default_of


def document(classes: Iterable[type]) -> None:
    """Adds a section `Args` on the fields to the docstrings of dataclasses of options.

    Args:
        classes: dataclasses whose fields are made by `options.option`, or described already.
    """
    for cls in classes:
        lines = [_line(field) for field in dataclasses.fields(cls) if "help" in field.metadata]
        if lines:
            words = inspect.cleandoc(cls.__doc__ or "")
            cls.__doc__ = "\n".join([words, "", "Args:", *lines])


def _line(field: dataclasses.Field[Any]) -> str:
    """For example "drop_fraction: fraction of ... (default: 0.3; at least 0 and at most 1)"."""
    unit, rule = field.metadata["unit"], allowed(field)
    default = default_of(field)
    if default is dataclasses.MISSING:
        detail = ["must be given"]
    else:
        shown = field.metadata["shown"] or repr(default)
        detail = [f"default: {shown}" + (f" {unit}" if unit and default is not None else "")]
    if rule != "any value":
        detail.append(rule)
    return f"    {field.name}: {field.metadata['help']} ({'; '.join(detail)})."
