"""Copies what is small and telling of a finished run, or of a sweep, to experiments/results.

A study's report comes into the page of the studies, too, where the page has a place for it.

python -m tools.store_results DIRECTORY NAME
"""

import glob
import importlib
import json
import os
import re
import shutil
import sys
from collections.abc import Sequence

from experiments.reports import summary

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULTS = os.path.join(ROOT, "experiments", "results")
PAGE = os.path.join(ROOT, "experiments", "README.md")
FILES = (
    "results.json",
    "results.md",
    "figures/accuracy.png",
    "figures/early_stopping.png",
    "report.json",
    "report.md",
    "report.pdf",
    "report.png",
    "trials.json",
)
EXPORT_FILES = ("results.json", "export/export.json", "export/export.md")

# Flags that say where files lie, on one machine, and change nothing in them.
PLACES = ("output_dir", "data_dir", "overwrite")


def main(run: str, name: str, names: Sequence[str] = FILES) -> None:
    """Copies files of a run's directory under a name."""
    folder = os.path.join(ROOT, "experiments", "results", name)
    os.makedirs(folder, exist_ok=True)
    configs = sorted(glob.glob(os.path.join(run, "config.json")))
    for path in configs or sorted(glob.glob(os.path.join(run, "*", "config.json")))[:1]:
        with open(path) as file:
            config = json.load(file)
        config["flags"] = {k: v for k, v in config["flags"].items() if k not in PLACES}
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump(config, file, indent=1)
    for file in names:
        if os.path.exists(os.path.join(run, file)):
            shutil.copy(os.path.join(run, file), folder)
            print(os.path.join(folder, os.path.basename(file)))
    if os.path.exists(os.path.join(run, "report.md")):
        _store_figures(run, folder)
    with open(PAGE) as file:
        text = filled(file.read())
    with open(PAGE, "w") as file:
        file.write(text)


def _store_figures(sweep: str, folder: str) -> None:
    """The figures that a study's report shows, and no others of before."""
    own = os.path.join(folder, "figures")
    shutil.rmtree(own, ignore_errors=True)
    if os.path.isdir(os.path.join(sweep, "figures")):
        shutil.copytree(os.path.join(sweep, "figures"), own)


def filled(page: str) -> str:
    """The page with its parts of reports and its summaries.

    Each place `<!-- results/NAME: HEADING -->` is filled with that part of a report, and each
    `<!-- summary: STUDY -->` with the summary of a study.
    """
    page = re.sub(
        r"<!-- summary: (\S+) -->\n.*?<!-- end -->",
        lambda found: f"<!-- summary: {found[1]} -->\n\n{_summary(found[1])}\n\n<!-- end -->",
        page,
        flags=re.DOTALL,
    )
    return re.sub(
        r"<!-- (results/\S+): ([^\n]*) -->\n.*?<!-- end -->",
        lambda found: f"<!-- {found[1]}: {found[2]} -->\n{_part(found[1], found[2])}<!-- end -->",
        page,
        flags=re.DOTALL,
    )


def _summary(study: str) -> str:
    """The items of a study and what became of them, as a table."""
    items = importlib.import_module(f"experiments.studies.{study}.summary").ITEMS
    return "\n".join(summary.table(items, study, RESULTS))


def _part(name: str, heading: str) -> str:
    """What a stored report has below a heading that begins so, except for warnings."""
    with open(os.path.join(ROOT, "experiments", name, "report.md")) as file:
        parts = re.split(r"^##? ", file.read(), flags=re.MULTILINE)
    found = [part for part in parts if part.startswith(heading)]
    if len(found) != 1:
        raise ValueError(f"{name}: {len(found)} headings begin with {heading!r}")
    text = found[0].split("\n", 1)[1].strip("\n")
    text = re.sub(r"^\*\*Warning.*\n+", "", text, flags=re.MULTILINE)
    return "\n" + text.replace("](figures/", f"]({name}/figures/") + "\n\n"


if __name__ == "__main__":
    main(*sys.argv[1:])
