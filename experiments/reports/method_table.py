"""Table and figure of a sweep, by method and density."""

import statistics
from collections.abc import Sequence

from experiments.runs import naming
from experiments.runs.procedure import DEFAULT
from experiments.runs.results import RunResults
from robust_sparse_tf import files, plot
from robust_sparse_tf.method_table import MethodRow, cells, spread
from robust_sparse_tf.texts import markdown_table


def rows_of(results: Sequence[RunResults]) -> list[MethodRow]:
    """One row per network: means and standard deviations over seeds.

    Args:
        results: results of the finished cells.

    Returns:
        Rows by method and decreasing density; settings are the other flags that vary, see
        `naming.varying`.
    """
    flags = [result["flags"] for result in results]
    settings = naming.varying(flags, [result["rounds"][-1]["density"] for result in results])
    rows = []
    for places in naming.trials(flags):
        last = [results[place]["rounds"][-1] for place in places]
        measures = {"clean": [entry["test"]["clean_accuracy"] for entry in last]}
        robust = [entry["test"]["robust_accuracy"] for entry in last]
        for attack in robust[0]:
            measures[attack] = [own[attack] for own in robust if attack in own]
        rows.append(
            MethodRow(
                method=flags[places[0]].get("method", DEFAULT),
                settings=settings[places[0]],
                density=statistics.fmean(entry["density"] for entry in last),
                seeds=len(places),
                measures={name: spread(values) for name, values in measures.items()},
            )
        )
    order = list(dict.fromkeys(row.method for row in rows))
    return sorted(rows, key=lambda row: (order.index(row.method), -row.density))


def markdown(rows: Sequence[MethodRow]) -> str:
    """Test accuracies in percent, mean ± standard deviation."""
    title = "# Test accuracy (%) by method and density"
    return "\n".join([title, "", *markdown_table(cells(rows), left=1), ""])


def draw(path: str, rows: Sequence[MethodRow]) -> None:
    """Draws accuracies against density; see `plot.by_density`."""
    files.write_figure(plot.by_density(rows), path)
