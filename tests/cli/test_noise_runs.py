"""Runs with noise on weights: killed and resumed, evaluated again, and exported without it."""

import signal
import time

import numpy as np
import pytest
import tensorflow as tf

from robust_sparse_tf import export, training

ARGV = (
    "--dataset=digits",
    "--noise=layer",
    "--method=rigl",
    "--density=0.3",
    "--update_interval=10",
    "--iterations=60",
    "--evaluate_every=20",
    "--attack.epsilon=0.1",
    "--attack.steps=2",
    "--eval.epsilon=0.1",
    "--eval.steps=2",
)


@pytest.fixture(scope="module")
def whole(cli, tmp_path_factory):
    """A run with noise that nothing interrupted."""
    return cli.call([*ARGV, f"--output_dir={tmp_path_factory.mktemp('whole')}"])


def test_resumed_after_a_kill_with_the_same_bits(cli, whole, tmp_path):
    argv = [*ARGV, f"--output_dir={tmp_path}"]
    process = cli.start(argv)
    metrics = tmp_path / whole.path.name / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.read_bytes()):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert cli.wait(process).code == -signal.SIGKILL
    again = cli.call(argv)
    assert again.results["resumed"]
    assert again.records == whole.records
    ours, theirs = (
        export.load_model(str(run.path / "rounds" / "0" / "model.keras")).get_weights()
        for run in (again, whole)
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_files_are_without_noise_and_results_say_so(whole):
    assert any("without noise" in line for line in whole.results["warnings"])
    network = export.load_model(str(whole.path / "rounds" / "0" / "model.keras"))
    assert training.has_noise(network)
    saved = tf.saved_model.load(str(whole.path / "saved_model"))
    assert saved.variables and not any("noise" in each.name for each in saved.variables)
    assert whole.results["export"]["agreement"] == 1


def test_noise_flags_without_noise_are_refused(cli):
    found = cli.call(["--dataset=digits", "--noise_at_inference=false"])
    assert found.code == 2
    assert "noise_at_inference=False: has no effect without noise" in found.err
