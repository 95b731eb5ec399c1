"""Compiling the kernels: once, whole, and with one line if it is not possible."""

import os
import stat
import threading
from pathlib import Path

import pytest

from robust_sparse_tf.compute import build
from robust_sparse_tf.compute.build import BuildError, library

FAKE = """#!/bin/sh
echo call >> "$LOG"
while [ "$1" != "-o" ]; do shift; done
echo made > "$2"
"""
FAILING = "#!/bin/sh\necho 'kernel.cc:1: error: this is wrong' >&2\nexit 1\n"


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """Makes a program the compiler, and a new folder the cache."""

    def use(text):
        path = tmp_path / "compiler"
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("CXX", str(path))
        monkeypatch.setenv("LOG", str(tmp_path / "log"))
        monkeypatch.setenv("ROBUST_SPARSE_TF_CACHE", str(tmp_path / "cache"))
        build._outcome.cache_clear()
        return tmp_path

    yield use
    build._outcome.cache_clear()


def calls(folder):
    return len((folder / "log").read_text().split())


SOURCES = len(list(build._SOURCES.glob("*.cc")))


def test_it_compiles_once_and_says_so(compiler, capsys):
    folder = compiler(FAKE)
    path = library()
    assert Path(path).read_text() == "made\n"
    build._outcome.cache_clear()
    assert library() == path
    assert calls(folder) == SOURCES + 1
    assert capsys.readouterr().err.count("\n") == 1
    assert sorted(os.listdir(folder / "cache")) == sorted(
        os.path.basename(path).replace(".so", end) for end in (".lock", ".sha256", ".so")
    )


def test_a_damaged_library_is_compiled_again(compiler):
    folder = compiler(FAKE)
    path = library()
    for damaged in ("", "other"):
        with open(path, "w") as file:
            file.write(damaged)
        build._outcome.cache_clear()
        library()
        assert Path(path).read_text() == "made\n"
    assert calls(folder) == 3 * (SOURCES + 1)


def test_processes_wait_for_each_other(compiler):
    folder = compiler(FAKE)
    cache = build._folder()
    threads = [
        threading.Thread(target=build._outcome.__wrapped__, args=(cache, os.environ["CXX"]))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls(folder) == SOURCES + 1


def test_a_failed_build_is_one_line_and_not_tried_again(compiler, capsys):
    compiler(FAILING)
    for _ in range(2):
        with pytest.raises(BuildError, match="fails .kernel.cc:1: error: this is wrong") as caught:
            library()
        assert "\n" not in str(caught.value)
    assert capsys.readouterr().err.count("\n") == 1


def test_without_a_compiler(compiler, monkeypatch):
    folder = compiler(FAKE)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BuildError, match="CXX=no-such-compiler is not there; install g"):
        library()
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(BuildError, match="no C.. compiler was found; install g"):
        library()
    assert build.main() == 1


def test_without_write_access(compiler, monkeypatch):
    folder = compiler(FAKE)
    monkeypatch.setenv("ROBUST_SPARSE_TF_CACHE", str(folder / "compiler" / "cache"))
    with pytest.raises(BuildError, match="cannot be written .Not a directory.; set ROBUST_SPARSE"):
        library()
