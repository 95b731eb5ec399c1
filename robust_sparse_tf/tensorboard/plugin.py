"""The plugin as TensorBoard knows it: its tab, and what answers each of its addresses."""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from robust_sparse_tf.summaries import log_format
from robust_sparse_tf.tensorboard import (
    accuracy,
    examples,
    files,
    masks,
    reports,
    runs,
    tables,
    topology,
)
from robust_sparse_tf.tensorboard.answers import App, app, as_csv, as_json, as_png
from robust_sparse_tf.tensorboard.cache import Cache
from robust_sparse_tf.tensorboard.questions import Question
from robust_sparse_tf.tensorboard.reading import MOST_POINTS, Log

ROOM = 128 * 2**20
"""Bytes of values that are kept in memory."""

_INDEX = "/index.js"


class Route(NamedTuple):
    """How an address is answered."""

    answer: Callable[[Log, Question], Any]
    send: Callable[[wrappers.Request, Any], wrappers.Response]
    asked: tuple[str, ...]  # the parameters that it knows


_ROUTES = {
    "runs": Route(runs.answer, as_json, ("offset", "limit")),
    "topology": Route(topology.answer, as_json, ("run", "points")),
    "network": Route(topology.network, as_json, ("run", "points")),
    "masks": Route(masks.layers, as_json, ("run",)),
    "mask": Route(masks.image, as_png, ("run", "layer", "step")),
    "inputs": Route(masks.inputs, as_json, ("run", "layer", "step")),
    "accuracy": Route(accuracy.answer, as_json, ("run",)),
    "reports": Route(reports.answer, as_json, ("run",)),
    "examples": Route(examples.sets, as_json, ("run",)),
    "example": Route(examples.image, as_png, ("run", "tag", "step", "image", "part")),
    "csv": Route(tables.answer, as_csv, ("kind", "measure")),
}


class BoardLoader(base_plugin.TBLoader):
    """Loads the plugin, and has TensorBoard keep enough points for it."""

    def fix_flags(self, flags: argparse.Namespace) -> None:
        """Asks for as many points as a run of 2,000 steps logs; a user's own number stays."""
        flags.samples_per_plugin.setdefault(log_format.PLUGIN, MOST_POINTS)

    def load(self, context: base_plugin.TBContext) -> base_plugin.TBPlugin:
        """The plugin."""
        return BoardPlugin(context)


class BoardPlugin(base_plugin.TBPlugin):
    """Sparsity and robustness of networks while they train."""

    plugin_name = log_format.PLUGIN

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
        """The handler of each address."""
        pages = files.page_files()
        served = {f"/static/{name}": files.page_file(path) for name, path in pages.items()}
        served |= {f"/static/{files.PLOTLY}": files.plotly}
        served |= {_INDEX: files.page_file(pages["index.js"])} if "index.js" in pages else {}
        served |= {f"/{name}": self._app(route) for name, route in _ROUTES.items()}
        return {path: app(answer) for path, answer in served.items()}

    def _app(self, route: Route) -> App:
        def respond(request: wrappers.Request) -> wrappers.Response:
            log = Log(self._source, self._cache, request)
            return route.send(request, route.answer(log, Question(request, route.asked)))

        return respond
