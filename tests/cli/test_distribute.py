"""Runs on several devices, in several processes and on a GPU."""

import json
import math
import socket
import subprocess
import sys

import pytest
import tensorflow as tf


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nothing listens on, different from each other."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [entry.getsockname()[1] for entry in sockets]
    for entry in sockets:
        entry.close()
    return ports


def assert_close(outcome, base) -> None:
    """The first ten steps are those of one device to rounding, which later ones then magnify."""
    assert len(outcome.records) == len(base.records)
    for record, expected in zip(outcome.records, base.records, strict=True):
        for key in ("round", "iteration", "density", "layers"):
            assert record[key] == expected[key]
        assert math.isfinite(record["train"]["loss"])
        loss = record["validation"]["clean_loss"], expected["validation"]["clean_loss"]
        assert math.isfinite(loss[0])
        if (record["round"], record["iteration"]) == (0, 10):
            assert loss[0] == pytest.approx(loss[1], rel=1e-5)
            assert record["train"]["loss"] == pytest.approx(expected["train"]["loss"], rel=1e-5)
        accuracy = record["test"]["clean_accuracy"], expected["test"]["clean_accuracy"]
        assert accuracy[0] == pytest.approx(accuracy[1], abs=0.15)


@pytest.mark.slow  # the next test runs the same in two processes
def test_mirrored(cli, base, files, tmp_path):
    argv = [*cli.base_argv, f"--output_dir={tmp_path}"]
    outcome = cli.run([*argv, "--distribute=mirrored", "--logical_cpus=2"])
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    assert outcome.path.parent == tmp_path and outcome.path.name != base.path.name
    assert_close(outcome, base)
    assert files.listing(outcome.path) == files.listing(base.path)
    assert (outcome.path / "figures" / "accuracy.png").stat().st_size > 10_000
    assert outcome.results["export"]["agreement"] > 0.99


def test_multiworker(cli, base, files, tmp_path):
    """The chief writes and prints the results; the other worker ends with the same path."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    argv = [*cli.base_argv, f"--output_dir={tmp_path}", "--distribute=multiworker"]
    processes = []
    try:
        for index in range(2):
            config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
            env = {"TF_CONFIG": json.dumps(config), "no_proxy": "127.0.0.1"}
            processes.append(cli.start(argv, env))
        chief, worker = (cli.wait(process) for process in processes)
    finally:
        for process in processes:
            process.kill()
    assert chief.code == 0, chief.err
    assert worker.code == 0, worker.err
    assert (chief.err, worker.err) == ("", "")
    assert worker.out.splitlines()[2:] == [str(chief.path)]
    assert_close(chief, base)
    assert files.listing(chief.path) == files.listing(base.path)


@pytest.mark.gpu
def test_gpu(cli, tmp_path):
    if not tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has no GPU that TensorFlow can use")
    growth = (
        "import tensorflow as tf; from robust_sparse_tf.training import devices;"
        "devices.configure(); gpus = tf.config.list_physical_devices('GPU');"
        "assert all(map(tf.config.experimental.get_memory_growth, gpus));"
        "assert 'GPU' in tf.matmul([[1.0]], [[1.0]]).device"
    )
    checked = subprocess.run([sys.executable, "-c", growth], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    outcome = cli.run(
        ["--rounds=2", "--iterations=200", "--evaluate_every=100", f"--output_dir={tmp_path}"]
    )
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    losses = [record["train"]["loss"] for record in outcome.records]
    assert all(map(math.isfinite, losses))
    assert losses[1] < losses[0]
    assert outcome.results["rounds"][-1]["test"]["clean_accuracy"] > 0.7
