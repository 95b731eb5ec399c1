"""Training speed under PGD, beside what people write today.

Workloads: w1 is PGD-10 on LeNet-300-100 (batch 60, clean and adversarial loss), w3 PGD-7 on
ResNet-20 (batch 128, adversarial loss, which also has PyTorch where it is installed).

Each contender runs in its own process, at its fastest thread setting. Their timed windows
alternate, so that changes in load affect all of them equally.

    python tools/bench_train.py --data_dir=FOLDER [--workload=w1] [--windows=7] [--output=FILE.json]
"""

import importlib.util
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from absl import app, flags

_DATA_DIR = flags.DEFINE_string("data_dir", "", "folder of prepared TFDS data")
_WORKLOAD = flags.DEFINE_enum("workload", "w1", ["w1", "w3"], "what is trained")
_WINDOWS = flags.DEFINE_integer("windows", 7, "timed windows of each contender", lower_bound=5)
_SECONDS = flags.DEFINE_float("seconds", 3.0, "length of a window, in seconds", lower_bound=0.1)
_OUTPUT = flags.DEFINE_string("output", "", "JSON file to write the figures to")

# Intra-op and inter-op threads to choose from.
THREADS = [(1, 1), (1, 2), (2, 1), (2, 2)]
RATE = 1.2e-3


class Workload(NamedTuple):
    """What is trained: data, network, attack and loss."""

    dataset: str
    model: str
    batch: int
    epsilon: float
    step_size: float
    steps: int
    clean_weight: float
    density: float
    unit: int
    """Steps of a window are a multiple of this number; `fit` has as many in a call of its graph."""
    contenders: tuple[str, ...]


WORKLOADS = {
    "w1": Workload("mnist", "lenet_300_100", 60, 0.3, 0.05, 10, 0.5, 0.2, 50, ("a", "b", "c", "d")),
    "w3": Workload("cifar10", "resnet20", 128, 8 / 255, 2 / 255, 7, 0, 0.2, 2, ("c", "d", "e")),
}


class Setting:
    """The network, its masks, the optimizer and the data, as every contender gets them."""

    def __init__(self, work: Workload, data_dir: str) -> None:
        import tensorflow as tf
        import tf_keras as keras

        from robust_sparse_tf import data, models, sparsity

        keras.utils.set_random_seed(0)
        self.work = work
        self.train, _, _ = data.load(work.dataset, batch_size=work.batch, data_dir=data_dir)
        self.network = models.BY_NAME[work.model]()
        self.sparse = sparsity.sparsify(self.network, sparsity.Magnitude(work.density))
        held = {entry.weight.ref(): entry.mask for entry in sparsity.masked_weights(self.sparse)}
        self.masks = [
            tf.constant(held[weight.ref()].numpy()) if weight.ref() in held else 1.0
            for weight in self.network.trainable_variables
        ]
        self.optimizer = keras.optimizers.Adam(RATE)
        self.optimizer.build(self.network.trainable_variables)

    def plain_step(self, model: Any, x: Any, y: Any) -> Any:
        """One step as one writes it with CleverHans and tf_keras; the loss."""
        import numpy as np
        import tensorflow as tf
        from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent

        work = self.work
        adversarial = projected_gradient_descent(
            lambda images: self.network(images, training=False),
            x,
            work.epsilon,
            work.step_size,
            work.steps,
            np.inf,
            clip_min=0.0,
            clip_max=1.0,
            y=y,
        )
        cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(cross_entropy(y, model(adversarial, training=True)))
            if part := work.clean_weight:
                clean = tf.reduce_mean(cross_entropy(y, model(x, training=True)))
                loss = part * clean + (1 - part) * loss
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

    from robust_sparse_tf import AdversarialModel, attacks, objectives

    work = setting.work
    attack = attacks.PGD(epsilon=work.epsilon, step_size=work.step_size, steps=work.steps)
    branches = tf.config.threading.get_inter_op_parallelism_threads()
    objective = objectives.Mixed(clean_weight=work.clean_weight)
    model = AdversarialModel(setting.sparse, attack, objective, branches=branches)
    model.compile(setting.optimizer, steps_per_execution=work.unit)
    return lambda steps: model.fit(setting.train, steps_per_epoch=steps, verbose=0)


def torch_eager(setting: Setting) -> Callable[[int], None]:
    """(e) PyTorch, eager, channels last."""
    from torch_training import trainer

    return trainer(setting)


CONTENDERS = {
    "a": eager,
    "b": keras_fit,
    "c": bare_function,
    "d": project_fit,
    "e": torch_eager,
}


def serve(
    connection: Connection, name: str, threads: tuple[int, int], work: Workload, data_dir: str
) -> None:
    """A contender's process: answers each request of seconds with steps per second."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from robust_sparse_tf.training import devices

    devices.configure(intra_op_threads=threads[0], inter_op_threads=threads[1])
    run, unit = CONTENDERS[name](Setting(work, data_dir)), work.unit
    run(unit)  # traces and compiles
    start = time.perf_counter()
    run(unit)
    speed = unit / (time.perf_counter() - start)
    connection.send(speed)
    while seconds := connection.recv():
        steps = max(unit, round(speed * seconds / unit) * unit) if name != "a" else unit
        start = time.perf_counter()
        run(steps)
        connection.send(steps / (time.perf_counter() - start))


class Contender:
    """A contender's process, seen from outside."""

    def __init__(self, name: str, threads: tuple[int, int], work: Workload, data_dir: str) -> None:
        self.name, self.threads = name, threads
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        given = (other, name, threads, work, data_dir)
        self._process = context.Process(target=serve, args=given)
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


def best_setting(name: str, work: Workload, data_dir: str, seconds: float) -> Contender:
    """The contender at its best thread setting: three windows each, alternating."""
    candidates = [Contender(name, threads, work, data_dir) for threads in THREADS]
    speeds = [[c.window(seconds / 2) for c in candidates] for _ in range(3)]
    medians = [statistics.median(column) for column in zip(*speeds, strict=True)]
    best = candidates[medians.index(max(medians))]
    for candidate in candidates:
        if candidate is not best:
            candidate.stop()
    return best


def main(_: list[str]) -> None:
    """Measures all contenders and prints medians and ratios."""
    work = WORKLOADS[_WORKLOAD.value]
    names = [name for name in work.contenders if name != "e" or importlib.util.find_spec("torch")]
    contenders = [best_setting(name, work, _DATA_DIR.value, _SECONDS.value) for name in names]
    windows: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(_WINDOWS.value):
        for contender in contenders:
            windows[contender.name].append(contender.window(_SECONDS.value))
    for contender in contenders:
        contender.stop()
    medians = {name: statistics.median(values) for name, values in windows.items()}
    threads = {c.name: {"intra_op": c.threads[0], "inter_op": c.threads[1]} for c in contenders}
    ratios = {f"d_over_{name}": medians["d"] / medians[name] for name in names if name in "bce"}
    figures = {
        "steps_per_second": medians,
        "images_per_second": {name: median * work.batch for name, median in medians.items()},
        "windows": windows,
        "threads": threads,
        **ratios,
    }
    for name, median in medians.items():
        images = median * work.batch
        print(
            f"{CONTENDERS[name].__doc__:60s} {median:8.2f} steps/s {images:8.0f} images/s", end=""
        )
        print(f"  {threads[name]}")
    print("   ".join(f"{name}: {ratio:.2f}" for name, ratio in ratios.items()))
    if _OUTPUT.value:
        with open(_OUTPUT.value, "w") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    app.run(main)
