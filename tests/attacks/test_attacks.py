import dataclasses
import warnings

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf import attacks
from robust_sparse_tf.attacks import FGSM, PGD
from robust_sparse_tf.errors import InputError, RunWarning

TABLE = {
    "fgsm": FGSM(epsilon=0.1),
    "pgd": PGD(epsilon=0.1, step_size=0.03, steps=5),
    "pgd_one_step": PGD(epsilon=0.1, step_size=0.03, steps=1),
    "pgd_random": PGD(epsilon=0.1, step_size=0.03, steps=5, random_start=True),
}
every_attack = pytest.mark.parametrize("attack", TABLE.values(), ids=TABLE.keys())
EAGER_AND_GRAPH = pytest.mark.parametrize("run", [lambda f: f, tf.function], ids=["eager", "graph"])


@pytest.fixture(scope="module")
def logits(trained):
    """One long-lived callable, for which CleverHans traces one graph."""
    return lambda x: trained.network(x, training=False)


def losses(logits, x, y) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits(x))


@hypothesis.given(
    epsilon=st.floats(0, 2, width=32),
    step_size=st.floats(0.0009765625, 2, width=32),
    steps=st.integers(1, 6),
    random_start=st.booleans(),
    bounds=st.sampled_from([(0, 1), (-0.5, 0.5), (-100, 155)]),
    seed=st.integers(0, 2**31),
)
def test_pgd_keeps_to_its_threat_model(
    logits, batch, epsilon, step_size, steps, random_start, bounds, seed
):
    low, high = bounds
    x, y = low + (high - low) * batch[0], batch[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)
        attack = PGD(
            epsilon=epsilon,
            step_size=step_size,
            steps=steps,
            random_start=random_start,
            clip_min=low,
            clip_max=high,
        )
    adversarial = attack(logits, x, y, seed=(seed, 0))
    assert adversarial.dtype == tf.float32 and adversarial.shape == x.shape
    assert low <= np.min(adversarial) and np.max(adversarial) <= high
    rounding = 1e-6 * max(1, high)
    assert np.abs(adversarial - x).max() <= epsilon + rounding


@hypothesis.given(
    epsilon=st.floats(0, 300, width=32), bounds=st.sampled_from([(0, 1), (-0.5, 0.5), (-100, 155)])
)
def test_fgsm_keeps_to_its_threat_model(logits, batch, epsilon, bounds):
    low, high = bounds
    x, y = low + (high - low) * batch[0], batch[1]
    adversarial = FGSM(epsilon=epsilon, clip_min=low, clip_max=high)(logits, x, y)
    assert adversarial.dtype == tf.float32 and adversarial.shape == x.shape
    assert low <= np.min(adversarial) and np.max(adversarial) <= high
    rounding = 1e-6 * max(1, high)
    assert np.abs(adversarial - x).max() <= epsilon + rounding


@every_attack
def test_attacks_raise_the_loss(attack, logits, batch):
    x, y = batch
    clean, attacked = losses(logits, x, y), losses(logits, attack(logits, x, y), y)
    assert np.all(attacked > clean)
    assert np.mean(attacked) > 1.3 * np.mean(clean)


@every_attack
@pytest.mark.filterwarnings("ignore::robust_sparse_tf.errors.RunWarning")
def test_epsilon_0_changes_nothing(attack, logits, batch):
    adversarial = dataclasses.replace(attack, epsilon=0.0)(logits, *batch)
    np.testing.assert_array_equal(adversarial, batch[0])


@every_attack
def test_graph_gives_what_eager_gives(attack, logits, batch):
    x, y = batch
    np.testing.assert_array_equal(
        tf.function(lambda x, y: attack(logits, x, y))(x, y), attack(logits, x, y)
    )


@every_attack
@EAGER_AND_GRAPH
def test_predicted_labels_do_not_look_at_y(attack, run, logits, batch):
    x, y = batch
    predicted = tf.argmax(logits(x), axis=1)
    wrong = (predicted + 1) % 10
    blind = dataclasses.replace(attack, attack_labels="predicted")
    of_prediction = run(lambda y: attack(logits, x, y))(predicted)
    for given in (y, wrong):
        np.testing.assert_array_equal(run(lambda y: blind(logits, x, y))(given), of_prediction)
    np.testing.assert_array_equal(blind(logits, x, None), of_prediction)
    # The labels do matter to the attack itself.
    assert np.any(attack(logits, x, wrong) != of_prediction)


