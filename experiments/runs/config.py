"""What made a run: config.json in its directory."""

import importlib.metadata
import json
import os
import platform
import subprocess
from typing import TypedDict

from experiments.cli.values import Values
from experiments.runs.old_flags import renamed
from robust_sparse_tf import files

_FILE = "config.json"
_PACKAGES = (
    "tensorflow",
    "tf_keras",
    "tensorflow-model-optimization",
    "cleverhans",
    "tensorflow-datasets",
    "keras",
    "ai-edge-litert",
    "numpy",
    "scikit-learn",
)


class Config(TypedDict):
    """All flags of a run, and the versions of what ran it."""

    flags: Values
    seed: int
    git_revision: str
    python: str
    packages: dict[str, str]


def of_values(values: Values) -> Config:
    """The configuration of a run of given flags in this process."""
    revision = subprocess.run(
        ["git", "-C", os.path.dirname(os.path.abspath(__file__)), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "flags": values,
        "seed": values["seed"],
        "git_revision": revision.stdout.strip() or "unknown",
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def exists(folder: str) -> bool:
    """Whether a directory is that of a run."""
    return os.path.exists(os.path.join(folder, _FILE))


def is_old(folder: str) -> bool:
    """Whether a run was made before the attacks of training and of tests had their own flags.

    Raises:
        ValueError: for a file that is no JSON.
    """
    return exists(folder) and "step_size" in _load(folder).get("flags", {})


def read(folder: str) -> Config:
    """The configuration in a run's directory, its flags by the names of today.

    Raises:
        OSError: where there is none.
        ValueError: for a file that is no JSON.
    """
    found = _load(folder)
    if "flags" in found:
        found["flags"] = renamed(found["flags"])
    return found


def write(folder: str, config: Config) -> None:
    """Writes config.json; one that is there already stays, as a resumed run goes on with it."""
    if not exists(folder):
        files.write_json(os.path.join(folder, _FILE), config)


def _load(folder: str) -> Config:
    with open(os.path.join(folder, _FILE)) as file:
        found: Config = json.load(file)
    return found
