"""Options of exports."""

import dataclasses
import os

from experiments.cli import flags, ranges
from experiments.evaluations.file_options import modules_option, trust_option
from robust_sparse_tf import data
from robust_sparse_tf.data.options import data_dir_option
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.device_profiles import PROFILES, device_profile
from robust_sparse_tf.export.formats import FORMATS
from robust_sparse_tf.options import check, option

_DEFAULT = "saved_model, tflite_fp32, tflite_fp32_sparse, tflite_int8, tflite_full_int8"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of exports: the model, its files, and what is measured of them."""

    model: str | None = option(
        None, "a run's directory, RUN/rounds/N, a .keras or an .h5 file", kind=str, shown="none"
    )
    formats: list[str] = option(
        [],
        "formats, separated by commas; quantised ones are of TFLite",
        choices=tuple(FORMATS),
        shown=f"those of --device_profile, else {_DEFAULT}",
    )
    device_profile: str | None = option(
        None,
        "device for which formats are chosen; prints why",
        kind=str,
        choices=tuple(PROFILES),
        shown="none",
    )
    compact: bool = option(
        True,
        "whether to remove units that do not matter, where that makes a file smaller; outputs stay "
        "the same",
    )
    qat_steps: int = option(
        0,
        "train further with quantised weights and activations for N steps, as the run was trained, "
        "before tflite_full_int8; zeros are kept",
        unit="steps",
        minimum=0,
    )
    dataset: str | None = option(
        None,
        "data set of the model",
        kind=str,
        choices=data.NAMES,
        forms=data.FORMS,
        shown="the run's",
    )
    data_dir: str | None = data_dir_option()
    class_names: list[str] = option(
        [], "names of the classes, separated by commas, for the model card", shown="none"
    )
    compared: int = option(
        1000,
        "compare each file with the Keras model on the first N test images (0: all)",
        unit="images",
        minimum=0,
    )
    representative: int = option(
        500, "training images that give activations their ranges, for full_int8", minimum=1
    )
    calls: int = option(
        300, "inferences that are timed per file (0: none)", unit="inferences", minimum=0
    )
    attacked: int = option(
        200,
        "attack each TFLite file on the first N test images (0: none)",
        unit="images",
        minimum=0,
    )
    epsilon: float | None = option(
        None,
        "radius of the ball of these attacks",
        kind=float,
        unit="input units",
        minimum=0,
        shown="the run's eval.epsilon",
    )
    norm: str | None = option(
        None, "norm of the ball", kind=str, choices=("linf", "l2"), shown="the run's eval.norm"
    )
    seed: int = option(0, "seed of everything random", minimum=0, maximum=2**31 - 1)
    trust: bool = trust_option()
    modules: list[str] = modules_option()
    output: str | None = option(
        None, "folder for the files", kind=str, shown="export, in or beside the model"
    )

    def __post_init__(self) -> None:
        check(self)
        if self.epsilon is not None:
            ranges.check_epsilon("epsilon", self.epsilon, self.norm or "linf")
        if self.qat_steps and "tflite_full_int8" not in formats(self):
            raise InputError(
                f"qat_steps={self.qat_steps}: has no effect without tflite_full_int8 among formats"
            )


def parse(argv: list[str]) -> ExportOptions:
    """Parses the options of a command line, which begins with the program's name.

    Raises:
        InputError: for wrong options.
    """
    return flags.parse_group(argv, ExportOptions)


def formats(options: ExportOptions) -> list[str]:
    """The formats that are asked for, without duplicates."""
    if options.formats:
        return list(dict.fromkeys(options.formats))
    if options.device_profile:
        return list(device_profile(options.device_profile).formats)
    return _DEFAULT.split(", ")


def folder(model: str, options: ExportOptions) -> str:
    """The folder of a model's files."""
    place = model if os.path.isdir(model) else os.path.dirname(model)
    return options.output or os.path.join(place, "export")
