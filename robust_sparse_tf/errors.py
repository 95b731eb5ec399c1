"""What a user may be told: mistakes in the input, runs that cannot continue, and warnings."""

import re


class InputError(ValueError):
    """A wrong argument, flag or data set: one line naming it, its value and what is allowed."""

    def __init__(self, text: object = "") -> None:
        super().__init__(" ".join(str(text).splitlines()))  # what is named may have several

    ag_pass_through = True
    """Tells TensorFlow's AutoGraph to leave it as it is, where it wraps others in many lines."""


class TrainingError(RuntimeError):
    """A run that had to stop, for example because the loss is no longer finite."""


class RunWarning(UserWarning):
    """Something that a user should know of, and that does not stop the work."""


def reason(error: BaseException) -> str:
    """What an error of TensorFlow or Keras says, in one line and at most 300 characters.

    Left out is what stands before it: the user's code, and the layer that was called.
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
    """An error's text without the operation that TensorFlow names where it runs one eagerly."""
    text = re.sub(r"\{\{\w+ [^{}]*\}\} ?", "", str(error))
    return re.sub(r" ?\[Op:\w+\]( name: ?.*)?$", "", text)
