"""Training speed of PGD-10 on LeNet-300-100 (workload W1), beside what people write today.

Each contender runs in its own process, at its fastest thread setting. Their timed windows
alternate, so that changes in load affect all of them equally.

    python tools/bench_train.py --data_dir=FOLDER [--windows=7] [--output=FILE.json]
"""

import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from absl import app, flags

_DATA_DIR = flags.DEFINE_string("data_dir", "", "folder of prepared TFDS data")
_WINDOWS = flags.DEFINE_integer("windows", 7, "timed windows of each contender", lower_bound=5)
_SECONDS = flags.DEFINE_float("seconds", 3.0, "length of a window, in seconds", lower_bound=0.1)
_OUTPUT = flags.DEFINE_string("output", "", "JSON file to write the figures to")

BATCH, EPSILON, STEP_SIZE, STEPS, DENSITY, RATE = 60, 0.3, 0.05, 10, 0.2, 1.2e-3
# Intra-op and inter-op threads to choose from.
THREADS = [(1, 1), (1, 2), (2, 1), (2, 2)]


class Setting:
    """The network, its masks, the optimizer and the data, as every contender gets them."""

    def __init__(self, data_dir: str) -> None:
        import tensorflow as tf
        import tf_keras as keras

        from robust_sparse_tf import data, models, sparsity

        keras.utils.set_random_seed(0)
        self.train, _, _ = data.load("mnist", data_dir=data_dir, validation_size=10_000)
        self.network = models.lenet_300_100()
        self.sparse = sparsity.sparsify(self.network, sparsity.Magnitude(DENSITY))
        self.masks = [
            tf.constant(m.numpy()) for _, _, m, *_ in sparsity.masked_weights(self.sparse)
        ]
        self.optimizer = keras.optimizers.Adam(RATE)
        self.optimizer.build(self.network.trainable_variables)

    def plain_step(self, model: Any, x: Any, y: Any) -> Any:
        """One step as one writes it with CleverHans and tf_keras; the loss."""
        import numpy as np
        import tensorflow as tf
        from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent

        adversarial = projected_gradient_descent(
            self.network, x, EPSILON, STEP_SIZE, STEPS, np.inf, clip_min=0.0, clip_max=1.0, y=y
        )
        cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits
        with tf.GradientTape() as tape:
            clean = tf.reduce_mean(cross_entropy(y, model(x, training=True)))
            robust = tf.reduce_mean(cross_entropy(y, model(adversarial, training=True)))
            loss = 0.5 * clean + 0.5 * robust
        variables = self.network.trainable_variables
        gradients = tape.gradient(loss, variables)
        masked = [g * m for g, m in zip(gradients, self.masks, strict=True)]
        self.optimizer.apply_gradients(zip(masked, variables, strict=True))
        return loss


def eager(setting: Setting) -> Callable[[int], None]:
    """(a) CleverHans' PGD in an eager loop."""
    batches = iter(setting.train.repeat())

    def run(steps: int) -> None:
        for _ in range(steps):
            setting.plain_step(setting.network, *next(batches))

    return run


def keras_fit(setting: Setting) -> Callable[[int], None]:
    """(b) CleverHans' PGD in a custom train_step under fit, with tf.data."""
    import tf_keras as keras

    class Plain(keras.Model):
        def call(self, x: Any, training: Any = None) -> Any:
            return setting.network(x, training=training)

        def train_step(self, data: Any) -> dict[str, Any]:
            return {"loss": setting.plain_step(setting.network, *data)}

    model = Plain()
    model.compile()
    batches = setting.train.repeat()
    return lambda steps: model.fit(batches, steps_per_epoch=steps, verbose=0)


def bare_function(setting: Setting) -> Callable[[int], None]:
    """(c) CleverHans' PGD in a bare tf.function step."""
    import tensorflow as tf

    step = tf.function(lambda x, y: setting.plain_step(setting.network, x, y))
    batches = iter(setting.train.repeat())

    def run(steps: int) -> None:
        for _ in range(steps):
            loss = step(*next(batches))
        loss.numpy()

    return run


