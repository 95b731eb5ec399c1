"""Errors and warnings for users: wrong input, runs that cannot continue, warnings."""

import re


class InputError(ValueError):
    """A wrong argument, flag or data set: one line with its name, its value and what is allowed."""

    def __init__(self, text: object = "") -> None:
        super().__init__(" ".join(str(text).splitlines()))  # values may have several lines

    ag_pass_through = True
    """Stops TensorFlow's AutoGraph from wrapping the error in many lines."""


def not_installed(package: str, extra: str) -> InputError:
    """The error for a package of an extra of this library that is not there."""
    return InputError(
        f"{package} is not installed; pip install 'robust_sparse_tf[{extra}]' installs it"
    )


class TrainingError(RuntimeError):
    """A run that had to stop, for example because the loss is not finite."""


class RunWarning(UserWarning):
    """A warning to the user; the work continues."""


def reason(error: BaseException) -> str:
    """The message of an error of TensorFlow or Keras, in one line of at most 300 characters.

    Leaves out the traceback of the user's code, and the layer that was called.
    """
    lines = [line.strip() for line in told(error).splitlines() if line.strip()]
    if lines and lines[0] == "in user code:":
        kinds = [number for number, line in enumerate(lines) if re.match(r"[A-Z]\w*: ", line)]
        lines = lines[kinds[0] :] if kinds else lines[-1:]
        lines[0] = re.sub(r"^\w+: ", "", lines[0])
    if len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        lines = lines[1:]
    if lines and lines[0].endswith(":"):
        lines = [" ".join(lines)]
    return lines[0][:300] if lines else type(error).__name__


def told(error: BaseException) -> str:
    """An error's text without the operation's name, which TensorFlow adds when it runs eagerly."""
    text = re.sub(r"\{\{\w+ [^{}]*\}\} ?", "", str(error))
    return re.sub(r" ?\[Op:\w+\]( name: ?.*)?$", "", text)
