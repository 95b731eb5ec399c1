"""Reports of the studies: of a sweep's finished cells, beside what was published.

Each module has `report(folder, cells)`: `folder` is the sweep's, `cells` the `results.json` of each
finished cell. It draws into `folder`, and returns Markdown and the same numbers for report.json.
"""

from collections.abc import Callable
from typing import Any

from experiments.studies import lighter_robust_model, search_sparse_robust, sparse_dnns_robustness

Report = Callable[[str, list[dict[str, Any]]], tuple[str, dict[str, Any]]]

BY_NAME: dict[str, Report] = {
    "search_sparse_robust": search_sparse_robust.report,
    "sparse_dnns_robustness": sparse_dnns_robustness.report,
    "lighter_robust_model": lighter_robust_model.report,
}