@every_attack
@pytest.mark.parametrize("labels", ["true", "predicted"])
def test_no_gradient_flows_through(attack, labels, trained, logits, batch):
    x, y = batch
    attack = dataclasses.replace(attack, attack_labels=labels)
    with tf.GradientTape() as tape:
        tape.watch(x)
        adversarial = attack(logits, x, y)
    assert tape.gradient(adversarial, [x, *trained.trainable_variables]) == [None] * 4


@pytest.mark.parametrize("name", ["fgsm", "pgd", "pgd_one_step"])
@EAGER_AND_GRAPH
def test_known_gradient_gives_the_same_bits(name, run, logits, batch):
    """The gradient at x, where training has it already, replaces the first backward pass."""
    x, y = batch
    attack = TABLE[name]
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = losses(logits, x, y)
    gradient = tape.gradient(loss, x)
    known = run(lambda: attack.ascend(logits, x, y, None, gradient))()
    np.testing.assert_array_equal(known, run(lambda: attack.ascend(logits, x, y, None))())


def test_known_gradient_is_used(logits, batch):
    """Were it not, a gradient that is wrong would change nothing."""
    x, y = batch
    for name in ("fgsm", "pgd_one_step"):
        known = TABLE[name].ascend(logits, x, y, None, -tf.ones_like(x))
        assert np.all(known <= x)


def test_random_start(logits, batch):
    """Spread over the whole ball, the same for a seed, another one for another."""
    attack = TABLE["pgd_random"]
    noise = attack.noise([100, 10], (1, 2)).numpy()
    assert -0.1 <= noise.min() < -0.099 and 0.099 < noise.max() <= 0.1
    assert abs(noise.mean()) < 5 * 0.1 / 3**0.5 / 1000**0.5
    assert len(np.unique(noise)) > 990

    x, y = batch
    same, again, other = (attack(logits, x, y, seed=seed) for seed in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(same, again)
    assert np.any(same != other)
    np.testing.assert_array_equal(same, attack.ascend(logits, x, y, attack.noise(x.shape, (1, 2))))


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_attacks_without_random_start_ignore_the_seed(name, logits, batch):
    assert TABLE[name].noise([2], (0, 0)) is None
    np.testing.assert_array_equal(
        TABLE[name](logits, *batch, seed=(1, 2)), TABLE[name](logits, *batch, seed=(3, 4))
    )


def test_pgd_is_a_loop_in_the_graph(logits, batch):
    """The graph of many steps is no larger than that of few."""

    def operations(steps):
        attack = PGD(epsilon=0.1, step_size=0.03, steps=steps)
        traced = tf.function(lambda x, y: attack(logits, x, y)).get_concrete_function(*batch)
        return len(traced.graph.get_operations())

    assert operations(40) == operations(2)


def test_attacks_are_values():
    attack = PGD(epsilon=0.1, step_size=0.05)
    assert attack == PGD(epsilon=0.1, step_size=0.05) != PGD(epsilon=0.1, step_size=0.04)
    assert len({attack, PGD(epsilon=0.1, step_size=0.05)}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        attack.epsilon = 0.2


@pytest.mark.parametrize("name", attacks.BY_NAME)
def test_attacks_by_name_run_with_their_defaults(name, logits, batch):
    adversarial = attacks.BY_NAME[name]()(logits, *batch)
    assert adversarial.shape == batch[0].shape and np.any(adversarial != batch[0])


@pytest.mark.parametrize(
    "maker, arguments, words",
    [
        (FGSM, dict(epsilon=-0.1), "epsilon=-0.1: must be at least 0"),
        (PGD, dict(epsilon=float("nan")), "epsilon=nan: must be at least 0"),
        (FGSM, dict(attack_labels="least_likely"), "attack_labels=least_likely: must be one of"),
        (FGSM, dict(clip_min=1.0), "clip_max=1.0: must be above clip_min=1.0"),
        (PGD, dict(clip_max=float("nan")), "clip_max=nan: must be above"),
        (PGD, dict(step_size=0.0), "step_size=0.0: must be above 0"),
        (PGD, dict(steps=0), "steps=0: must be at least 1"),
    ],
)
def test_attacks_refuse(maker, arguments, words):
    with pytest.raises(InputError, match=words):
        maker(**arguments)


def test_steps_longer_than_the_ball_are_warned_of():
    with pytest.warns(RunWarning, match="step_size=0.2 is above epsilon=0.1"):
        PGD(epsilon=0.1, step_size=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PGD(epsilon=0.1, step_size=0.1)
        FGSM(epsilon=0.0)
