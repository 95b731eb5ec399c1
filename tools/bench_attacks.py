"""Compares the speed of attacks with other libraries', on networks trained briefly on MNIST.

All contenders run in one process, and their timed windows alternate, so that changes in load affect
all of them equally. On one core, times are processor times, which other processes affect less; on
more cores, they are clock times. Libraries that are not installed are listed and left out.
`autoattack` is the program of AutoAttack's authors.

    python tools/bench_attacks.py --data_dir=FOLDER [--parts=pgd,deepfool] [--output=FILE.json]

Results are written to the output after each part; those of other parts in it are kept.
"""

import functools
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import app, flags
from bench_contenders import Call, Problem, installed

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_DATA_DIR = flags.DEFINE_string("data_dir", "", "folder of prepared TFDS data")
_WINDOWS = flags.DEFINE_integer("windows", 5, "timed windows of each contender", lower_bound=1)
_CORES = flags.DEFINE_integer("cores", 1, "cores and threads to use", lower_bound=1)
_EXAMPLES = flags.DEFINE_integer("examples", 1000, "images of the part standard", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", "", "JSON file to write the figures to")

CONTENDERS = ("cleverhans", "foolbox", "art", "torch", "torchattacks", "autoattack")
STEPS = 40


def now() -> float:
    """Seconds, of the processor on one core."""
    return time.process_time() if _CORES.value == 1 else time.perf_counter()


@functools.cache
def mnist() -> tuple[Any, Any, Any]:
    """MNIST as (train, validation, test)."""
    from robust_sparse_tf import data

    return data.load("mnist", data_dir=_DATA_DIR.value, batch_size=60)


@functools.cache
def problem(name: str, trained_epsilon: float, steps: int, examples: int) -> Problem:
    """A network after some steps of training, under PGD if an epsilon is given; test images."""
    import tf_keras as keras

    from robust_sparse_tf import AdversarialModel, attacks, models

    keras.utils.set_random_seed(0)
    attack = None
    if trained_epsilon:
        attack = attacks.PGD(epsilon=trained_epsilon, step_size=trained_epsilon / 3, steps=5)
    model = AdversarialModel(models.BY_NAME[name](), attack)
    model.compile(keras.optimizers.Adam(1e-3), jit_update=False, steps_per_execution=50)
    train, _, test = mnist()
    model.fit(train, epochs=1, steps_per_epoch=steps, verbose=0)
    x = test.images[:examples].astype(np.float32) / 255
    return Problem(model.network, x, test.labels[:examples].astype(np.int64))


def alternate(calls: dict[str, Call], windows: int) -> tuple[dict[str, list], dict[str, Any]]:
    """Seconds of each call's windows, after one to warm up, and what each returned last."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    found = {}
    for window in range(windows + 1):
        for name, call in calls.items():
            start = now()
            found[name] = call()
            if window:
                seconds[name].append(now() - start)
    return seconds, found


def compare(task: Problem, calls: dict[str, Call], windows: int) -> dict[str, Any]:
    """Windows, medians, ratios to ours, and what the attacks achieved."""
    seconds, found = alternate(calls, windows)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "images": len(task.x),
        "seconds": seconds,
        "images_per_second": {name: len(task.x) / value for name, value in medians.items()},
        "ours_faster": {
            name: value / medians["ours"] for name, value in medians.items() if name != "ours"
        },
        "accuracy": {name: accuracy(task, images) for name, images in found.items()},
        "mean_l2": {name: mean_l2(task, images) for name, images in found.items()},
    }


def accuracy(task: Problem, images: np.ndarray) -> float:
    """Share of images that the network has right."""
    logits = task.network.predict(images, batch_size=500, verbose=0)
    return float(np.mean(np.argmax(logits, axis=1) == task.y))


def mean_l2(task: Problem, images: np.ndarray) -> float:
    """Mean distance from the clean images, over all of them."""
    return float(np.mean(np.linalg.norm((images - task.x).reshape(len(images), -1), axis=1)))


def pgd() -> dict[str, Any]:
    """PGD-40 on the network of the MNIST challenge, on which all examples take all steps."""
    from robust_sparse_tf import attacks

    task = problem("madry_mnist_cnn", 0.2, 100, 60)
    epsilon, size = 0.2, 0.02
    calls = {
        "ours": task.ours(attacks.PGD(epsilon=epsilon, step_size=size, steps=STEPS)),
        "cleverhans": task.cleverhans_pgd(epsilon, size, STEPS),
        **task.with_foolbox("LinfPGD", epsilon, abs_stepsize=size, steps=STEPS, random_start=False),
        **task.with_art("ProjectedGradientDescent", eps=epsilon, eps_step=size, max_iter=STEPS),
        **task.with_torchattacks("PGD", eps=epsilon, alpha=size, steps=STEPS, random_start=False),
    }
    return {"epsilon": epsilon, **compare(task, calls, _WINDOWS.value)}


def pgd_skip() -> dict[str, Any]:
    """The same where fooled examples leave, at an epsilon at which about 40 % stand."""
    from robust_sparse_tf import attacks

    task = problem("madry_mnist_cnn", 0.2, 100, 200)

    def attack(epsilon: float, skip: bool) -> attacks.PGD:
        return attacks.PGD(
            epsilon=epsilon, step_size=epsilon / 4, steps=STEPS, stop_when_fooled=skip
        )

    low, high = 0.0, 0.8
    for _ in range(7):
        epsilon = (low + high) / 2
        stand = accuracy(task, task.ours(attack(epsilon, True))())
        low, high = (epsilon, high) if stand > 0.4 else (low, epsilon)
    calls = {
        "ours": task.ours(attack(epsilon, True)),
        "ours_without_skipping": task.ours(attack(epsilon, False)),
        "cleverhans": task.cleverhans_pgd(epsilon, epsilon / 4, STEPS),
    }
    return {"epsilon": epsilon, **compare(task, calls, _WINDOWS.value)}


def deepfool() -> dict[str, Any]:
    """DeepFool on LeNet-300-100."""
    from robust_sparse_tf import attacks

    task = problem("lenet_300_100", 0.0, 800, 100)
    calls = {
        "ours": task.ours(attacks.DeepFool()),
        **task.with_foolbox("L2DeepFoolAttack", None, steps=50, candidates=10, overshoot=0.02),
        **task.with_art("DeepFool", max_iter=50, epsilon=0.02, nb_grads=10),
        **task.with_torchattacks("DeepFool", steps=50, overshoot=0.02),
    }
    return compare(task, calls, _WINDOWS.value)


def carlini_wagner() -> dict[str, Any]:
    """Carlini-Wagner on LeNet-300-100, from a constant that fools nearly all images.

    Ours has fewer searches and steps, as it finds nearer examples all the same. Torchattacks has no
    search for the constant; 100 is what it needs.
    """
    from robust_sparse_tf import attacks

    task = problem("lenet_300_100", 0.0, 800, 100)
    own = dict(binary_searches=1, steps=150, initial_constant=10.0)
    search = dict(binary_search_steps=3, initial_const=10.0)
    calls = {
        "ours": task.ours(attacks.CarliniWagner(**own)),
        **task.with_foolbox("L2CarliniWagnerAttack", None, steps=200, **search),
        **task.with_art("CarliniL2Method", max_iter=200, **search),
        **task.with_torchattacks("CW", c=100, steps=1000),
    }
    return {"ours": own, "others": {"steps": 200, **search}, **compare(task, calls, 1)}


def standard() -> dict[str, Any]:
    """The ensemble `standard` on LeNet-5, over parts of at most 250 images."""
    from robust_sparse_tf import evaluate

    whole = problem("lenet5", 0.15, 400, _EXAMPLES.value)
    epsilon = 0.2
    seconds: dict[str, list[float]] = {}
    right: dict[str, int] = {}
    for first in range(0, len(whole.x), 250):
        part = slice(first, first + 250)
        task = Problem(whole.network, whole.x[part], whole.y[part])
        calls = task.autoattack(epsilon, batch_size=250)
        start = now()
        report = evaluate(
            task.network, (task.x, task.y), "standard", [epsilon], check_masking=False
        )
        seconds.setdefault("ours", []).append(now() - start)
        right["ours"] = right.get("ours", 0) + int(report.outcomes[-1].stands.sum())
        for name, call in calls.items():
            start = now()
            images = call()
            seconds.setdefault(name, []).append(now() - start)
            right[name] = right.get(name, 0) + round(accuracy(task, images) * len(task.x))
        print(f"standard, {first + len(task.x)} images: {seconds}, right {right}", flush=True)
    total = {name: sum(values) for name, values in seconds.items()}
    return {
        "images": len(whole.x),
        "epsilon": epsilon,
        "seconds": seconds,
        "ours_faster": {name: v / total["ours"] for name, v in total.items() if name != "ours"},
        "accuracy": {name: value / len(whole.x) for name, value in right.items()},
    }


def memory() -> dict[str, Any]:
    """Peak memory of PGD over 1,000 and 10,000 images, each in a process of its own.

    `evaluation_mb` is by how much it rose above what the process held when it had the images.
    """
    context = multiprocessing.get_context("spawn")
    figures = {}
    for images in (1_000, 10_000):
        with context.Pool(1) as pool:
            figures[f"{images}_images"] = pool.apply(evaluation_memory, (images,))
    return figures


def evaluation_memory(images: int) -> dict[str, float]:
    """What an evaluation in batches of 200 takes, and how often the model is called to trace."""
    from robust_sparse_tf import attacks, evaluate, models

    rng = np.random.default_rng(0)
    x, y = rng.random((images, 28, 28, 1), np.float32), rng.integers(0, 10, images)
    network = models.lenet_300_100()
    traced = 0

    def model(x: Any) -> Any:
        nonlocal traced
        traced += 1
        return network(x)

    before = _status("VmRSS")
    evaluate(
        model,
        (x, y),
        {"pgd": attacks.PGD(step_size=0.05, steps=10)},
        batch_size=200,
        check_masking=False,
    )
    peak = _status("VmHWM")
    return {"peak_mb": peak, "evaluation_mb": peak - before, "calls_of_the_model": traced}


def _status(key: str) -> float:
    """Memory of this process in MB: VmRSS at present, VmHWM at its largest."""
    with open("/proc/self/status") as file:
        return next(float(line.split()[1]) / 1024 for line in file if line.startswith(key))


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    part.__name__: part for part in (pgd, pgd_skip, deepfool, carlini_wagner, standard, memory)
}
_PARTS = flags.DEFINE_list("parts", list(PARTS), f"parts to run: {', '.join(PARTS)}")


def main(_: list[str]) -> None:
    """Measures and prints all parts that are asked for."""
    from robust_sparse_tf.training import devices

    os.sched_setaffinity(0, list(os.sched_getaffinity(0))[: _CORES.value])
    devices.configure(intra_op_threads=_CORES.value, inter_op_threads=_CORES.value)
    if installed("torch"):
        import torch

        torch.set_num_threads(_CORES.value)
    missing = [name for name in CONTENDERS if not installed(name)]
    print(f"not installed, left out: {', '.join(missing) or 'none'}", flush=True)
    figures: dict[str, Any] = {}
    if _OUTPUT.value and os.path.exists(_OUTPUT.value):
        with open(_OUTPUT.value) as file:
            figures = json.load(file)
    for name in _PARTS.value:
        figures[name] = {"cores": _CORES.value, "left_out": missing, **PARTS[name]()}
        print(f"{name}: {json.dumps(figures[name], indent=1)}", flush=True)
        if _OUTPUT.value:
            with open(_OUTPUT.value, "w") as file:
                json.dump(figures, file, indent=1)


if __name__ == "__main__":
    app.run(main)
