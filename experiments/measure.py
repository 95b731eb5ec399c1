"""Measures the networks of a run's rounds, as the studies do."""

import os
import sys

from etils import epy

from experiments.cli import command, flags, quiet
from experiments.cli.locking import alone
from experiments.cli.quiet import load_tensorflow
from experiments.evaluations import measure_options, stored
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export import forms

with epy.lazy_imports():
    from experiments.evaluations import loading, measuring


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
    interrupted = "interrupted; the same command continues with the rounds that are left"
    return command.exit_code(lambda: _measure(argv), interrupted)


def _measure(argv: list[str]) -> int:
    options = measure_options.parse(argv)
    if not options.model:
        raise InputError("model: must be given, as in --model=runs/RUN")
    found = measure_options.paths(options.model, options)
    if not found:
        raise InputError(f"model={options.model}: holds no network of a round (rounds/N)")
    load_tensorflow()
    test = loading.images(options.model, None, options.data_dir, options.examples)
    for path in found:
        folder = os.path.dirname(path)
        if not stored.is_of(path, folder):
            forms.form_of(os.path.join(folder, "model.keras"))  # raises where there is none
            if os.path.exists(path):
                quiet.say(f"warning: {path} is of another network, or damaged: measured again")
            with alone(folder):
                stored.write_measures(path, measuring.of_round(folder, test, options))
        print(path, flush=True)
        command.raise_if_interrupted()
    return 0


if __name__ == "__main__":
    command.leave(main(sys.argv))
