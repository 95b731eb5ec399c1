"""Answers to requests: JSON, CSV and images, and errors as JSON with a reason."""

import functools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from tensorboard.backend import http_util
from werkzeug import wrappers

from robust_sparse_tf.errors import InputError
from robust_sparse_tf.tensorboard.questions import NotFound

EXACT = 2.0**53
"""Whole numbers below it are exact as floats."""

App = Callable[[wrappers.Request], wrappers.Response]


def as_json(request: wrappers.Request, value: Any, code: int = 200) -> wrappers.Response:
    """JSON; numbers have to be finite, see `finite`."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return http_util.Respond(request, text, "application/json", code=code)


def as_csv(request: wrappers.Request, table: tuple[str, str]) -> wrappers.Response:
    """A table: the name under which a browser saves it, and its text."""
    name, text = table
    headers = [("Content-Disposition", f'attachment; filename="{name}.csv"')]
    # a name may have half a surrogate pair, which UTF-8 has not
    encoded = text.encode("utf-8", "replace")
    return http_util.Respond(request, encoded, "text/csv", headers=headers)


def as_png(request: wrappers.Request, image: bytes) -> wrappers.Response:
    """An image."""
    return http_util.Respond(request, image, "image/png")


def finite(array: np.ndarray) -> list[Any]:
    """Nested lists of an array's numbers, NaN and infinities as strings, whole ones as integers."""
    if np.isfinite(array).all():
        whole = (array == np.round(array)) & (np.abs(array) < EXACT)
        return array.astype(np.int64).tolist() if whole.all() else array.tolist()
    mixed = array.astype(object)
    mixed[np.isnan(array)] = "NaN"
    mixed[np.isposinf(array)] = "Infinity"
    mixed[np.isneginf(array)] = "-Infinity"
    return mixed.tolist()


def app(answer: App) -> Callable[[Any, Any], Any]:
    """A WSGI application from a function, with reasons where it cannot answer."""

    @wrappers.Request.application
    @functools.wraps(answer)
    def guarded(request: wrappers.Request) -> wrappers.Response:
        if request.method not in ("GET", "HEAD"):
            reason = f"the method is {request.method}, allowed: GET, HEAD"
            return as_json(request, {"error": reason}, 405)
        try:
            return answer(request)
        except NotFound as error:
            return as_json(request, {"error": str(error)}, 404)
        except InputError as error:
            return as_json(request, {"error": str(error)}, 400)

    return guarded
