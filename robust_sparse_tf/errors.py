"""What a user may be told: mistakes in the input, runs that cannot go on, and warnings."""


class InputError(ValueError):
    """A wrong argument, flag or data set: one line naming it, its value and what is allowed."""

    ag_pass_through = True
    """Tells TensorFlow's AutoGraph to leave it as it is, where it wraps others in many lines."""


class TrainingError(RuntimeError):
    """A run that had to stop, for example because the loss is no longer finite."""


class RunWarning(UserWarning):
    """Something that a user should know of, and that does not stop the work."""
