"""Settings of a study, and how those of a sweep's cells differ."""

import contextlib
import dataclasses
import json
import os
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

from experiments.cli.flags import as_flag
from experiments.cli.values import Values
from experiments.runs import options, unused
from experiments.sweeps.directory import Cell

Allowed = Mapping[str, Sequence[Any]]
"""Values of flags in a study."""

Part = tuple[list[str], dict[str, object]]
"""Markdown, and its numbers."""

Names = Mapping[str, tuple[str, ...]]
"""The distinguishing flags of each cell, by name; see `Protocol.parts`."""


class _Published(typing.Protocol):
    def without_numbers(self) -> Self:
        """No published numbers, for networks with other settings than the paper's."""


Known = TypeVar("Known", bound=_Published)

# Trials of a network may differ in these, besides seeds: the number of rounds and the measures.
_OF_TRIALS = ("seed", "rounds", "evaluate_every", "evaluate_epochs", "evaluate_at", "eval_attacks")
# How a cell is computed, which papers do not give.
_COMPUTING = (
    *("branches", "intra_op_threads", "jit_compile", "steps_per_execution"),
    *("distribute", "logical_cpus", "overfitting", "attack_batch_size"),
)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The settings of a study.

    Attributes:
        settings: function from all flags of a cell to the paper's values. Other flags must be at
            their defaults. Cells with other settings are shown without published numbers.
        budget: the paper's values of flags that make training and attacks longer or shorter. Cells
            with other budgets are listed, and shown beside published numbers.
    """

    settings: Callable[[Values], Allowed]
    budget: Callable[[Values], Allowed]

    def unlike(self, cell: Cell) -> tuple[str, ...]:
        """The cell's flags that differ from the paper's, such as ("label_smoothing=0.0",)."""
        return tuple(self._unlike(cell, self.settings))

    def parts(self, cells: Sequence[Cell]) -> dict[tuple[str, ...], list[Cell]]:
        """The cells grouped by their differences from the paper; those without any are first.

        Networks that differ in more than their seeds are not trials of each other: several budgets
        are separate parts, too.
        """
        names = self._varying_budgets(cells)
        found: dict[tuple[str, ...], list[Cell]] = {}
        for cell in cells:
            words = dict.fromkeys([*self.unlike(cell), *(_word(cell, name) for name in names)])
            found.setdefault(tuple(words), []).append(cell)
        return dict(sorted(found.items(), key=lambda part: bool(self.unlike(part[1][0]))))

    def names(self, cells: Sequence[Cell]) -> Names:
        """The words of `parts`, per cell."""
        return {cell.name: words for words, own in self.parts(cells).items() for cell in own}

    def report(
        self,
        cells: Sequence[Cell],
        known: Known,
        part: Callable[[Sequence[Cell], Known, str], Part],
    ) -> Part:
        """Reports on the `parts`, one after the other.

        Args:
            cells: finished cells.
            known: the published numbers.
            part: makes the report of a part from its cells, the published numbers to compare with,
                and the folder for its figures.

        Returns:
            Markdown, and the numbers of the first part, with `differences` as `settings`; other
            parts are in `others`, with their distinguishing flags in `unlike`.
        """
        lines: list[str] = []
        found: list[dict[str, object]] = []
        parts = self.parts(cells)
        for number, (words, own) in enumerate(parts.items(), 1):
            place = "figures" if number == 1 else os.path.join("figures", f"part_{number}")
            beside = known.without_numbers() if self.unlike(own[0]) else known
            text, numbers = part(own, beside, place)
            if len(parts) > 1:
                lines += [f"# Part {number}: {', '.join(words) or 'settings of the paper'}", ""]
            lines += text
            found.append({"unlike": list(words), **numbers})
        first, *others = found
        return lines, {**first, "settings": self.differences(cells), "others": others}

    def head(self, cells: Sequence[Cell]) -> list[str]:
        """The `differences` as Markdown."""
        return [word for line in self.differences(cells) for word in (line, "")]

    def differences(self, cells: Sequence[Cell]) -> list[str]:
        """Lines about settings that differ from the paper's; [] for none."""
        lines = []
        if other := self._told(cells, self.settings):
            lines += [f"**Not the paper's settings:** {other}. Published numbers are not shown."]
        if budget := self._told(cells, self.budget):
            lines += [f"**Not the paper's budget:** {budget}."]
        return lines

    def _told(self, cells: Sequence[Cell], allowed: Callable[[Values], Allowed]) -> str:
        counts: dict[tuple[str, str], int] = {}
        for cell in cells:
            for word, wanted in self._unlike(cell, allowed).items():
                counts[word, wanted] = counts.get((word, wanted), 0) + 1
        return "; ".join(
            f"{word} (the paper: {wanted}"
            + (f"; {count} of {len(cells)} cells)" if count < len(cells) else ")")
            for (word, wanted), count in counts.items()
        )

    def _unlike(self, cell: Cell, allowed: Callable[[Values], Allowed]) -> dict[str, str]:
        """The cell's flags that differ from the paper's, with the paper's values in words."""
        values = options.whole(cell.results["flags"])
        wanted = dict(allowed(values))
        if allowed is self.settings:
            left_out = {*_OF_TRIALS, *_COMPUTING, *self.budget(values)}
            defaults = {name: [options.value_of({}, name)] for name in options.hashed(values)}
            wanted = {n: own for n, own in (defaults | wanted).items() if n not in left_out}
        return {
            _word(cell, name): " or ".join(_shown(name, each) for each in known)
            for name, known in wanted.items()
            if _read(values[name]) not in known and unused.has_effect(name, values)
        }

    def _varying_budgets(self, cells: Sequence[Cell]) -> list[str]:
        """The flags of budgets and computing if some cells differ only in them."""
        alike: dict[str, list[Values]] = {}
        for cell in cells:
            values = options.whole(cell.results["flags"])
            free = (*_OF_TRIALS, *_COMPUTING, *self.budget(values))
            key = {name: own for name, own in values.items() if name not in free}
            alike.setdefault(json.dumps(key, sort_keys=True), []).append(values)
        return list(
            dict.fromkeys(
                name
                for own in alike.values()
                for name in (*self.budget(own[0]), *_COMPUTING)
                if any(values[name] != own[0][name] for values in own)
            )
        )


def _word(cell: Cell, name: str) -> str:
    return f"{name}={_shown(name, cell.flag(name))}"


def _shown(name: str, value: Any) -> str:
    if value is None:
        (field,) = [field for field in options.fields() if field.name == name]
        return field.metadata["shown"] or "default"
    return as_flag(name, value).partition("=")[2]


def _read(value: Any) -> Any:
    """A flag's value; JSON is parsed, because it can be written in several ways."""
    if isinstance(value, str) and value.startswith("{"):
        with contextlib.suppress(ValueError):
            return json.loads(value)
    return value
