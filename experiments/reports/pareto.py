"""The front of robust accuracy, bytes and latency over exported files: a table and a figure."""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Sequence
from typing import Any

from robust_sparse_tf import files
from robust_sparse_tf.drawing import COLORS, MARKERS, legend_beside, panels, plain_log_scale
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export import record
from robust_sparse_tf.texts import markdown_table, percent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """An exported file: what it costs, and how robust it is.

    Attributes:
        model: name of the model.
        format: name of the format.
        robust: robust accuracy of the file.
        clean: its clean accuracy.
        bytes: its size.
        milliseconds: median latency of one example on one thread.
    """

    model: str
    format: str
    robust: float
    clean: float
    bytes: int
    milliseconds: float

    def beats(self, other: Point) -> bool:
        """Whether it is at least as good in everything, and better in something."""
        own, its = self._costs(), other._costs()
        return own != its and all(a <= b for a, b in zip(own, its, strict=True))

    def _costs(self) -> tuple[float, float, float]:
        return -self.robust, self.bytes, self.milliseconds


@dataclasses.dataclass(frozen=True)
class Found:
    """The points of a folder, and under which attack they were measured."""

    points: tuple[Point, ...]
    norm: str
    epsilon: float
    examples: int


def read(folder: str) -> Found:
    """All measured files in export.json below a folder.

    Raises:
        InputError: if there are none, or they were attacked differently.
    """
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: must be a folder with exports (export.json) in it")
    paths = sorted(
        glob.glob(os.path.join(glob.escape(folder), "**", "export.json"), recursive=True)
    )
    reports = {path: record.read(path) for path in paths}
    points = [
        Point(
            model=report.model,
            format=row.format + " (compacted)" * row.compacted,
            robust=row.robust,
            clean=row.clean,
            bytes=row.bytes,
            milliseconds=row.median,
        )
        for report in reports.values()
        for row in report.rows
        if row.robust is not None and row.clean is not None and row.median is not None
    ]
    if not points:
        raise InputError(
            f"{folder}: holds no export with latency and robust accuracy; make one with "
            "experiments.export"
        )
    balls = {(r.norm, r.epsilon, r.examples): path for path, r in reports.items() if r.examples}
    if len(balls) > 1:
        told = "; ".join(
            f"{path}: {norm}, epsilon {epsilon:g}, {examples} images"
            for (norm, epsilon, examples), path in balls.items()
        )
        raise InputError(f"{folder}: exports under different attacks cannot be compared ({told})")
    ((norm, epsilon, examples),) = balls
    return Found(tuple(points), norm, epsilon, examples)


def front(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats, the most robust first."""
    best = [each for each in points if not any(other.beats(each) for other in points)]
    return sorted(best, key=lambda point: (-point.robust, point.bytes))


def write(folder: str) -> str:
    """Writes pareto.json, pareto.md and the figure into a folder; returns the table.

    Raises:
        InputError: see `read`.
    """
    found = read(folder)
    best = front(found.points)
    files.write_json(os.path.join(folder, "pareto.json"), _as_json(found, best))
    text = markdown(found, best)
    files.write_text(os.path.join(folder, "pareto.md"), text)
    _draw(os.path.join(folder, "pareto.png"), found, best)
    return text


def markdown(found: Found, best: Sequence[Point]) -> str:
    """The table: the front first, then the other files."""
    rows = [["model", "format", "front", "robust (%)", "clean (%)", "bytes", "latency (ms)"]]
    others = sorted(set(found.points) - set(best), key=lambda point: -point.robust)
    for point in (*best, *others):
        rows.append(
            [
                point.model,
                point.format,
                "yes" if point in best else "",
                percent(point.robust),
                percent(point.clean),
                f"{point.bytes:,}",
                f"{point.milliseconds:.4f}",
            ]
        )
    lines = [
        "# Robust accuracy, bytes and latency",
        "",
        f"Attacks: {found.norm}, epsilon {found.epsilon:g}, {found.examples} images. A file is on "
        "the front if no other is at least as good in all three and better in one. Latency: one "
        "example on one thread, the median.",
        "",
        *markdown_table(rows, left=3),
    ]
    return "\n".join(lines) + "\n"


def _as_json(found: Found, best: Sequence[Point]) -> dict[str, Any]:
    return {
        "norm": found.norm,
        "epsilon": found.epsilon,
        "examples": found.examples,
        "points": [dataclasses.asdict(point) | {"front": point in best} for point in found.points],
    }


def _draw(path: str, found: Found, best: Sequence[Point]) -> None:
    """Robust accuracy against bytes and against latency; the front is filled."""
    figure, ((*axes,),) = panels(1, 2, (11, 4.2))
    models = list(dict.fromkeys(point.model for point in found.points))
    formats = list(dict.fromkeys(map(_format, found.points)))
    axes[0].set(xlabel="size (KB)", ylabel=f"robust accuracy (%), {found.norm} {found.epsilon:g}")
    axes[1].set(xlabel="latency of one example on one thread (µs)")
    for point in found.points:
        color = COLORS[models.index(point.model) % len(COLORS)]
        marker = MARKERS[formats.index(_format(point)) % len(MARKERS)]
        face = color if point in best else "none"
        for axis, cost in zip(axes, (point.bytes / 1000, 1000 * point.milliseconds), strict=True):
            axis.plot(cost, 100 * point.robust, marker, color=color, markerfacecolor=face)
    for axis in axes:
        plain_log_scale(axis)
    for index, model in enumerate(models):
        axes[1].plot([], [], "s", color=COLORS[index % len(COLORS)], label=model)
    for index, name in enumerate(formats):
        marker = MARKERS[index % len(MARKERS)]
        axes[1].plot([], [], marker, color="grey", markerfacecolor="none", label=name)
    axes[1].plot([], [], "o", color="grey", label="on the front (filled)")
    legend_beside(axes[1])
    files.write_figure(figure, path)


def _format(point: Point) -> str:
    return point.format.removesuffix(" (compacted)")
