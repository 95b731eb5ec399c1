"""Runs many command lines in one process, as importing TensorFlow takes longer than a small run.

Reads a JSON file of {name: [argv, environment, limit of a file's bytes or null]} and writes one of
{name: [exit code, stdout, stderr]}. An exception that gets out of the command has the exit code -1
and its traceback on stderr.
"""

import json
import os
import resource
import sys
import tempfile
import traceback
from typing import IO
from unittest import mock

from experiments import run


def main(cases_path: str, outcomes_path: str) -> None:
    with open(cases_path) as file:
        cases = json.load(file)
    outcomes = {name: _outcome(*case) for name, case in cases.items()}
    with open(outcomes_path, "w") as file:
        json.dump(outcomes, file)


def _outcome(argv: list[str], env: dict[str, str], fsize: int | None) -> tuple[int, str, str]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        saved = os.dup(1), os.dup(2)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            with mock.patch.dict(os.environ, env):
                resource.setrlimit(resource.RLIMIT_FSIZE, (fsize or soft, hard))
                code = run.main(["run", *argv])
        except BaseException:
            code = -1
            traceback.print_exc()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            for stream, number, copy in zip((sys.stdout, sys.stderr), (1, 2), saved, strict=True):
                stream.flush()
                os.dup2(copy, number)
                os.close(copy)
        return code, _text(out), _text(err)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


if __name__ == "__main__":
    main(*sys.argv[1:])
