"""The configuration of a run: config.json in its directory."""

import importlib.metadata
import os
import platform
import subprocess
from typing import NotRequired, TypedDict

from experiments.cli.values import Values
from experiments.runs.old_flags import renamed
from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError

FILE = "config.json"
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


_SHAPE = {"flags?": dict, "resolved?": dict, "packages?": {"*": str}, "git_revision?": str}


class Resolved(TypedDict):
    """Settings that depend on the machine unless flags set them."""

    branches: int
    intra_op_threads: int
    device: str
    replicas: NotRequired[int]


class Config(TypedDict):
    """All flags of a run, and the versions of the packages."""

    flags: Values
    seed: int
    git_revision: str
    python: str
    packages: dict[str, str]
    resolved: NotRequired[Resolved]


def of_values(values: Values, resolved: Resolved) -> Config:
    """The configuration of a run with given flags in this process."""
    return {
        "resolved": resolved,
        "flags": values,
        "seed": values["seed"],
        "git_revision": _revision(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _revision() -> str:
    """The revision of this project; "unknown" without git or a repository."""
    command = ["git", "-C", os.path.dirname(os.path.abspath(__file__)), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def exists(folder: str) -> bool:
    """Whether a directory is a run's."""
    return os.path.exists(os.path.join(folder, FILE))


def is_old(folder: str) -> bool:
    """Whether a run was made before attacks in training and in evaluation had separate flags.

    Raises:
        InputError: if the file has none.
    """
    return exists(folder) and "step_size" in _load(folder).get("flags", {})


def read(folder: str) -> Config:
    """Reads the configuration in a run's directory, with the current names of flags.

    Raises:
        OSError: if there is none.
        InputError: if the file has none.
    """
    found = _load(folder)
    if "flags" in found:
        found["flags"] = renamed(found["flags"])
    return found


def write(folder: str, config: Config) -> None:
    """Writes config.json, unless it exists: a resumed run keeps the old one."""
    if not exists(folder):
        files.write_json(os.path.join(folder, FILE), config)


def _load(folder: str) -> Config:
    path = os.path.join(folder, FILE)
    try:
        found: Config = files.read_json(path, _SHAPE)
    except ValueError as error:
        raise InputError(f"{path}: holds no configuration of a run ({error})") from error
    return found
