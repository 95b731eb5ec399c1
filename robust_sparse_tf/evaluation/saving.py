"""Writes the files of a report: numbers, tables and figures."""

import os

from robust_sparse_tf import files
from robust_sparse_tf.evaluation.figures import draw_accuracy, draw_images
from robust_sparse_tf.evaluation.report import Report
from robust_sparse_tf.options import checked_path, require


def save(report: Report, folder: str) -> None:
    """Writes report.json, report.csv, report.md, accuracy.png and images.png into a folder.

    Raises:
        OSError: naming the file that cannot be written.
    """
    require("report", report, Report)
    folder = checked_path("folder", folder)
    os.makedirs(folder, exist_ok=True)
    texts = {
        "report.csv": report.to_csv(),
        "report.md": report.to_markdown(),
        "report.json": report.to_json(),
    }
    for name, text in texts.items():
        files.write_text(os.path.join(folder, name), text)
    draw_accuracy(report, os.path.join(folder, "accuracy.png"))
    draw_images(report, os.path.join(folder, "images.png"))
