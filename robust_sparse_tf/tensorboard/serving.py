"""Serves the page alone: TensorBoard's own server with this plugin and no other."""

import argparse
import contextlib
import io
import os
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

from tensorboard import program
from tensorboard.plugins.core import core_plugin

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.tensorboard.plugin import BoardLoader

HOST = "localhost"
PORT = 6006
LAST_PORT = 65535

_NOT_SHOWN = {"scalars": 1, "images": 1, "histograms": 1, "text": 1}
"""Points that are kept of what the stock tabs show: 0 would mean all."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until it is interrupted.

    Args:
        argv: the arguments; those of the process if None.

    Returns:
        0, or 2 for a directory or an address that cannot be used.
    """
    arguments = _parser().parse_args(argv)
    try:
        url = start(arguments.logdir, arguments.host, arguments.port)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{arguments.logdir} is shown at {url} (Ctrl+C ends it)", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    return 0


def start(logdir: str, host: str = HOST, port: int = PORT) -> str:
    """Serves a directory from a thread.

    Args:
        logdir: directory with logs, at any depth.
        host: address to listen at.
        port: 0 for any that is free.

    Returns:
        The URL.

    Raises:
        InputError: for a directory or an address that cannot be used.
    """
    _check(logdir)
    server = program.TensorBoard(plugins=[core_plugin.CorePluginLoader(), BoardLoader()])
    server.configure(logdir=logdir, host=host, port=port, samples_per_plugin={**_NOT_SHOWN})
    told = io.StringIO()  # with a hint at a flag that this command does not have
    try:
        with contextlib.redirect_stderr(told):
            return str(server.launch())
    except program.TensorBoardServerException as error:
        reason = error.msg
    except OSError as error:
        reason = error.strerror or str(error)
    except SystemExit:  # werkzeug's, after it has said why
        reason = told.getvalue().strip().rpartition("\n")[2]
    raise InputError(f"host is {host!r}, port {port}: {reason}")


def _check(logdir: str) -> None:
    if not os.path.exists(logdir):
        raise InputError(f"LOGDIR is {logdir!r}, which does not exist")
    if not os.path.isdir(logdir):
        raise InputError(f"LOGDIR is {logdir!r}, which is a file, it has to be a directory")
    if not os.access(logdir, os.R_OK | os.X_OK):
        raise InputError(f"LOGDIR is {logdir!r}, which cannot be read")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m robust_sparse_tf.tensorboard",
        description="Shows sparsity and robustness of the runs that were logged in a directory.",
    )
    parser.add_argument("logdir", metavar="LOGDIR", help="directory with logs, at any depth")
    parser.add_argument("--host", default=HOST, help="address to listen at (%(default)s)")
    parser.add_argument(
        "--port", default=PORT, type=_port, help="0 for any that is free (%(default)s)"
    )
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= LAST_PORT):
        raise argparse.ArgumentTypeError(f"{text!r}, allowed are from 0 to {LAST_PORT}")
    return int(text)
