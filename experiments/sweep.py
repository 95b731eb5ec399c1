"""Runs a grid of runs, each on a core, and reports on them."""

import sys

from experiments import studies
from experiments.cli import command
from experiments.reports import sweep_report
from experiments.sweeps.sweep import Sweep

USAGE = """python -m experiments.sweep --grid=FLAG=VALUE,VALUE,... [--grid=...]
    [--evaluate="FLAGS OF evaluate" ...] [--study=NAME] [--cell_limit=SECONDS]
    [--ray_address=HOST:PORT] [FLAGS OF run]

Each grid is the product of its axes. Finished cells are not run again; the report follows them, by
a twentieth of the time at most, and is whole at the end. With --evaluate they are attacked, too, as
by experiments.evaluate, and the report has the results. With --study it has that study's tables
and figures, ours beside the published. The sweep's directory, under --output_dir, is the last line
printed. While it runs it names cells by what varies, and says how long the rest takes.

With --measure="FLAGS OF measure" the networks of all rounds of finished cells are measured, as by
experiments.measure, for the reports of studies.

By Ray (pip install '.[sweep]') as many cells are run at a time as there are cores, each with one
thread (--branches=1 --intra_op_threads=1 where no others are given): on this machine, or on a
cluster whose nodes see the same files, from one of them, with --ray_address. Without Ray they are
run one after the other, bit-identically. What a cell prints goes to logs/CELL.log in the sweep's
directory. A cell that fails is tried again once; then the others continue. One that takes
longer than --cell_limit is ended, as it may hang, and continues from its last checkpoint when it is
tried again. One that another process runs is waited for."""


def main(argv: list[str]) -> int:
    """The command; returns its exit code, 1 where a cell failed; see `command.exit_code`."""
    if "--help" in argv:
        print(USAGE)
        return 0
    command.show_warnings()
    return command.exit_code(lambda: _sweep(argv), "interrupted; the same command continues")


def _sweep(argv: list[str]) -> int:
    sweep = Sweep(argv, studies.BY_NAME, _report)
    failed = sweep.run()
    for name, why in failed.items():
        print(f"error: cell {name} failed: {why} ({sweep.log(name)})", file=sys.stderr)
    if len(failed) < len(sweep.cells):
        print(_report(sweep.folder))
    print(sweep.folder)
    return 1 if failed else 0


def _report(folder: str) -> str:
    return sweep_report.write(folder, studies.BY_NAME)


if __name__ == "__main__":
    command.leave(main(sys.argv))
