"""Settings of attacks in evaluations: what they change, which folder they name, what is refused."""

import pytest

from experiments.evaluations import attack_options, follow_up
from robust_sparse_tf.attacks import Square
from robust_sparse_tf.errors import InputError


def parsed(*argv: str) -> attack_options.EvaluateOptions:
    return attack_options.parse(["evaluate", *argv])


FOLDERS = {
    "pgd-linf-c6f17e71": ["--attacks=pgd"],
    "standard-l2-fb745f35": ["--attacks=standard", "--epsilons=8/255,0.1", "--norm=l2"],
    "fgsm-linf-6ba4cbcd": ["--attacks=fgsm", "--source=a.keras", "--passes=3"],
}


@pytest.mark.parametrize("name", FOLDERS)
def test_reports_of_before_are_found(name):
    """Options that were added later are part of the name only where they are given."""
    assert attack_options.folder("runs/x", parsed(*FOLDERS[name])).endswith(f"/{name}")
    sized = parsed(*FOLDERS[name], "--attack_batch_size=7")
    assert attack_options.folder("runs/x", sized).endswith(f"/{name}")
    others = [["--steps=3"], ["--random_start=false"], ["--eot_draws=1"], ["--noise=off"]]
    others.append(["--skip_certified"])
    folders = {attack_options.folder("runs/x", parsed(*FOLDERS[name], *more)) for more in others}
    assert len(folders) == 5 and not any(folder.endswith(name) for folder in folders)


def test_settings_reach_the_attacks_that_have_them():
    given = parsed(
        "--attacks=pgd,mim,square",
        "--epsilons=8/255,4/255",
        "--steps=7",
        "--step_size=2/255",
        "--random_start=true",
    )
    made = attack_options.attacks_of(given)
    assert (made["pgd"].steps, made["pgd"].random_start) == (7, True)
    assert made["mim"].steps == 7 and made["square"] == Square(epsilon=8 / 255)
    assert made["pgd"].step_size == made["mim"].step_size == 2 / 255
    assert made["pgd"].at(4 / 255).step_size == pytest.approx(1 / 255)
    plain = attack_options.attacks_of(parsed("--attacks=pgd", "--epsilons=0.4"))["pgd"]
    assert (plain.steps, plain.step_size, plain.random_start) == (10, 0.05, False)


REFUSED = {
    "an ensemble's": (["--steps=3"], "steps=3: is no option of the ensemble standard"),
    "nobody's": (["--attacks=fgsm,square", "--steps=3"], "steps=3: is no option of fgsm, square"),
    "no start": (["--attacks=bim", "--random_start=true"], "random_start=True: must be False"),
    "too few": (["--attacks=pgd", "--steps=0"], "steps=0: must be at least 1"),
    "no step": (["--attacks=pgd", "--step_size=0"], "step_size=0.0: must be above 0"),
    "no switch": (["--noise=yes"], "noise=yes: must be one of on, off"),
    "no draws": (["--eot_draws=0"], "eot_draws=0: must be at least 1"),
    "no bounds": (
        ["--skip_certified", "--certify=none"],
        "skip_certified=True: must be False with certify=none",
    ),
    "no images": (["--attack_batch_size=0"], "attack_batch_size=0: must be at least 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    argv, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        attack_options.attacks_of(parsed(*argv))


def test_reports_depend_on_all_sources():
    assert follow_up.evaluation("--attacks=fgsm --source=a,b").sources == ["a", "b"]
    assert follow_up.evaluation("--attacks=fgsm").sources == []
