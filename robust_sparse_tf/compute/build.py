"""Compiles the kernels for this machine: `python -m robust_sparse_tf.compute.build`.

The library is in the user's cache folder, under a name that follows from the sources, TensorFlow's
version and the processor's instructions. So it is compiled once for each, by the first process that
needs it.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from etils import epy

with epy.lazy_imports():
    import tensorflow as tf

_SOURCES = Path(__file__).parent / "kernels"
_FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fPIC", "-w")


class BuildError(RuntimeError):
    """The kernels cannot be compiled here; one line says why, and how to get them."""


def library() -> str:
    """Returns the path of the compiled kernels; compiles them if they are not there or damaged.

    Raises:
        BuildError: without a C++ compiler, without write access to the cache folder, or if the
            compiler fails. A process tries once per folder and compiler.
    """
    found = _outcome(_folder(), os.environ.get("CXX", ""))
    if isinstance(found, BuildError):
        raise found
    return found


@functools.cache
def _outcome(folder: Path, given: str) -> str | BuildError:
    """The library's path, or why there is none, with the compiler that is given or "" for any."""
    try:
        path = folder / f"kernels-{_key()}.so"
        if _is_whole(path):
            return str(path)
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock")):
            if not _is_whole(path):  # another process may have compiled them meanwhile
                _compile(path, _compiler(given))
    except OSError as error:
        return BuildError(
            f"sparse kernels: {folder} cannot be written ({error.strerror or error}); set "
            "ROBUST_SPARSE_TF_CACHE to a folder with write access"
        )
    except BuildError as error:
        return error
    return str(path)


def _compiler(given: str) -> str:
    for name in [given] if given else ["g++", "clang++"]:
        if found := shutil.which(name):
            return found
    missing = f"CXX={given} is not there" if given else "no C++ compiler was found"
    raise BuildError(f"sparse kernels: {missing}; install g++, or set CXX to a compiler")


def _compile(path: Path, compiler: str) -> None:
    """Compiles the sources side by side, and links them."""
    print(f"compiling the sparse kernels for this machine, once: {path}", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        sources = sorted(_SOURCES.glob("*.cc"))
        objects = [os.path.join(folder, source.stem + ".o") for source in sources]
        flags = [*_FLAGS, *tf.sysconfig.get_compile_flags()]
        _run(
            [
                [compiler, *flags, "-c", str(source), "-o", made]
                for source, made in zip(sources, objects, strict=True)
            ],
            folder,
        )
        made = Path(folder) / path.name
        links = tf.sysconfig.get_link_flags()
        _run([[compiler, "-shared", *objects, "-o", str(made), *links]], folder)
        path.with_suffix(".sha256").write_text(_digest(made))
        os.replace(made, path)


def _run(commands: list[list[str]], folder: str) -> None:
    """Runs commands side by side, with their temporary files in a folder."""
    environment = {**os.environ, "TMPDIR": folder}
    running = [
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) for command in commands
    ]
    errors = [process.communicate()[1] for process in running]
    for process, error in zip(running, errors, strict=True):
        if process.returncode:
            told = _first(error.decode(errors="replace"))
            raise BuildError(f"sparse kernels: {commands[0][0]} fails ({told})")


def _first(errors: str) -> str:
    """The first line of a compiler's output that names an error."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[0] if lines else "no message")


def _folder() -> Path:
    if own := os.environ.get("ROBUST_SPARSE_TF_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "robust_sparse_tf"


def _key() -> str:
    parts = [path.read_bytes() for path in sorted(_SOURCES.iterdir())]
    parts += [text.encode() for text in (*_FLAGS, tf.__version__, *_instructions())]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _instructions() -> list[str]:
    """The processor's architecture and its sets of instructions."""
    found = {platform.machine()}
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith(("flags", "Features", "model name", "CPU part")):
                found |= set(line.split(":", 1)[1].split())
    return sorted(found)


def _is_whole(path: Path) -> bool:
    """Whether a library is there and has the bytes that the compiler wrote."""
    try:
        return path.with_suffix(".sha256").read_text() == _digest(path)
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """A context that one process at a time is in."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Compiles the kernels if needed, and prints where they are."""
    try:
        print(library())
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
