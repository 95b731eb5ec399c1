import dataclasses
import warnings

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_sparse_tf import attacks
from robust_sparse_tf.attacks import BIM, FGSM, MIM, PGD, RFGSM
from robust_sparse_tf.errors import InputError, RunWarning

TABLE = {
    "fgsm": FGSM(epsilon=0.1),
    "pgd": PGD(epsilon=0.1, step_size=0.03, steps=5),
    "pgd_one_step": PGD(epsilon=0.1, step_size=0.03, steps=1),
    "pgd_random": PGD(epsilon=0.1, step_size=0.03, steps=5, random_start=True),
    "pgd_l2": PGD(epsilon=1.0, step_size=0.3, steps=5, norm="l2"),
    "pgd_stop": PGD(epsilon=0.1, step_size=0.03, steps=5, stop_when_fooled=True),
    "pgd_draws": PGD(epsilon=0.1, step_size=0.03, steps=5, draws=3),
    "pgd_restarts": PGD(epsilon=0.1, step_size=0.03, steps=5, random_start=True, restarts=3),
    "fgsm_l2": FGSM(epsilon=1.0, norm="l2"),
    "rfgsm": RFGSM(epsilon=0.1),
    "bim": BIM(epsilon=0.1, step_size=0.03, steps=5),
    "mim": MIM(epsilon=0.1, step_size=0.03, steps=5),
}
every_attack = pytest.mark.parametrize("attack", TABLE.values(), ids=TABLE.keys())
RUNS = {"eager": lambda function: function, "graph": tf.function}
EAGER_AND_GRAPH = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())


def losses(logits, x, y) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits(x))


def assert_same(attack, one, other) -> None:
    sums = attack.norm == "l2" or getattr(attack, "restarts", 1) > 1
    np.testing.assert_allclose(one, other, rtol=0, atol=2e-7 if sums else 0)


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
            low=low,
            high=high,
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
    adversarial = FGSM(epsilon=epsilon, low=low, high=high)(logits, x, y)
    assert adversarial.dtype == tf.float32 and adversarial.shape == x.shape
    assert low <= np.min(adversarial) and np.max(adversarial) <= high
    rounding = 1e-6 * max(1, high)
    assert np.abs(adversarial - x).max() <= epsilon + rounding


@every_attack
def test_attacks_raise_the_loss(attack, logits, batch):
    x, y = batch
    clean, attacked = losses(logits, x, y), losses(logits, attack(logits, x, y), y)
    if getattr(attack, "stop_when_fooled", False):  # what is fooled already stays
        wrong = np.argmax(logits(x), axis=1) != y.numpy()
        np.testing.assert_array_equal(attacked[wrong], clean[wrong])
        attacked, clean = attacked[~wrong], clean[~wrong]
    assert np.all(attacked > clean)
    assert np.mean(attacked) > 1.3 * np.mean(clean)


@every_attack
@pytest.mark.filterwarnings("ignore::robust_sparse_tf.errors.RunWarning")
def test_epsilon_0_changes_nothing(attack, logits, batch):
    adversarial = dataclasses.replace(attack, epsilon=0.0)(logits, *batch)
    np.testing.assert_array_equal(adversarial, batch[0])


@every_attack
def test_graph_gives_what_eager_gives(attack, logits, batch):
    """To the bit, but where norms of whole images are summed."""
    x, y = batch
    graph, eager = tf.function(lambda x, y: attack(logits, x, y))(x, y), attack(logits, x, y)
    assert_same(attack, graph, eager)


@pytest.mark.parametrize(
    "attack, run",
    [
        # All take their labels in one place; that a graph gives the same is looked at above.
        pytest.param(
            attack,
            RUNS[run],
            id=f"{name}-{run}",
            marks=[pytest.mark.slow] if run == "graph" and name not in ("fgsm", "pgd_stop") else [],
        )
        for name, attack in TABLE.items()
        for run in RUNS
    ],
)
def test_predicted_labels_do_not_look_at_y(attack, run, logits, batch):
    x, y = batch
    predicted = tf.argmax(logits(x), axis=1)
    wrong = (predicted + 1) % 10
    blind = dataclasses.replace(attack, attack_labels="predicted")
    of_prediction = run(lambda y: attack(logits, x, y))(predicted)
    run_blind = run(lambda y: blind(logits, x, y))
    for given in (y, wrong):
        assert_same(attack, run_blind(given), of_prediction)
    assert_same(attack, blind(logits, x, None), of_prediction)
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


