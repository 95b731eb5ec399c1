"""The page alone, from the command line; and how quickly the plugin is there."""

import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from boards import PREFIX
from handmade_logs import write_run

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "robust_sparse_tf.tensorboard")
HEAVY = ("tensorflow", "tf_keras", "scipy", "matplotlib")


def refused(*words):
    """The line that the command ends with."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_the_page_alone(tmp_path):
    write_run(tmp_path / "one")
    argv = [*COMMAND, str(tmp_path), "--port=0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        try:
            line = server.stdout.readline()
            url = line.split(" is shown at ")[1].split()[0]
            assert url.startswith("http://localhost:")
            with urllib.request.urlopen(f"{url}{PREFIX.lstrip('/')}/runs", timeout=60) as answer:
                assert json.load(answer)["version"] == 1
            with urllib.request.urlopen(url, timeout=60) as answer:
                assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        finally:
            server.terminate()


def test_no_such_directory(tmp_path):
    assert refused(tmp_path / "no").endswith("/no', which does not exist")


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "file").touch()
    assert "which is a file" in refused(tmp_path / "file")


def test_a_port_in_use(tmp_path):
    with socket.create_server(("localhost", 0)) as other:
        port = other.getsockname()[1]
        line = refused(tmp_path, f"--port={port}")
    assert f"port {port}: " in line
    assert "already in use" in line


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--port=70000", "."], "allowed are from 0 to 65535"),
        (["--port=x", "."], "allowed are from 0 to 65535"),
        (["--host=no.invalid", "--port=0", "."], "host is 'no.invalid'"),
        ([], "LOGDIR"),
        ([".", "--prot=1"], "--prot=1"),
    ],
)
def test_wrong_arguments(words, reason):
    assert reason in refused(*words)


def imported(program, code):
    """The packages that a process imports which is called so."""
    lines = f"import sys; sys.argv[0] = {program!r}; {code}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert not done.returncode, done.stderr
    return {*done.stdout.split()}


def test_tensorboard_starts_without_tensorflow_for_it():
    found = imported("/usr/bin/tensorboard", "from robust_sparse_tf.tensorboard import plugin")
    assert "robust_sparse_tf.tensorboard.plugin" in found
    assert not found & {*HEAVY}


def test_the_page_alone_starts_without_tensorflow(tmp_path):
    argv = [sys.executable, "-X", "importtime", *COMMAND[1:], str(tmp_path / "no")]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, timeout=300)
    found = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "robust_sparse_tf.tensorboard.serving" in found
    assert not found & {*HEAVY}
