"""--device_profile of runs: the options that it sets, and the reasons that it prints."""

import pytest

from experiments.runs import options, profiles
from experiments.runs.directory import run_name
from experiments.runs.training_run import TrainingRun
from experiments.sweeps import grid
from robust_sparse_tf.errors import InputError
from robust_sparse_tf.export.device_profiles import PROFILES, device_profile
from robust_sparse_tf.export.formats import FORMATS


def parse(*words: str) -> dict:
    return profiles.applied(options.parse(["run", "--method=gradual", *words]))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x86", ["--structure=block:4x1", "--conv_structure=channels"]),
        ("arm", ["--structure=block:4x1", "--conv_structure=weights"]),
        ("int8", ["--structure=channels", "--dense_last"]),
    ],
)
def test_profile_is_short_for_options(name, words):
    found = parse(f"--device_profile={name}")
    assert run_name(found) == run_name(parse(*words))
    (cell,) = grid.cells({"device_profile": name}, ["method=gradual"])
    assert run_name(cell) == run_name(found) == run_name(TrainingRun(found).values)
    assert run_name(parse(f"--device_profile={name}", *words)) == run_name(found)


@pytest.mark.parametrize("name", PROFILES)
def test_reasons_are_printed(name):
    profile = device_profile(name)
    notes = TrainingRun(parse(f"--device_profile={name}", "--density=0.2")).notes
    assert list(profile.reasons) == notes[-len(profile.reasons) :]
    assert f"--structure={profile.method['structure']}" in notes[-len(profile.reasons) - 1]
    assert set(profile.formats) <= set(FORMATS)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--device_profile=gpu"], "device_profile=gpu: must be one of x86, arm, int8"),
        (
            ["--device_profile=x86", "--method=dense"],
            "device_profile=x86: sets structure, which method=dense does not have",
        ),
        (
            ["--device_profile=int8", "--structure=block:4x1"],
            "structure=block:4x1: must be channels with device_profile=int8, or left out",
        ),
    ],
)
def test_refusals(words, line):
    with pytest.raises(InputError, match=f"^{line}"):
        TrainingRun(parse(*words))


def test_unknown_profile():
    with pytest.raises(InputError, match="^device_profile=gpu: must be one of x86, arm, int8$"):
        device_profile("gpu")