@every_attack
def test_targets_are_moved_to(attack, logits, batch):
    """The way that the attack goes for a label, the other way round."""
    x, y = batch
    targets = (tf.argmax(logits(x), axis=1) + 1) % 10
    targeted = dataclasses.replace(attack, targeted=True)
    moved = targeted(logits, x, y, targets=targets)
    assert np.mean(losses(logits, moved, targets)) < 0.9 * np.mean(losses(logits, x, targets))
    np.testing.assert_array_equal(moved, targeted(logits, x, None, targets=targets))


def test_targets_and_attacks_must_match(logits, batch):
    x, y = batch
    with pytest.raises(InputError, match="targeted=False: must not be called with targets"):
        FGSM()(logits, x, y, targets=y)
    with pytest.raises(InputError, match="targeted=True: must not be called without targets"):
        FGSM(targeted=True)(logits, x, y)


def test_attacks_of_training_have_a_step_by_hand(batch):
    """What each does on a linear model, whose gradient is known."""
    rng = np.random.default_rng(0)
    weight = np.float32(rng.normal(size=(64, 2)))
    linear = lambda x: tf.reshape(x, [-1, 64]) @ weight  # noqa: E731
    x, y = batch[0], tf.zeros([16], tf.int32)
    up = np.sign(weight[:, 1] - weight[:, 0]).reshape(8, 8, 1)
    expected = np.clip(x + 0.1 * up, 0, 1)
    for attack in (FGSM(epsilon=0.1), BIM(epsilon=0.1), MIM(epsilon=0.1), PGD(epsilon=0.1)):
        np.testing.assert_allclose(attack(linear, x, y), expected, atol=1e-6)
    random = RFGSM(epsilon=0.1)
    noise = random.noise(tf.shape(x), (1, 2))
    assert set(np.unique(noise)) == {np.float32(-0.05), np.float32(0.05)}
    stepped = np.clip(np.clip(x + noise, 0, 1) + 0.05 * up, 0, 1)
    np.testing.assert_allclose(random(linear, x, y, seed=(1, 2)), stepped, atol=1e-6)


def test_mim_sums_gradients_of_length_one(logits, batch):
    """Two steps by hand, "Boosting Adversarial Attacks with Momentum", equations 6 and 7."""
    x, y = batch
    attack = MIM(epsilon=0.1, step_size=0.03, steps=2, decay=0.7)
    total, moved = np.zeros(x.shape, np.float32), x
    for _ in range(2):
        with tf.GradientTape() as tape:
            tape.watch(moved)
            loss = losses(logits, moved, y)
        gradient = tape.gradient(loss, moved).numpy()
        total = 0.7 * total + gradient / np.abs(gradient).sum((1, 2, 3), keepdims=True)
        moved = tf.clip_by_value(moved + 0.03 * np.sign(total), 0, 1)
    np.testing.assert_allclose(attack(logits, x, y), moved, atol=1e-6)


def test_stopping_leaves_the_first_iterate_that_fools(logits, batch):
    """Iterates of fewer steps are those of PGD itself, until one fools."""
    x, y = batch
    attack = PGD(epsilon=0.15, step_size=0.02, steps=8, stop_when_fooled=True)
    stopped = attack(logits, x, y).numpy()
    paths = [x.numpy()]
    for steps in range(1, 9):
        plain = PGD(epsilon=0.15, step_size=0.02, steps=steps)
        paths.append(plain(logits, x, y).numpy())
    values = np.array([losses(logits, path, y) for path in paths])
    wrong = np.array([np.argmax(logits(path), 1) != y.numpy() for path in paths])
    assert 0 < wrong[-1].sum() < 16
    for i in range(16):
        chosen = np.argmax(wrong[:, i]) if wrong[:, i].any() else np.argmax(values[:, i])
        np.testing.assert_allclose(stopped[i], paths[chosen][i], atol=1e-6)


