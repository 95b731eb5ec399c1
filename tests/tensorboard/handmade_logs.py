"""Logs of the plugin that no training wrote, good ones and damaged ones; needs no TensorFlow."""

import json
import struct
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util

NAME = "sparsity_robustness"
MEASURES = (
    *("density", "active", "changed", "churn", "exploration", "no_input", "no_output"),
    *("bytes", "flops", "multiply_accumulates"),
)


class HandmadeLog:
    """Writes one run."""

    def __init__(self, folder: Path) -> None:
        self._writer = EventFileWriter(str(folder))

    def tensor(
        self, tag: str, value: Any, step: int, content: Any = None, version: Any = 1
    ) -> None:
        """Writes a tensor; `content` is JSON, or bytes as they are."""
        data = content if isinstance(content, bytes) else None
        metadata = summary_pb2.SummaryMetadata(data_class=summary_pb2.DATA_CLASS_TENSOR)
        metadata.plugin_data.plugin_name = NAME
        if data is None:
            data = json.dumps({"version": version, **(content or {})}).encode()
        metadata.plugin_data.content = data
        self.proto(tag, tensor_util.make_tensor_proto(np.asarray(value)), step, metadata)

    def proto(self, tag: str, tensor: Any, step: int, metadata: Any) -> None:
        """Writes a tensor as it is."""
        value = summary_pb2.Summary.Value(tag=tag, tensor=tensor, metadata=metadata)
        summary = summary_pb2.Summary(value=[value])
        event = event_pb2.Event(wall_time=time.time(), step=step, summary=summary)
        self._writer.add_event(event)

    def json(self, tag: str, value: Any, step: int = 0, **known: Any) -> None:
        """Writes a value as JSON."""
        self.tensor(tag, json.dumps(value).encode(), step, **known)

    def run(self, **changed: Any) -> None:
        """Writes what the run is."""
        self.json("run", RUN | changed)

    def topology(
        self, step: int, tables: Any, layers: Sequence[str] = ("conv", "dense"), **known: Any
    ) -> None:
        """Writes the measures of the layers, and of the network as the last row."""
        about = {"layers": list(layers), "sizes": [100] * len(layers), "measures": MEASURES}
        self.tensor("topology", tables, step, content=about, **known)

    def mask(self, layer: str, step: int, image: bytes | None = None) -> None:
        """Writes a mask of 4 x 6 weights."""
        about = {"layer": layer, "shape": [4, 6], "kernel": [2, 2, 6], "block": [1, 1]}
        self.tensor(f"masks/{layer}", png(4, 6) if image is None else image, step, about)

    def accuracy(self, step: int, clean: float = 0.9, robust: float = 0.4) -> None:
        """Writes accuracies of training and validation."""
        self.json("accuracy", accuracy(step, clean, robust), step)

    def flush(self) -> None:
        """Writes what there is, and keeps the file open."""
        self._writer.flush()

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()


RUN: Mapping[str, Any] = {
    "name": "one",
    "round": None,
    "first_step": 0,
    "method": "rigl",
    "density": 0.1,
    "attack": "pgd",
    "seed": 0,
    "hparams": {"learning_rate": 0.1, "augment": True, "optimizer": "adam"},
    "classes": ["zero", "one"],
}


def accuracy(step: int, clean: float = 0.9, robust: float = 0.4) -> dict[str, Any]:
    """A record of accuracies."""
    figures = {
        "examples": 100,
        "clean_accuracy": clean,
        "clean_loss": 0.5,
        "robust_accuracy": {"pgd": robust},
        "robust_loss": {"pgd": 1.5},
    }
    return {
        "round": None,
        "step": step,
        "phase": "robust",
        "attacks": {"pgd": {"norm": "linf", "epsilon": 0.3}},
        "splits": {"train": {"loss": 0.4}, "validation": figures},
    }


def row(attack: str, accuracy: float, epsilon: float | None = None) -> dict[str, Any]:
    """A line of a report."""
    empty = dict.fromkeys(("expected", "standard_error", "distance", "queries", "seconds"))
    bounds = {"low": accuracy - 0.05, "high": accuracy + 0.05}
    norm = None if epsilon is None else "linf"
    return (
        {"attack": attack, "norm": norm, "epsilon": epsilon, "accuracy": accuracy} | bounds | empty
    )


REPORT: Mapping[str, Any] = {
    "name": "standard",
    "split": "test",
    "examples": 200,
    "level": 0.95,
    "rows": [row("clean", 0.9), row("pgd", 0.5, 0.3), row("worst", 0.45, 0.3)],
    "warnings": ["accuracy rises with epsilon"],
    "checks": [
        {
            "name": name,
            "status": status,
            "evidence": "0.5 against 0.4",
            "meaning": "gradients may be masked",
            "advice": "run square",
        }
        for name, status in (("transfer", "failed"), ("noise", "passed"), ("steps", "not run"))
    ],
    "model": "abc",
}

EXAMPLES: Mapping[str, Any] = {
    "attack": "pgd",
    "norm": "linf",
    "epsilon": 0.3,
    "items": [{"label": 1, "before": 1, "after": 7, "distance": 0.3, "scale": 0.3}],
}


def png(rows: int, columns: int) -> bytes:
    """A gray image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    lines = b"".join(b"\0" + bytes(range(columns)) for _ in range(rows))
    body = zlib.compress(lines)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def write_run(folder: Path, steps: Sequence[int] = (0, 10, 20)) -> None:
    """Writes a run that has all there is."""
    log = HandmadeLog(folder)
    log.run()
    for step in steps:
        log.topology(step, np.full((3, len(MEASURES)), 0.5))
        log.accuracy(step)
        log.mask("conv", step)
    log.tensor("inputs/conv", np.ones((2, 2, 1), np.float32), 0, {"layer": "conv"})
    log.json("report/standard", REPORT, steps[-1])
    log.json(
        "measures/margins",
        {"name": "margins", "images": 10, "numbers": {"r_2": 1.5}, "warnings": []},
        steps[-1],
    )
    log.tensor("examples/pgd/0.3", [json.dumps(EXAMPLES).encode(), *[png(3, 3)] * 3], steps[-1])
    log.json("export", {"tflite_bytes": 1000, "latency_ms": 1.5}, steps[-1])
    log.close()
