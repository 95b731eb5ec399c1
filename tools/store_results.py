"""Copies what is small and telling of a finished run, or of a sweep, to experiments/results.

python tools/store_results.py DIRECTORY NAME
"""

import glob
import json
import os
import shutil
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FILES = (
    "results.json",
    "results.md",
    "figures/accuracy.png",
    "figures/early_stopping.png",
    "report.json",
    "report.md",
    "report.png",
)

# Flags that say where files lie, on one machine, and change nothing in them.
PLACES = ("output_dir", "data_dir", "overwrite")


def main(run: str, name: str) -> None:
    """Copies the files of a run's directory under a name."""
    folder = os.path.join(ROOT, "experiments", "results", name)
    os.makedirs(folder, exist_ok=True)
    configs = sorted(glob.glob(os.path.join(run, "config.json")))
    for path in configs or sorted(glob.glob(os.path.join(run, "*", "config.json")))[:1]:
        with open(path) as file:
            config = json.load(file)
        config["flags"] = {k: v for k, v in config["flags"].items() if k not in PLACES}
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump(config, file, indent=1)
    for file in FILES:
        if os.path.exists(os.path.join(run, file)):
            shutil.copy(os.path.join(run, file), folder)
            print(os.path.join(folder, os.path.basename(file)))


if __name__ == "__main__":
    main(*sys.argv[1:])
