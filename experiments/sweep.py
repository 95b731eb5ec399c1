"""Trains a grid of runs, each on its own core, and writes a report."""

import sys

from experiments import studies
from experiments.cli import command
from experiments.reports import sweep_report
from experiments.sweeps.sweep import Sweep

USAGE = """python -m experiments.sweep --grid=FLAG=VALUE,VALUE,... [--grid=...]
    [--evaluate="FLAGS OF evaluate" ...] [--study=NAME] [--cell_limit=SECONDS]
    [--ray_address=HOST:PORT] [FLAGS OF run]

Each grid is the product of its axes. Finished cells are not run again. The report is refreshed as
cells finish (using at most 5 % of the time) and rewritten at the end. With --evaluate, finished
cells are attacked as by experiments.evaluate, and the report has the results. With --study it has
that study's tables and figures, ours beside the published. The sweep's directory, under
--output_dir, is the last line printed. While it runs, it names cells by the flags that vary, and
shows the time left.

With --measure="FLAGS OF measure", the networks of all rounds of finished cells are measured as by
experiments.measure, for the reports of studies. Words before the flags limit both to cells with
these values of flags: --evaluate="noise=channel --attacks=rand".

With Ray (pip install '.[sweep]'), one cell runs per core, each with one thread (--branches=1
--intra_op_threads=1 by default): on this machine or, with --ray_address, on a cluster whose nodes
see the same files. Start the sweep on one of the nodes. Without Ray, cells run one after another,
with bit-identical results. The output of a cell goes to logs/CELL.log in the sweep's directory. A
cell that fails is retried once; then the others continue without it. A cell that takes longer than
--cell_limit is stopped, and resumes from its last checkpoint when it is retried. The sweep waits
for cells that another process is running."""


def main(argv: list[str]) -> int:
    """The command; returns its exit code, 1 if a cell failed; see `command.exit_code`."""
    if "--help" in argv:
        print(USAGE)
        return 0
    command.show_warnings()
    return command.exit_code(lambda: _sweep(argv), "interrupted; the same command resumes")


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
