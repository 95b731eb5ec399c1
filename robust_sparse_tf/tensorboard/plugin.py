"""The plugin as TensorBoard knows it: its tab, and what answers each of its addresses."""

import argparse
from collections.abc import Callable
from typing import Any

from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from robust_sparse_tf.tensorboard import accuracy, files, names, runs, topology
from robust_sparse_tf.tensorboard.answers import App, app, as_json
from robust_sparse_tf.tensorboard.cache import Cache
from robust_sparse_tf.tensorboard.questions import Question
from robust_sparse_tf.tensorboard.reading import MOST_POINTS, Log

ROOM = 128 * 2**20
"""Bytes of values that are kept in memory."""

_INDEX = "/index.js"

Answer = Callable[[Log, Question], dict[str, Any]]

_ANSWERS: dict[str, tuple[Answer, tuple[str, ...]]] = {
    "runs": (runs.answer, ("offset", "limit")),
    "topology": (topology.answer, ("run", "points")),
    "accuracy": (accuracy.answer, ("run",)),
}


class BoardLoader(base_plugin.TBLoader):
    """Loads the plugin, and has TensorBoard keep enough points for it."""

    def fix_flags(self, flags: argparse.Namespace) -> None:
        """Asks for as many points as a run of 2,000 steps logs; a user's own number stays."""
        flags.samples_per_plugin.setdefault(names.PLUGIN, MOST_POINTS)

    def load(self, context: base_plugin.TBContext) -> base_plugin.TBPlugin:
        """The plugin."""
        return BoardPlugin(context)


class BoardPlugin(base_plugin.TBPlugin):
    """Sparsity and robustness of networks while they train."""

    plugin_name = names.PLUGIN

    def __init__(self, context: base_plugin.TBContext) -> None:
        self._source = context.data_provider
        self._cache = Cache(ROOM)

    def is_active(self) -> bool:
        """False: TensorBoard sees by itself whether there are data of the plugin's name."""
        return False

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """The tab's name, and where its module is."""
        return base_plugin.FrontendMetadata(es_module_path=_INDEX, tab_name="Sparsity & Robustness")

    def get_plugin_apps(self) -> dict[str, Any]:
        """What answers each address."""
        pages = files.page_files()
        served = {f"/static/{name}": files.page_file(path) for name, path in pages.items()}
        served |= {f"/static/{files.PLOTLY}": files.plotly}
        served |= {_INDEX: files.page_file(pages["index.js"])} if "index.js" in pages else {}
        served |= {f"/{name}": self._json(*given) for name, given in _ANSWERS.items()}
        return {path: app(answer) for path, answer in served.items()}

    def _json(self, answer: Answer, known: tuple[str, ...]) -> App:
        def respond(request: wrappers.Request) -> wrappers.Response:
            question = Question(request, known)
            return as_json(request, answer(Log(self._source, self._cache, request), question))

        return respond
