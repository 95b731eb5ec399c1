"""The directory of a run: named by its flags, owned by one process, complete or resumable."""

import fcntl
import json
import os
import warnings

from experiments.cli.command import BusyError
from experiments.cli.digest import digest
from experiments.cli.values import Values
from experiments.runs import config, contents, results
from experiments.runs.old_flags import are_same, identity
from experiments.runs.options import different, hashed
from experiments.runs.procedure import kind_of
from robust_sparse_tf import files
from robust_sparse_tf.errors import InputError, RunWarning

_LOCK = ".lock"


class RunDirectory:
    """The directory of a run.

    Args:
        values: the value of each flag.
        owner: whether this process writes there; only one process of a distributed run does.

    Raises:
        InputError: if it cannot be written, is in use, has other files, or was made with other
            flags.
    """

    def __init__(self, values: Values, *, owner: bool = True) -> None:
        self.path = path_of(values)
        self._values = values
        if not owner:
            return
        try:
            os.makedirs(self.path, exist_ok=True)
            self._lock = open(self.file(_LOCK), "w")  # noqa: SIM115, held until the process ends
        except OSError as error:
            raise InputError(
                f"output_dir={values['output_dir']}: cannot be written ({error.strerror})"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"{self.path}: another process is using it") from error
        if not values["overwrite"]:
            self._check()

    def file(self, *names: str) -> str:
        """A path inside the directory; folders are not created."""
        return os.path.join(self.path, *names)

    def start(self, made_by: config.Config) -> None:
        """Writes config.json, after emptying the directory if requested."""
        if self._values["overwrite"]:
            # If killed in between, neither a finished run nor one with other flags may be left.
            first, last = results.FILE, config.FILE
            names = set(os.listdir(self.path)) - {_LOCK}
            for name in sorted(names, key=lambda name: (name != first, name == last)):
                files.remove(self.file(name))
        config.write(self.path, made_by)

    def finished(self) -> results.RunResults | None:
        """Returns the stored results of a finished run.

        Results that are damaged or of another run are made again, with a warning.
        """
        if self._values["overwrite"]:
            return None
        try:
            found = results.read(self.path)
            if found and found["name"] != os.path.basename(self.path):
                path = self.file(results.FILE)
                raise InputError(f"{path}: is of another run ({found['name']})")
        except InputError as error:
            warnings.warn(
                f"{error}; the run resumes from the last checkpoint", RunWarning, stacklevel=2
            )
            return None
        return found

    def _check(self) -> None:
        others = [name for name in os.listdir(self.path) if name != _LOCK]
        if not others:
            return
        try:
            stored = dict(config.read(self.path)["flags"])
            if not set(stored) & set(self._values):
                raise KeyError("flags")
        except (OSError, ValueError, KeyError, TypeError) as error:
            if all(name.endswith(".partial") for name in others):
                return  # killed while writing the first file
            raise InputError(
                f"{self.path}: has files that are not of a run, or a damaged config.json; choose "
                "another --output_dir, or use --overwrite"
            ) from error
        now = json.loads(json.dumps(self._values))
        changed = sorted(
            name
            for name in hashed(now)
            if name in different(self._values) or name in stored
            if not are_same(name, stored.get(name), now[name], self._values)
        )
        if changed:
            name = changed[0]
            raise InputError(
                f"{self.path}: was made with other flags ({name}={stored.get(name)}, now "
                f"{now[name]}); use --overwrite or another --output_dir"
            )


def path_of(values: Values) -> str:
    """The directory of a run."""
    return os.path.join(values["output_dir"], run_name(values))


def run_name(values: Values) -> str:
    """A readable prefix and a hash of the flags that differ from the defaults.

    Users' own models and data also count by their content.
    """
    asked: object = identity(values)
    own = [contents.of_data(values["dataset"]), contents.of_model(values["model"])]
    if any(own):
        asked = [asked, own]
    return f"{data_name(values)}-{values['attack']}-{kind_of(values)}-{digest(asked)}"


def data_name(values: Values) -> str:
    """The first part of the name of a run or sweep: its data set, or the form of the user's own."""
    form: str = values["dataset"].partition(":")[0]
    return form


def finished(folder: str, name: str) -> results.RunResults | None:
    """The results of a run in a folder; None if they are missing or of another run.

    Raises:
        InputError: if the file has no results.
    """
    found = results.read(os.path.join(folder, name))
    return found if found and found["name"] == name else None
