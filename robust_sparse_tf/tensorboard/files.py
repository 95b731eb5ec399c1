"""The files of the page, and the chart library that the package plotly carries."""

import functools
import gzip
import importlib.util
from pathlib import Path

from tensorboard.backend import http_util
from werkzeug import wrappers

from robust_sparse_tf.tensorboard.answers import App
from robust_sparse_tf.tensorboard.questions import NotFound

PAGE = Path(__file__).parent / "page"
PLOTLY = "plotly.min.js"
DAY = 24 * 60 * 60  # seconds
TYPES = {".js": "text/javascript", ".css": "text/css"}

NO_PLOTLY = (
    "the charts need the package plotly, which is not installed: "
    "pip install 'robust_sparse_tf[board]'"
)


def page_files() -> dict[str, Path]:
    """The files of the page by their names under its folder."""
    found = sorted(path for path in PAGE.rglob("*") if path.suffix in TYPES)
    return {path.relative_to(PAGE).as_posix(): path for path in found}


def page_file(path: Path) -> App:
    """Answers with a file of the page."""

    def answer(request: wrappers.Request) -> wrappers.Response:
        return http_util.Respond(request, path.read_bytes(), TYPES[path.suffix])

    return answer


def plotly(request: wrappers.Request) -> wrappers.Response:
    """Answers with the chart library.

    Raises:
        NotFound: where it is not installed.
    """
    packed = _plotly()
    return http_util.Respond(request, packed, TYPES[".js"], content_encoding="gzip", expires=DAY)


@functools.cache
def _plotly() -> bytes:
    """The library, packed once as it is large."""
    found = importlib.util.find_spec("plotly")
    if found is None or not found.submodule_search_locations:
        raise NotFound(NO_PLOTLY)
    path = Path(found.submodule_search_locations[0]) / "package_data" / PLOTLY
    if not path.exists():
        raise NotFound(NO_PLOTLY)
    return gzip.compress(path.read_bytes(), mtime=0)