def test_restarts_keep_the_best(logits, batch):
    """At least as many fooled as by any attempt alone; those that stand have the largest loss."""
    x, y = batch
    one = PGD(epsilon=0.12, step_size=0.03, steps=4, random_start=True)
    many = dataclasses.replace(one, restarts=4)(logits, x, y, seed=(1, 2))
    first = one(logits, x, y, seed=(1, 2))
    wrong_first = np.argmax(logits(first), 1) != y.numpy()
    np.testing.assert_array_equal(many.numpy()[wrong_first], first.numpy()[wrong_first])
    standing = np.argmax(logits(many), 1) == y.numpy()
    assert standing.sum() <= (~wrong_first).sum() and standing.any()
    gain = losses(logits, many, y) - losses(logits, first, y)
    assert np.all(gain.numpy()[standing] >= 0) and np.any(gain > 0)


def test_draws_average_gradients(batch):
    """Of a model with noise; with many draws two attempts nearly agree, with one they do not."""
    rng = np.random.default_rng(0)
    weight = np.float32(rng.normal(size=(64, 10)))

    def noisy(x: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(x, [-1, 64])
        return (flat + tf.random.normal(tf.shape(flat), stddev=0.5)) @ weight

    x, y = batch

    def agreement(draws: int) -> float:
        attack = PGD(epsilon=0.1, step_size=0.1, steps=1, draws=draws)
        return float(np.mean(attack(noisy, x, y) == attack(noisy, x, y)))

    keras.utils.set_random_seed(0)
    assert agreement(200) > agreement(1) + 0.05


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
        traced = tf.function(
            lambda x, y: attack(logits, x, y), autograph=False
        ).get_concrete_function(*batch)
        return len(traced.graph.get_operations())

    assert operations(40) == operations(5)


def test_attacks_are_values():
    attack = PGD(epsilon=0.1, step_size=0.05)
    assert attack == PGD(epsilon=0.1, step_size=0.05) != PGD(epsilon=0.1, step_size=0.04)
    assert len({attack, PGD(epsilon=0.1, step_size=0.05)}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        attack.epsilon = 0.2


@pytest.mark.parametrize("name", ["fgsm", "rfgsm", "bim", "pgd", "mim", "apgd", "deepfool"])
def test_attacks_by_name_run_with_their_defaults(name, logits, batch):
    adversarial = attacks.BY_NAME[name]()(logits, *batch)
    assert adversarial.shape == batch[0].shape and np.any(adversarial != batch[0])


@pytest.mark.parametrize(
    "maker, arguments, words",
    [
        (FGSM, dict(norm="l3"), "norm=l3: must be one of linf, l2, l1"),
        (PGD, dict(norm="l1"), "norm=l1: must be linf or l2 for PGD"),
        (MIM, dict(norm="l1"), "norm=l1: must be linf or l2 for MIM"),
        (RFGSM, dict(norm="l2"), "norm=l2: must be linf for RFGSM"),
        (RFGSM, dict(random_share=1.1), "random_share=1.1: must be at least 0 and at most 1"),
        (BIM, dict(random_start=True), "random_start=True: must be False for BIM"),
        (PGD, dict(restarts=0), "restarts=0: must be at least 1"),
        (FGSM, dict(epsilon=-0.1), "epsilon=-0.1: must be at least 0"),
        (PGD, dict(epsilon=float("nan")), "epsilon=nan: must be at least 0"),
        (FGSM, dict(attack_labels="least_likely"), "attack_labels=least_likely: must be one of"),
        (FGSM, dict(low=1.0), "high=1.0: must be above low=1.0"),
        (PGD, dict(high=float("nan")), "high=nan: must be a finite number"),
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


def test_in_another_ball_steps_stay_in_proportion():
    assert PGD(epsilon=0.5, step_size=0.25).at(0.25) == PGD(epsilon=0.25, step_size=0.125)
    assert FGSM().at(0.1) == FGSM(epsilon=0.1)
    assert PGD(step_size=0.05).at(0.0) == PGD(epsilon=0.0)


@pytest.mark.parametrize("cls", [FGSM, PGD, MIM])
def test_numbers_of_numpy_are_taken(cls, logits, batch):
    given = cls(epsilon=np.float64(0.1), norm="l2")
    assert given == cls(epsilon=0.1, norm="l2") and type(given.epsilon) is float
    np.testing.assert_array_equal(
        given(logits, *batch), cls(epsilon=0.1, norm="l2")(logits, *batch)
    )
