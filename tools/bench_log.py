"""The cost of TensorBoard's log: training with SparsityLog beside the same training without.

LeNet-300-100 on MNIST under PGD-10 with RigL, on one core. A point with masks and histograms is
written each 100 steps. Windows alternate; times are the processor's, so that what else runs on the
machine counts less.

    python tools/bench_log.py [--data_dir=FOLDER] [--windows=7] [--output=FILE.json]
"""

import json
import os
import statistics
import tempfile
import time
from typing import Any

from absl import app, flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_DATA_DIR = flags.DEFINE_string("data_dir", "", "folder of prepared TFDS data")
_WINDOWS = flags.DEFINE_integer("windows", 7, "timed windows of each contender", lower_bound=3)
_OUTPUT = flags.DEFINE_string("output", "", "JSON file to write the figures to")

STEPS, EVERY = 300, 100


def overhead(folder: str, windows: int) -> dict[str, Any]:
    """Seconds of a window with and without the log, medians, and what the log adds as a share."""
    import tf_keras as keras

    import robust_sparse_tf as rst

    keras.utils.set_random_seed(0)
    train, *_ = rst.data.load("mnist", batch_size=60, data_dir=_DATA_DIR.value or None)
    method = rst.sparsity.RigL(density=0.1, update_interval=EVERY)
    attack = rst.attacks.PGD(epsilon=0.3, step_size=0.05, steps=10)
    model = rst.AdversarialModel(rst.sparsify(rst.models.lenet_300_100(), method), attack)
    model.compile(keras.optimizers.Adam(1.2e-3), metrics=["accuracy"], steps_per_execution=50)
    log = rst.callbacks.SparsityLog(folder, every=EVERY)
    contenders: dict[str, list[Any]] = {"without": [], "with": [log]}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for window in range(windows + 1):
        for name, callbacks in contenders.items():
            start = time.process_time()
            model.fit(train, epochs=1, steps_per_epoch=STEPS, verbose=0, callbacks=callbacks)
            if window:  # the first warms up
                times[name].append(time.process_time() - start)
    seconds = {name: statistics.median(values) for name, values in times.items()}
    ratios = [b / a - 1 for a, b in zip(times["without"], times["with"], strict=True)]
    return {"steps": STEPS, "every": EVERY, "seconds": seconds, "share": statistics.median(ratios)}


def main(_: list[str]) -> None:
    """Measures and prints the overhead."""
    from robust_sparse_tf.training import devices

    os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
    devices.configure(intra_op_threads=1, inter_op_threads=1)
    with tempfile.TemporaryDirectory() as folder:
        found = overhead(folder, _WINDOWS.value)
    print(f"{found['seconds']}: the log takes {100 * found['share']:.2f} % of training", flush=True)
    if _OUTPUT.value:
        with open(_OUTPUT.value, "w") as file:
            json.dump(found, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    app.run(main)
