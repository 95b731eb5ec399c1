"""The cost of sparsity: one mask update, and training with updates beside training without.

All on one core: updates of RigL on LeNet-300-100 and ResNet-18 beside the same selection in NumPy;
then steps per second of dynamic methods and of the same masks kept, in alternating windows. Times
are the processor's: what else runs on the machine counts less.

    python tools/bench_sparsity.py [--data_dir=FOLDER] [--windows=7] [--output=FILE.json]
"""

import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import app, flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_DATA_DIR = flags.DEFINE_string("data_dir", "", "folder of prepared TFDS data")
_WINDOWS = flags.DEFINE_integer("windows", 7, "timed windows of each contender", lower_bound=3)
_OUTPUT = flags.DEFINE_string("output", "", "JSON file to write the figures to")

DENSITY, FRACTION, INTERVAL = 0.2, 0.3, 100


def update_times(name: str, windows: int) -> dict[str, float]:
    """Milliseconds of one RigL update of a network's masks, ours and in NumPy; medians."""
    import tensorflow as tf

    from robust_sparse_tf import models, sparsity
    from robust_sparse_tf.sparsity.methods.base import layer_states

    method = sparsity.RigL(DENSITY, distribution="erk", drop_fraction=FRACTION)
    shape = (28, 28, 1) if name == "lenet_300_100" else (32, 32, 3)
    network = sparsity.sparsify(models.BY_NAME[name](shape, 10), method)
    gradients = {
        entry.name: tf.random.stateless_normal(entry.mask.shape, [0, number])
        for number, entry in enumerate(sparsity.masked_weights(network))
    }

    @tf.function
    def ours() -> tf.Tensor:
        changes = method.change(layer_states(network, gradients), tf.constant(100, tf.int64))
        return tf.add_n([tf.math.count_nonzero(change.grown) for change in changes])

    arrays = [
        (layer.weight.numpy(), layer.active.numpy(), layer.gradient.numpy())
        for layer in layer_states(network, gradients)
    ]

    def numpy() -> None:
        for weight, active, gradient in arrays:
            _numpy_update(weight, active, gradient)

    times = _alternate({"ours": lambda: ours().numpy(), "numpy": numpy}, windows)
    return {key: 1000 * value for key, value in times.items()}


def _numpy_update(weight: np.ndarray, active: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """RigL by argpartition, whose choice among ties is arbitrary."""
    number = round(FRACTION * np.count_nonzero(active))
    scores = np.where(active, np.abs(weight), np.inf).ravel()
    kept = active.ravel().copy()
    kept[np.argpartition(scores, number)[:number]] = False
    scores = np.where(kept, -1, np.abs(gradient).ravel())
    kept[np.argpartition(-scores, number)[:number]] = True
    return kept


def training_speeds(
    name: str, batch_size: int, steps: int, interval: int, windows: int
) -> dict[str, Any]:
    """Steps per second with masks that stay ("static") and with updates, and the overhead.

    Windows hold whole intervals, so that each has the same number of updates. The overhead is
    scaled to one update in `INTERVAL` steps: slow networks are measured with more of them.
    """
    import tf_keras as keras

    from robust_sparse_tf import AdversarialModel, attacks, data, models, sparsity

    if name == "lenet_300_100":
        train = data.load("mnist", data_dir=_DATA_DIR.value, batch_size=batch_size)[0]
        shape, attack = (28, 28, 1), attacks.PGD(epsilon=0.3, step_size=0.05, steps=10)
    else:
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (1024, 32, 32, 3), np.uint8)
        labels = rng.integers(0, 10, 1024)
        train = data.Split(images, labels, num_classes=10, batch_size=batch_size, shuffle=True)
        shape, attack = (32, 32, 3), None
    options = dict(density=DENSITY, distribution="erk")
    methods = {
        "static": sparsity.Static(**options),
        "set": sparsity.SET(**options, update_interval=interval),
        "rigl": sparsity.RigL(**options, update_interval=interval),
    }
    contenders = {}
    for key, method in methods.items():
        keras.utils.set_random_seed(0)
        network = sparsity.sparsify(models.BY_NAME[name](shape, 10), method)
        model = AdversarialModel(network, attack, branches=2 if attack else 1)
        model.compile(keras.optimizers.Adam(1.2e-3), steps_per_execution=min(50, steps))
        contenders[key] = _fit(model, train, steps)
    seconds = _alternate(contenders, windows)
    speeds = {key: steps / value for key, value in seconds.items()}
    overhead = {
        key: (seconds[key] / seconds["static"] - 1) * interval / INTERVAL
        for key in seconds
        if key != "static"
    }
    return {"steps_per_second": speeds, "overhead": overhead, "measured_interval": interval}


def _fit(model: Any, train: Any, steps: int) -> Callable[[], None]:
    return lambda: model.fit(train, steps_per_epoch=steps, epochs=1, verbose=0)


def _alternate(contenders: dict[str, Callable[[], Any]], windows: int) -> dict[str, float]:
    """Median seconds of each contender, their windows alternating, after one to warm up."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for window in range(windows + 1):
        for name, run in contenders.items():
            start = time.process_time()
            run()
            if window:
                times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main(_: list[str]) -> None:
    """Measures and prints everything."""
    from robust_sparse_tf.training import devices

    os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
    devices.configure(intra_op_threads=1, inter_op_threads=2)
    figures: dict[str, Any] = {"update_ms": {}}
    for name in ("lenet_300_100", "resnet18"):
        figures["update_ms"][name] = update_times(name, _WINDOWS.value)
        print(f"one RigL update of {name}, ms: {figures['update_ms'][name]}", flush=True)
    figures["w1"] = training_speeds("lenet_300_100", 60, 5 * INTERVAL, INTERVAL, _WINDOWS.value)
    print(f"W1 (LeNet-300-100, PGD-10): {figures['w1']}", flush=True)
    figures["resnet20"] = training_speeds("resnet20", 128, 20, 10, max(3, _WINDOWS.value // 2))
    print(f"ResNet-20, batch 128, no attack: {figures['resnet20']}", flush=True)
    if _OUTPUT.value:
        with open(_OUTPUT.value, "w") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    app.run(main)
