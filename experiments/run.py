"""Trains a sparse network, adversarially or not: flags in, a run's directory out."""

import logging
import os
import sys
import warnings
from typing import Any

from experiments.quiet import quiet_stderr

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet_stderr():
    from experiments import flags
    from experiments.progress import print_table
    from experiments.results import table
    from experiments.training_run import TrainingRun
    from robust_sparse_tf.errors import InputError, RunWarning, TrainingError


def main(argv: list[str]) -> int:
    """The command; returns its exit code: 0, 2 for wrong input, 1 for a run that failed."""
    for name in ("tensorflow", "absl", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.showwarning = _show_warning
    if "--help" in argv:
        print(flags.help_text())
        return 0
    try:
        path, results = TrainingRun(flags.parse(argv)).execute()
    except InputError as error:
        return _fail(error, 2)
    except TrainingError as error:
        return _fail(error, 1)
    except OSError as error:
        return _fail(f"cannot write {error.filename}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        return _fail("interrupted; the same command goes on from the last checkpoint", 130)
    if results:
        _show(path, results)
    print(path)
    return 0


def _show(path: str, results: dict[str, Any]) -> None:
    print_table(table(results))
    agreement = 100 * results["export"]["agreement"]
    print(f"model.tflite predicts what Keras predicts on {agreement:.2f} % of the test images")
    for name in sorted(os.listdir(path)):
        if not name.startswith("."):
            print(os.path.join(path, name))


def _fail(message: Any, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


def _show_warning(message: Warning, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, RunWarning):
        print(f"warning: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
