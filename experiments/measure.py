"""Measures the networks of a run's rounds, as in the papers."""

from __future__ import annotations

import os
import sys

from etils import epy

from experiments.cli import command, flags, quiet
from experiments.cli.bar import Bar
from experiments.cli.locking import alone
from experiments.cli.quiet import load_tensorflow
from experiments.cli.tables import print_table
from experiments.evaluations import measure_options, stored
from experiments.evaluations.measure_options import MeasureOptions
from experiments.reports import measures
from robust_sparse_tf import data
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export import forms

with epy.lazy_imports():
    from experiments.evaluations import loading, measuring, run_log


def main(argv: list[str]) -> int:
    """The command; returns its exit code, see `command.exit_code`."""
    if "--help" in argv:
        print(
            flags.help_of_group(
                measure_options.MeasureOptions, "python -m experiments.measure --model=RUN"
            )
        )
        return 0
    quiet.quiet_loggers()
    command.show_warnings()
    interrupted = "interrupted; the same command resumes with the remaining rounds"
    return command.exit_code(lambda: _measure(argv), interrupted)


def _measure(argv: list[str]) -> int:
    options = measure_options.parse(argv)
    if not options.model:
        raise InputError("model: must be given, as in --model=runs/RUN")
    found = measure_options.paths(options.model, options)
    if not found:
        raise InputError(f"model={options.model}: holds no network of a round (rounds/N)")
    left = [path for path in found if not stored.is_of(path, os.path.dirname(path))]
    for path in left:
        forms.form_of(os.path.join(os.path.dirname(path), "model.keras"))  # raises if none
    if left:
        _measure_rounds(options.model, left, options)
    else:
        print(f"{options.model} was measured before; these are the stored results")
    _show(found)
    return 0


def _measure_rounds(model: str, left: list[str], options: MeasureOptions) -> None:
    """Measures the remaining rounds, and writes their files."""
    words = ", ".join(options.measures)
    print(f"measuring {words} of {model} (networks: {len(left)})", flush=True)
    load_tensorflow()
    test = loading.images(model, None, options.data_dir, options.examples)
    with Bar("measures") as shown:
        for path in left:
            _measure_round(path, left, test, options, shown)
            command.raise_if_interrupted()


def _measure_round(
    path: str, left: list[str], test: data.Split, options: MeasureOptions, shown: Bar
) -> None:
    """Measures one round, and writes its file."""
    folder = os.path.dirname(path)
    if os.path.exists(path):
        quiet.say(f"warning: {path} belongs to another network, or is damaged; measuring again")
    count, now = len(options.measures), f"of round {os.path.basename(folder)}"

    def show(name: str, number: int) -> None:
        done = left.index(path) * count + number
        shown.show("measuring", done, len(left) * count, f"{name} {now}")

    with alone(folder):
        found = measuring.of_round(folder, test, options, show)
        stored.write_measures(path, found)
        run_log.add_measures(folder, "measures", found)


def _show(found: list[str]) -> None:
    """Prints a table of the measures, those that could not be taken, and the files."""
    measured = [
        (int(os.path.basename(os.path.dirname(path))), stored.read_measures(path)) for path in found
    ]
    names = list(dict.fromkeys(name for _, own in measured for name in own.numbers))
    if names:
        rows = [["round", *(name.replace("_", " ") for name in names)]]
        for number, own in measured:
            shown = {name: f"{value:.4g}" for name, value in own.numbers.items()}
            rows.append([str(number), *(shown.get(name, "") for name in names)])
        print_table(rows)
    for number, own in measured:
        for line in measures.warnings([(number, own)]):
            print(f"round {number}: {line}")
    for path in found:
        print(path)


if __name__ == "__main__":
    command.leave(main(sys.argv))
