"""The report of exported files, a row per format; this module does not need TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.texts import markdown_table, percent


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportRow:
    """An exported file, with what was measured of it; None where it was not.

    Attributes:
        format: name of the format, see `formats.FORMATS`.
        file: name of the file or folder.
        compacted: whether the network was compacted.
        bytes: size.
        gzip_bytes: size after gzip.
        entropy_bytes: the entropy bound of the stored weights, see `storage`.
        images: number of images on which the file was compared with the Keras model.
        agreement: fraction of them with the same prediction.
        difference: largest difference of a logit.
        median: milliseconds of one inference of one example on one thread, the median.
        p95: the same, 95th percentile.
        memory: bytes that the interpreter needs at most.
        clean: accuracy on clean images.
        robust: robust accuracy of the file, the worst of `attacks`.
        attacks: robust accuracy of the file by attack.
        twin: what the comparison of the differentiable twin with the file found, in words.
    """

    format: str
    file: str
    compacted: bool
    bytes: int
    gzip_bytes: int
    entropy_bytes: int | None = None
    images: int
    agreement: float
    difference: float
    median: float | None = None
    p95: float | None = None
    memory: int | None = None
    clean: float | None = None
    robust: float | None = None
    attacks: Mapping[str, float] = dataclasses.field(default_factory=dict)
    twin: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportReport:
    """The exported files of a model.

    Attributes:
        model: name of the model.
        density: fraction of the weights of kernels that are not zero.
        norm: norm of the ball of the attacks.
        epsilon: its radius.
        examples: number of images that were attacked, 0 for none.
        keras_clean: accuracy of the Keras model on these images; None without an attack.
        keras_robust: robust accuracy of the Keras model on them; None without an attack.
        dense_bytes: size of the dense float32 file of this architecture; None if not made.
        dense_median: its latency in milliseconds, timed with those of the others.
        rows: the files.
        refused: reasons by the names of formats.
        notes: lines on what was done to the model.
    """

    model: str
    density: float
    norm: str
    epsilon: float
    examples: int
    keras_clean: float | None
    keras_robust: float | None
    dense_bytes: int | None
    dense_median: float | None
    rows: tuple[ExportRow, ...]
    refused: Mapping[str, str]
    notes: tuple[str, ...]

    def smaller(self, row: ExportRow) -> float | None:
        """How many times smaller a file is than the dense float32 one."""
        return self.dense_bytes / row.bytes if self.dense_bytes else None

    def faster(self, row: ExportRow) -> float | None:
        """How many times faster it is."""
        return self.dense_median / row.median if self.dense_median and row.median else None

    def to_json(self) -> dict[str, Any]:
        """The content of export.json."""
        return dataclasses.asdict(self)

    def to_markdown(self) -> str:
        """The content of export.md."""
        lines = [f"# Exported files of {self.model}", "", f"Density {percent(self.density)} %."]
        if self.examples:
            lines[-1] += (
                f" Attacks: {self.norm}, epsilon {self.epsilon:g}, {self.examples} images. Keras "
                f"model: clean {percent(self.keras_clean or 0)} %, robust "
                f"{percent(self.keras_robust or 0)} %."
            )
        if self.rows:
            lines += ["", *markdown_table([list(_COLUMNS), *map(self._cells, self.rows)], left=1)]
        if self.dense_bytes:
            lines += [
                "",
                f"Smaller and faster: than the dense float32 file of this architecture, "
                f"{self.dense_bytes:,} bytes"
                + (f" and {self.dense_median:.3f} ms." if self.dense_median else "."),
            ]
        twins = [f"{row.format}: {row.twin}" for row in self.rows if row.twin]
        refused = [f"{name}: {reason}" for name, reason in self.refused.items()]
        for title, own in (("Notes", self.notes), ("Twins", twins), ("Refused", refused)):
            if own:
                lines += ["", f"{title}:", "", *(f"- {line}" for line in own)]
        return "\n".join(lines) + "\n"

    def _cells(self, row: ExportRow) -> list[str]:
        attacks = ", ".join(f"{name} {percent(value)}" for name, value in row.attacks.items())
        return [
            row.format + " (compacted)" * row.compacted,
            f"{row.bytes:,}",
            f"{row.gzip_bytes:,}",
            _shown(row.entropy_bytes, "{:,}"),
            _shown(self.smaller(row), "{:.1f}x"),
            _shown(row.median, "{:.4f}"),
            _shown(row.p95, "{:.4f}"),
            _shown(self.faster(row), "{:.1f}x"),
            _shown(row.memory, "{:,}"),
            percent(row.agreement),
            f"{row.difference:.2g}",
            "" if row.clean is None else percent(row.clean),
            "" if row.robust is None else percent(row.robust),
            attacks,
        ]


_COLUMNS = (
    "format",
    "bytes",
    "gzip bytes",
    "entropy bound (bytes)",
    "smaller",
    "median (ms)",
    "p95 (ms)",
    "faster",
    "peak memory (bytes)",
    "same prediction (%)",
    "largest difference",
    "clean (%)",
    "robust (%)",
    "by attack (%)",
)
_NUMBER = (int, float)
_NUMBER_OR_NONE = (int, float, type(None))
_ROW = {
    "format": str,
    "file": str,
    "compacted": bool,
    "bytes": int,
    "gzip_bytes": int,
    "entropy_bytes": _NUMBER_OR_NONE,
    "images": int,
    "agreement": _NUMBER,
    "difference": _NUMBER,
    "median": _NUMBER_OR_NONE,
    "p95": _NUMBER_OR_NONE,
    "memory": _NUMBER_OR_NONE,
    "clean": _NUMBER_OR_NONE,
    "robust": _NUMBER_OR_NONE,
    "attacks": {"*": _NUMBER},
    "twin": str,
}
_REPORT = {
    "model": str,
    "density": _NUMBER,
    "norm": str,
    "epsilon": _NUMBER,
    "examples": int,
    "keras_clean": _NUMBER_OR_NONE,
    "keras_robust": _NUMBER_OR_NONE,
    "dense_bytes": _NUMBER_OR_NONE,
    "dense_median": _NUMBER_OR_NONE,
    "rows": [_ROW],
    "refused": {"*": str},
    "notes": [str],
}


def read(path: str) -> ExportReport:
    """Reads an export.json.

    Raises:
        InputError: for any other file.
    """
    try:
        found = files.read_json(path, _REPORT)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: holds no results of experiments.export ({error})") from error
    rows = tuple(ExportRow(**{name: row[name] for name in _ROW}) for row in found["rows"])
    given = {name: found[name] for name in _REPORT}
    return ExportReport(**given | {"rows": rows, "notes": tuple(found["notes"])})


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
