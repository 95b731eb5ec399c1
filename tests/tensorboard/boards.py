"""Servers of logs, as TensorBoard makes them."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import werkzeug.test
from tensorboard import program
from tensorboard.backend import application
from tensorboard.plugins.core import core_plugin
from werkzeug import wrappers

from robust_sparse_tf.tensorboard.plugin import BoardLoader

PREFIX = "/data/plugin/sparsity_robustness"
MODES = {"fast": "true", "python": "false"}


class Board:
    """Asks a server."""

    def __init__(self, app: Any) -> None:
        self._client = werkzeug.test.Client(app, wrappers.Response)

    def get(self, path: str, **asked: Any) -> Any:
        """The answer to a request."""
        return self.send("GET", path, **asked)

    def send(self, method: str, path: str, **asked: Any) -> Any:
        """The answer to a request of a method."""
        return self._client.open(f"{PREFIX}/{path}", method=method, query_string=asked)

    def json(self, path: str, code: int = 200, **asked: Any) -> Any:
        """The JSON of an answer."""
        answer = self.get(path, **asked)
        assert answer.mimetype == "application/json"
        assert answer.status_code == code, answer.data

        def refuse(name: str) -> None:
            raise AssertionError(f"{name} is no JSON")

        return json.loads(answer.data, parse_constant=refuse)

    def refused(self, code: int, path: str, **asked: Any) -> str:
        """The reason of an error."""
        return self.json(path, code, **asked)["error"]

    def listing(self) -> Any:
        """TensorBoard's list of plugins."""
        return self._client.get("/data/plugins_listing").json


@contextlib.contextmanager
def serving(folder: Path, fast: str, runs: int = 1) -> Iterator[Board]:
    """A board of a folder's logs, with all its runs loaded."""
    loaders = [core_plugin.CorePluginLoader(), BoardLoader()]
    tensorboard = program.TensorBoard(plugins=loaders)
    flags = ["--logdir", str(folder), "--load_fast", fast, "--reload_interval=0"]
    tensorboard.configure(argv=[None, *flags])
    provider, multiplexer = tensorboard._make_data_provider()
    app = application.TensorBoardWSGIApp(
        tensorboard.flags, tensorboard.plugin_loaders, provider, None, multiplexer
    )
    board = Board(app)
    _wait(board, runs)
    yield board
    if fast == "true":
        tensorboard._ingester._stdin_handle.close()  # ends the data server


def _wait(board: Board, runs: int) -> None:
    """Waits until what is told of the runs stays the same."""
    last, since, start = None, time.monotonic(), time.monotonic()
    while time.monotonic() - start < 30:
        time.sleep(0.1)
        now = board.json("runs")
        if now != last:
            last, since = now, time.monotonic()
        elif now["total"] >= runs and time.monotonic() - since > 0.5:
            return
    raise AssertionError(f"{runs} runs are not there after 30 seconds: {last}")
