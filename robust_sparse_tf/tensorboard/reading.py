"""Reads the plugin's values from TensorBoard's data provider, and notes what cannot be read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from tensorboard import plugin_util
from tensorboard.data import provider
from werkzeug import wrappers

from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.tensorboard.cache import Cache
from robust_sparse_tf.tensorboard.decoding import decoded, kind_of
from robust_sparse_tf.tensorboard.questions import NotFound, absent, shown
from robust_sparse_tf.tensorboard.shapes import Damage

MOST_POINTS = 2000
"""Points of a tag that TensorBoard keeps for the plugin, and that are read."""


class Series(NamedTuple):
    """The facts about a tag that are known before its values are read."""

    content: bytes  # the plugin's data
    step: int  # the last
    time: float  # of the last point, in seconds since 1970


class Point(NamedTuple):
    """A value of a tag; see `decoding`."""

    step: int
    time: float
    value: Any


class Values(NamedTuple):
    """The readable values of a tag, by step, and notes on the rest."""

    points: list[Point]
    notes: list[str]


Tags = Mapping[str, Series]


class Log:
    """The plugin's data in a log directory.

    Args:
        source: TensorBoard's data provider.
        cache: of values that were read before.
        request: for which it is read.
    """

    def __init__(
        self, source: provider.DataProvider, cache: Cache, request: wrappers.Request
    ) -> None:
        self._source = source
        self._cache = cache
        self._given = {
            "ctx": plugin_util.context(request.environ),
            "experiment_id": plugin_util.experiment_id(request.environ),
            "plugin_name": log_format.PLUGIN,
        }

    def runs(self) -> dict[str, Tags]:
        """The tags of all runs."""
        return self._list(None)

    def picked(self, runs: Sequence[str]) -> dict[str, Tags]:
        """The tags of some runs.

        Raises:
            NotFound: for one that there is not.
        """
        found = self._list(provider.RunTagFilter(runs=runs))
        for run in runs:
            if run not in found:
                raise absent("run", run, sorted(self.runs()))
        return {run: found[run] for run in runs}

    def last(self, wanted: Mapping[str, Tags]) -> dict[str, dict[str, Values]]:
        """The last points of tags of runs."""
        return self._values(wanted, 1)

    def all(self, wanted: Mapping[str, Tags]) -> dict[str, dict[str, Values]]:
        """All points of tags of runs; of several at a step the last."""
        return self._values(wanted, MOST_POINTS)

    def some(self, wanted: Mapping[str, Tags], most: int) -> dict[str, dict[str, Values]]:
        """Up to so many points of tags of runs, drawn by TensorBoard, the last one among them."""
        return self._values(wanted, most)

    def points(self, run: str, tag: str) -> Values:
        """All points of a tag; there is at least one.

        Raises:
            NotFound: where there is none that can be read.
        """
        tags = self.picked([run])[run]
        if tag not in tags:
            of_kind = [other for other in sorted(tags) if kind_of(other) == kind_of(tag)]
            raise absent("tag", tag, of_kind)
        values = self.all({run: {tag: tags[tag]}})[run][tag]
        if not values.points:
            raise NotFound(f"run {shown(run)}: {'; '.join(values.notes)}")
        return values

    def at(self, run: str, tag: str, step: int) -> Point:
        """The point of a tag at a step.

        Raises:
            NotFound: where there is none that can be read.
        """
        points = self.points(run, tag).points
        for point in points:
            if point.step == step:
                return point
        steps = [point.step for point in points]
        raise absent(f"{shown(tag)} at step", step, steps)

    def _list(self, runs: provider.RunTagFilter | None) -> dict[str, Tags]:
        listed = self._source.list_tensors(**self._given, run_tag_filter=runs)
        return {
            run: {
                tag: Series(series.plugin_content, series.max_step, series.max_wall_time)
                for tag, series in tags.items()
            }
            for run, tags in listed.items()
        }

    def _values(self, wanted: Mapping[str, Tags], most: int) -> dict[str, dict[str, Values]]:
        """The values in the cache, and those that must be read."""
        found: dict[str, dict[str, Values]] = {run: {} for run in wanted}
        missing: dict[str, list[str]] = {}
        for run, tags in wanted.items():
            for tag, series in tags.items():
                values = self._cache.get((run, tag, series, most))
                if values is None:
                    missing.setdefault(run, []).append(tag)
                else:
                    found[run][tag] = values
        for run, tag, data in self._read(missing, most):
            series = wanted[run][tag]
            values = _values_of(tag, series, data)
            self._cache.put((run, tag, series, most), values, _size(data))
            found[run][tag] = values
        return found

    def _read(
        self, missing: Mapping[str, Sequence[str]], most: int
    ) -> Iterator[tuple[str, str, list[provider.TensorDatum]]]:
        """The points of tags, read at once where that succeeds, else one by one."""
        if not missing:
            return
        tags = sorted({tag for group in missing.values() for tag in group})
        chosen_ones = provider.RunTagFilter(runs=list(missing), tags=tags)
        try:
            read = self._source.read_tensors(
                **self._given, run_tag_filter=chosen_ones, downsample=most
            )
        except Exception:  # TensorBoard's, from a tensor that it cannot decode
            if sum(map(len, missing.values())) > 1:
                for part in _parts(missing):
                    yield from self._read(part, most)
                return
            read = {}
        for run, group in missing.items():
            for tag in group:
                yield run, tag, read.get(run, {}).get(tag, [])


def _parts(missing: Mapping[str, Sequence[str]]) -> list[dict[str, Sequence[str]]]:
    """Halves of what is to be read: of the runs, or of the tags of a single one."""
    items = list(missing.items())
    if len(items) == 1:
        [(run, tags)] = items
        middle = len(tags) // 2
        return [{run: tags[:middle]}, {run: tags[middle:]}]
    middle = len(items) // 2
    return [dict(items[:middle]), dict(items[middle:])]


def _values_of(tag: str, series: Series, data: list[provider.TensorDatum]) -> Values:
    points: dict[int, Point] = {}
    bad: list[tuple[int, Damage]] = []
    for datum in data:
        try:
            value = decoded(tag, series.content, datum.numpy)
        except Damage as damage:
            bad.append((datum.step, damage))
        else:
            points[datum.step] = Point(datum.step, datum.wall_time, value)
    return Values([points[step] for step in sorted(points)], _notes(tag, len(data), bad))


def _notes(tag: str, count: int, bad: list[tuple[int, Damage]]) -> list[str]:
    if not count:
        return [f"{tag}: cannot be read"]
    if not bad:
        return []
    step, damage = bad[0]
    lost = f"{len(bad)} of {count} points cannot be read"
    return [f"{tag}: {lost}, the first at step {step}: {damage}"]


def _size(data: list[provider.TensorDatum]) -> int:
    """About the bytes that the values take."""
    return 200 + sum(_bytes(datum.numpy) for datum in data)


def _bytes(array: np.ndarray) -> int:
    if array.dtype != object:
        return 200 + array.nbytes
    return 200 + sum(4 * len(text) for text in array.ravel() if isinstance(text, bytes))
