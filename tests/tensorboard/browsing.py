"""A browser on the page: what is on it, and what must never happen in it."""

import json
import shutil
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    expect,
    sync_playwright,
)

from robust_sparse_tf.tensorboard import serving

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs the program chromium")

VIEWS = ("runs", "topology", "masks", "accuracy", "tradeoffs", "checks", "examples")

_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
_OURS = "sparsity_robustness"
_PATIENCE = 30_000  # milliseconds, for machines that do much else

expect.set_options(timeout=_PATIENCE)


class Site:
    """A server of logs and a browser.

    Attributes:
        url: of TensorBoard.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self.url = url

    def serve(self, logs: Path) -> "Site":
        """The same browser at other logs."""
        return Site(self._browser, serving.start(str(logs), port=0))

    @contextmanager
    def tab(
        self,
        view: str = "runs",
        *,
        width: int = 1280,
        scheme: str = "light",
        allows: Sequence[str] = (),
        **state: str,
    ) -> Iterator[Page]:
        """The page alone, at a view; nothing may have gone wrong when it is left.

        Args:
            view: that is shown first.
            width: of the window.
            scheme: "light" or "dark".
            allows: parts of messages of the console that are no faults.
            **state: more of what the URL keeps.
        """
        path = "data/plugin_entry.html?name=sparsity_robustness"
        kept = "&".join(f"sr.{key}={quote(text)}" for key, text in {"view": view, **state}.items())
        with self.open(f"{path}#{kept}", width=width, scheme=scheme, allows=allows) as page:
            ready(page, view)
            yield page

    @contextmanager
    def open(
        self, path: str, *, width: int = 1280, scheme: str = "light", allows: Sequence[str] = ()
    ) -> Iterator[Page]:
        """Any address of the server; see `tab`."""
        context = self._browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True
        )
        context.set_default_timeout(_PATIENCE)
        page = context.new_page()
        wrong: list[str] = []
        host = urlsplit(self.url).netloc

        def log(text: str) -> None:
            if not any(each in text for each in allows):
                wrong.append(text)

        def check(request: Request) -> None:
            parts = urlsplit(request.url)
            if parts.scheme not in ("data", "blob") and parts.netloc != host:
                log(f"request to another host: {request.url}")

        def failed(request: Request) -> None:
            if request.failure != "net::ERR_ABORTED":  # that of a page that is left
                log(f"{request.url}: {request.failure}")

        def told(line: ConsoleMessage) -> None:
            # TensorBoard's own page around ours has warnings of its own
            if line.type in ("error", "warning") and _OURS in line.location["url"]:
                log(f"console: {line.text} {line.location['url']}")

        page.on("request", check)
        page.on("requestfailed", failed)
        page.on("console", told)
        page.on("pageerror", lambda error: log(f"error: {error.stack}"))
        page.on("dialog", lambda dialog: log(f"dialog: {dialog.message}"))
        page.goto(f"{self.url}{path}")
        yield page
        context.close()
        assert not wrong, wrong


def ready(page: Page, view: str) -> None:
    """Waits until a view is there, and its charts are drawn."""
    expect(page.locator(f"body[data-view={view}] #view > *").first).to_be_visible()
    expect(page.locator(".plot:not([data-drawn])")).to_have_count(0)


def chart(page: Page, title: str) -> Locator:
    """The figure with a title."""
    heading = page.get_by_role("heading", name=title, exact=True, level=3)
    return page.locator("figure.chart").filter(has=heading)


@contextmanager
def site(logs: Path, runs: int) -> Iterator[Site]:
    """Serves logs, and starts a browser, once all runs are read."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        found = Site(browser, serving.start(str(logs), port=0))
        _wait(found.url, runs)
        yield found
        browser.close()


def _wait(url: str, runs: int) -> None:
    for _ in range(300):
        with urllib.request.urlopen(f"{url}data/plugin/sparsity_robustness/runs") as answer:
            if json.load(answer)["total"] >= runs:
                return
        time.sleep(0.1)
    raise AssertionError(f"{runs} runs are not there after 30 seconds")
