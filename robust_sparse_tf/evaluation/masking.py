"""Signs that gradients, and with them accuracies under attack, cannot be trusted.

After "Obfuscated Gradients Give a False Sense of Security" (Athalye et al., 2018), section 3.1, and
"On Evaluating Adversarial Robustness" (Carlini et al., 2019), section 4.
"""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from robust_sparse_tf.attacks import FGSM, PGD, Attack, Square, UniformNoise, losses
from robust_sparse_tf.evaluation.report import Outcome

_EXAMPLES = 200
_SIGMAS = 3.0  # a difference that chance makes once in a thousand times is not reported
_LEAST = 0.02  # nor one that is smaller than this fraction of the examples
# Fewer examples than this say nothing.
_FEWEST = 10


def find(
    logits: Callable[[tf.Tensor], tf.Tensor],
    images: np.ndarray,
    labels: np.ndarray,
    right: np.ndarray,
    epsilon: float,
    norm: str,
    clip_min: float,
    clip_max: float,
    seed: int,
) -> list[str]:
    """Probes a model on some of the examples that it has right.

    Args:
        logits: the model.
        images: float32 [n, ...].
        labels: integers [n].
        right: numbers of the examples that the model has right.
        epsilon: radius of the ball that is evaluated, in input units.
        norm: of the ball; attacks are compared in linf and l2 only.
        clip_min: least value of an input.
        clip_max: largest value of an input.
        seed: of everything random.

    Returns:
        A line for each sign of masked gradients, with its evidence.
    """
    chosen = np.random.default_rng(seed).permutation(right)[:_EXAMPLES]
    x, y = tf.constant(images[chosen]), tf.constant(labels[chosen])
    found = [*_of_outputs(logits, x), *_of_gradients(logits, x, y)]
    if norm in ("linf", "l2") and len(chosen) >= _FEWEST and epsilon > 0:
        found += _of_attacks(logits, x, y, epsilon, norm, clip_min, clip_max, seed)
    return found


def in_outcomes(outcomes: list[Outcome], right: np.ndarray) -> list[str]:
    """Signs in the figures themselves: an accuracy that rises with epsilon."""
    found = []
    by_name: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.epsilon is not None and np.array_equal(outcome.tried, right):
            by_name.setdefault(outcome.attack, []).append(outcome)
    for name, group in by_name.items():
        ordered = sorted(group, key=lambda outcome: outcome.epsilon)
        for small, large in zip(ordered, ordered[1:], strict=False):
            if _more(large.stands, small.stands):
                found.append(
                    f"not monotone in epsilon: {name} leaves {_percent(small.stands)} at "
                    f"{small.epsilon:g} and {_percent(large.stands)} at {large.epsilon:g}"
                )
    return found


def _of_outputs(logits: Callable, x: tf.Tensor) -> Iterator[str]:
    first, second = logits(x).numpy(), logits(x).numpy()
    moved = np.abs(first - second).max()
    if moved > 1e-3 * np.abs(first).max():
        yield (
            f"noise at inference: the same images give logits that differ by {moved:.3g}; attack "
            "with gradients averaged over draws (the ensemble rand)"
        )


def _of_gradients(logits: Callable, x: tf.Tensor, y: tf.Tensor) -> Iterator[str]:
    _, _, gradient = losses.value_and_gradient(losses.cross_entropy, logits, x, y)
    flat = tf.reshape(gradient, [len(x), -1])
    broken = int(tf.math.count_nonzero(~tf.reduce_all(tf.math.is_finite(flat), axis=1)))
    zero = int(tf.math.count_nonzero(tf.reduce_all(flat == 0, axis=1)))
    for number, kind in ((broken, "NaN or infinite"), (zero, "zero")):
        if number > _LEAST * len(x):
            yield f"{kind} gradients: on {number} of {len(x)} images"


def _of_attacks(
    logits: Callable,
    x: tf.Tensor,
    y: tf.Tensor,
    epsilon: float,
    norm: str,
    clip_min: float,
    clip_max: float,
    seed: int,
) -> Iterator[str]:
    clip = dict(norm=norm, clip_min=clip_min, clip_max=clip_max)
    ball = dict(epsilon=epsilon, **clip)
    steps = dict(steps=20, step_size=epsilon / 8, random_start=True, **ball)
    widest = (clip_max - clip_min) * (np.prod(x.shape[1:]) ** 0.5 if norm == "l2" else 1.0)
    stands = {
        name: _stands(logits, attack, x, y, seed)
        for name, attack in {
            "noise": UniformNoise(**ball),
            "fgsm": FGSM(**ball),
            "pgd": PGD(**steps),
            "pgd, 5 restarts": PGD(restarts=5, **steps),
            "square, 200 queries": Square(queries=200, **ball),
            "widest": PGD(
                steps=40, step_size=widest / 20, epsilon=widest, stop_when_fooled=True, **clip
            ),
        }.items()
    }
    share = {name: _percent(values) for name, values in stands.items()}
    pgd = stands["pgd"]
    if _more(pgd, stands["fgsm"]):
        yield f"one step stronger than many: FGSM leaves {share['fgsm']}, PGD {share['pgd']}"
    if _more(pgd, stands["square, 200 queries"]):
        yield (
            f"black box stronger than white box: Square with 200 queries leaves "
            f"{share['square, 200 queries']}, PGD {share['pgd']}"
        )
    if (~stands["noise"]).sum() > _LEAST * len(x) and not _more(stands["noise"], pgd):
        yield f"noise as strong as an attack: it leaves {share['noise']}, PGD {share['pgd']}"
    if np.mean(pgd) - np.mean(stands["pgd, 5 restarts"]) > 0.1:
        yield (
            f"restarts gain much: one attempt of PGD leaves {share['pgd']}, five leave "
            f"{share['pgd, 5 restarts']}"
        )
    if np.mean(stands["widest"]) > _LEAST:
        yield f"unbounded attacks fail: PGD with epsilon {widest:g} leaves {share['widest']}"


def _stands(logits: Callable, attack: Attack, x: tf.Tensor, y: tf.Tensor, seed: int) -> np.ndarray:
    def run(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return tf.equal(tf.argmax(logits(attack(logits, x, y, seed=(seed, 0))), axis=1), y)

    return tf.function(run).get_concrete_function(x, y)(x, y).numpy()


def _more(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether clearly more examples stand in one than in the other: McNemar's test, and by 2 %."""
    gained, lost = int((one & ~other).sum()), int((other & ~one).sum())
    clear = gained - lost > _SIGMAS * max(1, gained + lost) ** 0.5
    return clear and gained - lost > _LEAST * len(one)


def _percent(stands: np.ndarray) -> str:
    return f"{100 * np.mean(stands):.1f} %"
