"""The pruning options that --device_profile sets, and why."""

from experiments.cli.values import Values
from experiments.runs.procedure import procedure_of
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.device_profiles import device_profile


def applied(values: Values) -> Values:
    """The flags of a run, with the options that its device profile sets.

    Raises:
        InputError: if the method lacks one of them, or another value is given.
    """
    name = values["device_profile"]
    if name is None:
        return values
    chosen, own = procedure_of(values), device_profile(name).method
    for option, value in own.items():
        if option not in chosen.options:
            raise InputError(
                f"device_profile={name}: sets {option}, which method={chosen.name} does not have; "
                "use one that does, such as method=gradual"
            )
        if values[option] not in (None, value):
            raise InputError(
                f"{option}={values[option]}: must be {value} with device_profile={name}, or left "
                "out"
            )
    return values | dict(own)


def reasons(values: Values) -> list[str]:
    """Lines that say what a run's device profile chose, and why."""
    name = values["device_profile"]
    if name is None:
        return []
    profile = device_profile(name)
    chosen = " ".join(f"--{option}={value}" for option, value in profile.method.items())
    formats = f"export with --formats={','.join(profile.formats)}"
    return [f"device_profile={name}: {chosen}; {formats}", *profile.reasons]
