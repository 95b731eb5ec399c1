"""Logs that the page is tested with: of a training, of rounds, and with names that are code."""

from pathlib import Path

import numpy as np
import tf_keras as keras
from handmade_logs import EXAMPLES, MEASURES, REPORT, HandmadeLog, accuracy, png, row

import robust_sparse_tf as rst
from robust_sparse_tf.summaries import log_format

HOSTILE = "<script>window.broken=1<" + "/script>"
"""A name that is a folder in a folder, and code where it is taken for markup."""

STEPS = (0, 100, 200, 300)
LAYERS = ("conv", "dense")


def write_trained(folder: Path) -> None:
    """A short training that is attacked, logged by the callbacks."""
    train, validation, _ = rst.data.load("digits", batch_size=100)
    model = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(24, "relu", name="hidden"),
            keras.layers.Dense(10, name="logits"),
        ]
    )
    sparse = rst.sparsify(model, rst.sparsity.RigL(density=0.2, update_interval=5))
    sparse.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    attacks = {"fgsm": rst.attacks.FGSM(epsilon=0.1), "pgd": rst.attacks.PGD(epsilon=0.1, steps=2)}
    callbacks = [
        rst.callbacks.SparsityLog(str(folder), every=10),
        rst.callbacks.RobustnessLog(
            str(folder),
            validation,
            attacks,
            every=10,
            epsilons=(0.05, 0.1),
            examples=50,
            check_masking=False,
        ),
    ]
    sparse.fit(train, epochs=4, callbacks=callbacks, verbose=0)


def write_rounds(folder: Path, name: str, seed: int = 0) -> None:
    """Two rounds of lottery tickets, with all there is."""
    for number in range(2):
        log = HandmadeLog(folder / f"round_{number:02d}")
        of_round = {"round": number, "first_step": 300 * number, "density": 0.5**number}
        log.run(name=name, method="lottery", seed=seed, **of_round)
        for step in STEPS:
            log.topology(step, _table(step, 0.5**number))
            record = accuracy(step, 0.9 - 0.02 * number, 0.6 + step / 3000 * (1 - step / 200))
            record |= {"round": number, "step": 300 * number + step, "phase": "robust"}
            record["splits"]["train"] |= {"accuracy": 0.95, "robust_accuracy": 0.7}
            log.json("accuracy", record, step)
            log.mask("conv", step)
            inputs = np.eye(2, dtype=np.float32)[..., None]
            log.tensor("inputs/conv", inputs, step, {"layer": "conv"})
        log.json("report/standard", REPORT, STEPS[-1])
        log.json("measures/margins", MARGINS, STEPS[-1])
        for epsilon in (0.1, 0.3):
            about = EXAMPLES | {"epsilon": epsilon}
            log.tensor(f"examples/pgd/{epsilon}", _strings(about), STEPS[-1])
        log.json("export", {"tflite_bytes": 1000, "latency_ms": 1.5}, STEPS[-1])
        log.close()


def write_hostile(folder: Path) -> None:
    """A run whose names are all code, and whose numbers are not finite."""
    log = HandmadeLog(folder / HOSTILE)
    log.run(name=HOSTILE, method=HOSTILE, attack=HOSTILE, classes=[HOSTILE, HOSTILE])
    for step in STEPS:
        log.topology(step, np.full((2, len(MEASURES)), np.nan), [HOSTILE])
        record = accuracy(step)
        split = record["splits"]["validation"]
        split["clean_accuracy"] = "NaN"
        split["robust_accuracy"] = {HOSTILE: 0.5}
        record |= {"phase": HOSTILE if step else "", "attacks": {HOSTILE: ATTACK}}
        log.json("accuracy", record, step)
    log.mask(HOSTILE, 0)
    check = {key: HOSTILE for key in ("name", "evidence", "meaning", "advice")}
    report = {"checks": [check | {"status": "failed"}], "warnings": [HOSTILE], "name": HOSTILE}
    log.json("report/x", REPORT | report | {"rows": [row(HOSTILE, 0.5, 0.3)]}, 0)
    log.json("measures/x", MARGINS | {"name": HOSTILE, "numbers": {HOSTILE: "Infinity"}}, 0)
    log.tensor("examples/x/0.3", _strings(EXAMPLES | {"attack": HOSTILE}), 0)
    log.close()


ATTACK = {"norm": HOSTILE, "epsilon": None}
MARGINS = {"name": "margins", "images": 10, "numbers": {"r_2": 1.5}, "warnings": []}


def _table(step: int, density: float) -> np.ndarray:
    values = {
        **{"density": density, "active": 100 * density, "churn": 0.1, "exploration": 0.6},
        **{"no_input": step / 100, "no_output": 0, "multiply_accumulates": 1000 * density},
    }
    line = [values.get(measure, np.nan) for measure in MEASURES]
    return np.array([line] * (len(LAYERS) + 1), np.float64)


def _strings(about: object) -> list[bytes]:
    return [log_format.to_json(about).encode(), *[png(8, 8)] * 3]
