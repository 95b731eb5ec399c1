"""Makes the documentation's pictures of TensorBoard's plugin, from the runs of `make demo-board`.

python -m tools.board_screenshots [--logdir=FOLDER] [--output=FOLDER]
"""

import argparse
import io
import os
import shutil
import sys
import urllib.parse
from collections.abc import Mapping, Sequence

import PIL.Image
from playwright.sync_api import Page, expect, sync_playwright

from robust_sparse_tf.tensorboard import serving

LARGEST = 300_000
"""Bytes of a picture."""

ENTRY = "data/plugin_entry.html?name=sparsity_robustness"
WIDE, PHONE = (1440, 900), (390, 844)
PICTURES = (
    # name, size, colours, what the URL says
    ("runs", WIDE, "light", {"view": "runs"}),
    ("topology", WIDE, "light", {"view": "topology", "run": "rigl"}),
    ("masks", WIDE, "light", {"view": "masks", "run": "rigl", "compare": "step"}),
    ("accuracy", WIDE, "light", {"view": "accuracy", "run": "round_03"}),
    ("tradeoffs", WIDE, "dark", {"view": "tradeoffs"}),
    ("checks", WIDE, "light", {"view": "checks", "run": "rigl"}),
    ("examples", WIDE, "dark", {"view": "examples", "run": "rigl", "attack": "pgd"}),
    ("phone", PHONE, "dark", {"view": "accuracy", "run": "rigl"}),
)


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--logdir", default="build/demo-board", help="of the runs")
    parser.add_argument("--output", default="docs/images", help="folder of the pictures")
    arguments = parser.parse_args(argv)
    url = serving.start(arguments.logdir, port=0)
    os.makedirs(arguments.output, exist_ok=True)
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name, (width, height), scheme, state in PICTURES:
            size = {"width": width, "height": height}
            page = browser.new_page(viewport=size, color_scheme=scheme)
            where = os.path.join(arguments.output, f"board-{name}.png")
            _open(page, url, state)
            _save(page.screenshot(), where)
            print(where)
        browser.close()


def _open(page: Page, url: str, state: Mapping[str, str]) -> None:
    """Shows a view; a run is named by a part of its name."""
    page.set_default_timeout(120_000)
    page.goto(url + ENTRY)
    rows = page.locator("tbody button.name")
    expect(rows.first).to_be_visible(timeout=120_000)
    names = [row.get_attribute("title").removeprefix("Look at ") for row in rows.all()]
    found = next((each for each in names if state.get("run", "?") in each), names[0])
    whole = {**state, "run": found}
    kept = "&".join(f"sr.{key}={urllib.parse.quote(text)}" for key, text in whole.items())
    page.goto("about:blank")
    page.goto(f"{url}{ENTRY}#{kept}")
    expect(page.locator(f"body[data-view={state['view']}] #view > *").first).to_be_visible()
    expect(page.locator(".plot:not([data-drawn])")).to_have_count(0, timeout=120_000)
    page.wait_for_load_state("networkidle")


def _save(png: bytes, path: str) -> None:
    """Writes a picture, with 256 colours where it would be too large."""
    if len(png) > LARGEST:
        packed = io.BytesIO()
        PIL.Image.open(io.BytesIO(png)).convert("RGB").quantize(256).save(packed, "PNG")
        png = packed.getvalue()
    if len(png) > LARGEST:
        raise SystemExit(f"{path}: {len(png)} bytes, allowed are {LARGEST}")
    with open(path, "wb") as file:
        file.write(png)


if __name__ == "__main__":
    main(sys.argv[1:])
