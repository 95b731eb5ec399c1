"""What is refused before a run or a sweep begins, of flags that only data and network refuse."""

import pytest
from bad_input import assert_one_error

from experiments import check

REFUSED = {
    "layers": (
        '--method=set --density=0.5 --layer_densities={"no":0.5}',
        "layer no: does not exist",
    ),
    "batches": ("--batch_size=2000", "batch_size=2000: must be at most the 1198 images"),
    "classes": ("--classes=3,11", "classes=3,11: must be two or more"),
    "shape": ("--model=lenet5", "height and width must be at least 16"),
    "outputs": ("--model=binary_linear", "num_classes=10: must be 2"),
    "weights": ("--method=set --density=0.5 --minimum_weights=100000", "must be at most 19200"),
    "arguments": ("--learning_rate_schedule=CosineDecay", "not arguments of CosineDecay"),
    "features": ("--prune=features", "has no features to measure"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name, capsys):
    flags, words = REFUSED[name]
    code = check.main(["check", *flags.split(), "--dataset=digits"])
    assert_one_error((code, *capsys.readouterr()), words)


def test_allows(tmp_path, monkeypatch, capsys):
    """And writes nothing."""
    monkeypatch.chdir(tmp_path)
    assert check.main(["check", "--method=set", "--density=0.5"]) == 0
    assert capsys.readouterr() == ("", "") and not list(tmp_path.iterdir())


def test_help(capsys):
    assert check.main(["check", "--help"]) == 0
    assert capsys.readouterr().out == check.USAGE + "\n"
