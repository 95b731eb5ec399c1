"""Flags from the options of classes among which another flag chooses, such as --method."""

import copy
import dataclasses
import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from experiments.cli import flags
from experiments.cli.values import Values
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import default_of


@dataclasses.dataclass(frozen=True)
class Choice:
    """A flag that chooses a class by name, whose options are flags, too.

    Attributes:
        flag: the flag.
        title: title of the options' part of the help.
        classes: the classes by name.
        taken: names of options that are flags of their own.
    """

    flag: str
    title: str
    classes: Mapping[str, type]
    taken: frozenset[str]

    def fields(self) -> list[dataclasses.Field[Any]]:
        """The options of all classes; their default None is for the class's own default."""
        found: dict[str, dataclasses.Field[Any]] = {}
        for cls in self.classes.values():
            for field in dataclasses.fields(cls):
                if field.name not in self.taken and field.name not in found:
                    found[field.name] = _optional(field)
        return list(found.values())

    def names(self) -> frozenset[str]:
        """Names of the flags that `fields` returns."""
        return frozenset(field.name for field in self.fields())

    def given(self, values: Values, chosen: str, options: Iterable[str]) -> Values:
        """The given options.

        Args:
            values: all flags of a run.
            chosen: name of the chosen class.
            options: names of its options.

        Raises:
            InputError: for an option that the class does not have.
        """
        found = {name: values[name] for name in self.names() if values[name] is not None}
        own = list(options)
        for name in sorted(set(found) - set(own)):
            raise InputError(
                f"{name}={found[name]}: is no option of {self.flag}={chosen}"
                + (f", which has {', '.join(own)}" if own else "")
            )
        return found

    def has(self, chosen: str, name: str) -> bool:
        """Whether a class, given by name, has an option; unknown classes have none."""
        return any(owner == chosen for owner, _ in self._owners(name))

    def help_lines(self) -> list[str]:
        """The options' part of the help."""
        lines = [self.title]
        for field in self.fields():
            lines += flags.describe(self._with_meanings(field), self._defaults(field.name))
        return lines

    def default(self, chosen: str, name: str) -> Any:
        """The default of an option in the chosen class; None if it has none."""
        fields = dataclasses.fields(self.classes[chosen]) if chosen in self.classes else ()
        return next((default_of(field) for field in fields if field.name == name), None)

    def _owners(self, name: str) -> Iterable[tuple[str, dataclasses.Field[Any]]]:
        for owner, cls in self.classes.items():
            for field in dataclasses.fields(cls):
                if field.name == name:
                    yield owner, field

    def _with_meanings(self, field: dataclasses.Field[Any]) -> dataclasses.Field[Any]:
        """The option with the meaning that each class gives it, if they differ."""
        meanings: dict[str, list[str]] = {}
        for owner, own in self._owners(field.name):
            meanings.setdefault(own.metadata["help"], []).append(owner)
        if len(meanings) == 1:
            return field
        meaning = "; ".join(f"{text} ({' '.join(names)})" for text, names in meanings.items())
        same = copy.copy(field)
        same.metadata = MappingProxyType({**field.metadata, "help": meaning})
        return same

    def _defaults(self, name: str) -> str:
        """The default of an option per class that has it."""
        by_default: dict[str, list[str]] = {}
        for owner, field in self._owners(name):
            default = field.metadata["shown"] or json.dumps(default_of(field))
            by_default.setdefault(default, []).append(owner)
        return ", ".join(f"{value} ({' '.join(own)})" for value, own in by_default.items())


def _optional(field: dataclasses.Field[Any]) -> dataclasses.Field[Any]:
    same = copy.copy(field)
    same.default, same.default_factory = None, dataclasses.MISSING
    return same
