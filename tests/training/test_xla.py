"""Train steps that XLA compiles, in part or whole, are those that it does not."""

import numpy as np
import pytest
from adversarial_models import FGSM_ATTACK, PGD_ATTACK, robust, values


def after_a_batch(attack, make_lenet, batch, **compiled) -> list[np.ndarray]:
    model = robust(make_lenet(), attack, **compiled)
    model.train_on_batch(*batch)
    return values(model.network)


@pytest.mark.parametrize(
    "attack, compiled",
    [
        (FGSM_ATTACK, dict(jit_update=True)),
        (FGSM_ATTACK, dict(jit_compile=True)),
        pytest.param(PGD_ATTACK, dict(jit_compile=True), marks=pytest.mark.slow),
    ],
    ids=["update", "fgsm", "pgd"],
)
def test_xla_gives_the_same_step(attack, compiled, make_lenet, batch):
    expected = after_a_batch(attack, make_lenet, batch, run_eagerly=True)
    found = after_a_batch(attack, make_lenet, batch, **compiled)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
