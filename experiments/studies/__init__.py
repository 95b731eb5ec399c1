"""Reports of the studies: results of a sweep's finished cells beside the published numbers.

Each study has `report(folder, cells, attacked)`: `folder` is the sweep's, `cells` are its finished
cells (`sweeps.directory.Cell`), `attacked` is what `reports.robustness.attacked` returns. It draws
into `folder`, and returns Markdown and the same numbers for report.json.
"""

from experiments.reports.sweep_report import StudyReport
from experiments.studies.dynamic_sparse_adversarial import report as dynamic_sparse_adversarial
from experiments.studies.lighter_robust_model import report as lighter_robust_model
from experiments.studies.robust_sparse_regularization import (
    report as robust_sparse_regularization,
)
from experiments.studies.search_sparse_robust import report as search_sparse_robust
from experiments.studies.sparse_dnns_robustness import report as sparse_dnns_robustness

BY_NAME: dict[str, StudyReport] = {
    "search_sparse_robust": search_sparse_robust.report,
    "sparse_dnns_robustness": sparse_dnns_robustness.report,
    "lighter_robust_model": lighter_robust_model.report,
    "dynamic_sparse_adversarial": dynamic_sparse_adversarial.report,
    "robust_sparse_regularization": robust_sparse_regularization.report,
}
