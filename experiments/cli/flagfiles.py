"""Checks flagfiles before absl reads them."""

import os
import re
import stat
from collections.abc import Iterable

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.options import shown


def check(argv: Iterable[str], inside: tuple[str, ...] = ()) -> None:
    """Checks the words of a command line, and the flagfiles that they name.

    Args:
        argv: the words.
        inside: the enclosing flagfiles, the outermost first.

    Raises:
        InputError: for words that are not text, or flagfiles that cannot be read, are not text, or
            include themselves.
    """
    words = list(argv)
    for number, word in enumerate(words):
        _check_text(word)
        found = re.fullmatch(r"--?flagfile(?:=(.*))?", word)
        if not found or "--" in words[:number]:
            continue
        path = found[1] if found[1] is not None else "".join(words[number + 1 : number + 2])
        path = os.path.expanduser(path.strip())
        place = os.path.realpath(path)
        if place in inside:
            raise InputError(f"flagfile={path}: includes itself")
        if path and not path.startswith("/dev/fd/"):  # a pipe of the shell can be read only once
            check(_lines(path), (*inside, place))


def _check_text(word: str) -> None:
    try:
        word.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{shown(word)}: must be UTF-8") from error


def _lines(path: str) -> list[str]:
    """The lines of a flagfile, stripped, without comments."""
    try:
        # Reading a pipe without a writer, or a device, would never end.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError(f"flagfile={path}: must be a file")
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise InputError(f"flagfile={path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"flagfile={path}: must be a text file in UTF-8") from error
    if "\0" in text:
        raise InputError(f"flagfile={path}: must be a text file in UTF-8")
    return [line.strip() for line in text.splitlines() if not line.strip().startswith(("#", "//"))]
