"""Exports a trained model in several formats, and measures the files."""

import os
import sys

from etils import epy

from experiments.cli import command, flags
from experiments.cli.bar import Bar
from experiments.cli.locking import alone
from experiments.cli.quiet import load_tensorflow, quiet_loggers, quiet_stderr
from experiments.evaluations import export_options
from experiments.evaluations.export_options import ExportOptions
from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.device_profiles import device_profile
from robust_sparse_tf.export.record import ExportReport

with epy.lazy_imports():
    from experiments.evaluations import exporting


def main(argv: list[str]) -> int:
    """The command; returns its exit code, see `command.exit_code`."""
    if "--help" in argv:
        print(flags.help_of_group(ExportOptions, "python -m experiments.export --model=PATH"))
        return 0
    quiet_loggers()
    command.show_warnings()
    return command.exit_code(lambda: _export(argv))


def _export(argv: list[str]) -> int:
    options = export_options.parse(argv)
    if not options.model:
        raise InputError("model: must be given, as in --model=runs/RUN")
    names = export_options.formats(options)
    if options.device_profile:
        for line in device_profile(options.device_profile).reasons:
            print(f"device_profile={options.device_profile}: {line}")
    print(f"exporting {options.model} as {', '.join(names)}", flush=True)
    load_tensorflow()
    where = export_options.folder(options.model, options)
    os.makedirs(where, exist_ok=True)
    with alone(where), quiet_stderr(), Bar("exports") as shown:
        report = exporting.export_model(options.model, where, options, shown.show)
    _write(report, where)
    print(report.to_markdown())
    print(where)
    return 0 if report.rows else command.REFUSED


def _write(report: ExportReport, where: str) -> None:
    files.write_json(os.path.join(where, "export.json"), report.to_json())
    files.write_text(os.path.join(where, "export.md"), report.to_markdown())


if __name__ == "__main__":
    command.leave(main(sys.argv))