def project_fit(setting: Setting) -> Callable[[int], None]:
    """(d) this project's fit."""
    import tensorflow as tf

    from robust_sparse_tf import AdversarialModel, attacks

    attack = attacks.PGD(epsilon=EPSILON, step_size=STEP_SIZE, steps=STEPS)
    branches = tf.config.threading.get_inter_op_parallelism_threads()
    model = AdversarialModel(setting.sparse, attack, branches=branches)
    model.compile(setting.optimizer, steps_per_execution=50)
    return lambda steps: model.fit(setting.train, steps_per_epoch=steps, verbose=0)


CONTENDERS = {"a": eager, "b": keras_fit, "c": bare_function, "d": project_fit}


def serve(connection: Connection, name: str, threads: tuple[int, int], data_dir: str) -> None:
    """A contender's process: answers each request of seconds with steps per second."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from robust_sparse_tf.training import devices

    devices.configure(intra_op_threads=threads[0], inter_op_threads=threads[1])
    run = CONTENDERS[name](Setting(data_dir))
    run(50)  # traces and compiles
    start = time.perf_counter()
    run(50)
    speed = 50 / (time.perf_counter() - start)
    connection.send(speed)
    while seconds := connection.recv():
        steps = max(50, round(speed * seconds / 50) * 50) if name != "a" else 50
        start = time.perf_counter()
        run(steps)
        connection.send(steps / (time.perf_counter() - start))


class Contender:
    """A contender's process, seen from outside."""

    def __init__(self, name: str, threads: tuple[int, int], data_dir: str) -> None:
        self.name, self.threads = name, threads
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other, name, threads, data_dir))
        self._process.start()
        other.close()  # so that the end of the process ends recv, too
        self._connection.recv()

    def window(self, seconds: float) -> float:
        """Steps per second over one window."""
        self._connection.send(seconds)
        return self._connection.recv()

    def stop(self) -> None:
        """Ends the process."""
        self._connection.send(0)
        self._process.join()


def best_setting(name: str, data_dir: str, seconds: float) -> Contender:
    """The contender at its best thread setting: three windows each, alternating."""
    candidates = [Contender(name, threads, data_dir) for threads in THREADS]
    speeds = [[c.window(seconds / 2) for c in candidates] for _ in range(3)]
    medians = [statistics.median(column) for column in zip(*speeds, strict=True)]
    best = candidates[medians.index(max(medians))]
    for candidate in candidates:
        if candidate is not best:
            candidate.stop()
    return best


def main(_: list[str]) -> None:
    """Measures all contenders and prints medians and ratios."""
    contenders = [best_setting(name, _DATA_DIR.value, _SECONDS.value) for name in CONTENDERS]
    windows = {contender.name: [] for contender in contenders}
    for _ in range(_WINDOWS.value):
        for contender in contenders:
            windows[contender.name].append(contender.window(_SECONDS.value))
    for contender in contenders:
        contender.stop()
    medians = {name: statistics.median(values) for name, values in windows.items()}
    figures = {
        "steps_per_second": medians,
        "windows": windows,
        "threads": {
            c.name: {"intra_op": c.threads[0], "inter_op": c.threads[1]} for c in contenders
        },
        "d_over_b": medians["d"] / medians["b"],
        "d_over_c": medians["d"] / medians["c"],
    }
    for name, median in medians.items():
        print(f"{CONTENDERS[name].__doc__:65s} {median:7.1f} steps/s  {figures['threads'][name]}")
    print(f"d / b = {figures['d_over_b']:.2f}   d / c = {figures['d_over_c']:.2f}")
    if _OUTPUT.value:
        with open(_OUTPUT.value, "w") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    app.run(main)
