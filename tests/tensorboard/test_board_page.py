"""The files of the page as they are served, and as a wheel has them."""

import configparser
import importlib.util
from pathlib import Path

import pytest

from robust_sparse_tf.tensorboard import files, plugin

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", files.page_files())
def test_files_of_the_page(board, name):
    answer = board.get(f"static/{name}")
    assert (answer.status_code, answer.data) == (200, (files.PAGE / name).read_bytes())
    assert answer.mimetype == ("text/javascript" if name.endswith(".js") else "text/css")


def test_the_module_that_tensorboard_loads(board):
    assert board.get("index.js").data == board.get("static/index.js").data


def test_the_chart_library(board):
    answer = board.get("static/plotly.min.js")
    assert (answer.status_code, answer.mimetype) == (200, "text/javascript")
    assert b"plotly.js v" in answer.data[:200]


def test_without_the_chart_library(board, monkeypatch):
    files._plotly.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'robust_sparse_tf[board]'" in board.refused(404, "static/plotly.min.js")


def test_a_wheel_has_the_page_and_tells_tensorboard_of_it():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    patterns = setup["options.package_data"]["robust_sparse_tf.tensorboard"].split()
    packed = {path for pattern in patterns for path in files.PAGE.parent.glob(pattern)}
    assert packed == set(files.page_files().values())
    entry = setup["options.entry_points"]["tensorboard_plugins"].strip()
    assert entry == f"sparsity_robustness = {plugin.__name__}:{plugin.BoardLoader.__name__}"
