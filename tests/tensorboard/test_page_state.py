"""The page of the plugin: its URL, TensorBoard around it, the keyboard, logs with little."""

import shutil

import pytest
from browsing import VIEWS, Site, needs_chromium, ready, site
from page_logs import HOSTILE, write_hostile, write_rounds
from playwright.sync_api import Page, expect

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Logs of which one run has names that are code."""
    logs = tmp_path_factory.mktemp("logs")
    write_rounds(logs / "lottery", "lottery")
    write_hostile(logs)
    return logs


@pytest.fixture(scope="module")
def pages(folder):
    with site(folder, runs=3) as found:
        yield found


def _frame(page: Page):
    return page.frame_locator("iframe[src*=sparsity_robustness]")


@pytest.mark.parametrize("view", VIEWS)
def test_names_are_text_whatever_they_are(pages: Site, view):
    with pages.tab(view, run=HOSTILE) as page:
        assert page.evaluate("window.broken") is None
        expect(page.locator("#view script, #side script")).to_have_count(0)
        expect(page.locator("#view")).to_contain_text("script>")
        expect(page.locator(".panel.error")).to_have_count(0)


def test_numbers_that_are_not_finite_are_shown_as_such(pages: Site):
    with pages.tab("runs") as page:
        row = page.locator("tbody tr").filter(has_text=HOSTILE)
        expect(row).to_contain_text("NaN")
    with pages.tab("checks", run=HOSTILE) as page:
        expect(page.get_by_role("cell", name="Infinity")).to_be_visible()


def test_a_view_is_restored_from_its_url(pages: Site):
    with pages.tab("masks", run="lottery/round_00") as page:
        page.locator("#mask-step").press("Home")
        page.locator("#mask-step").press("ArrowRight")
        page.locator("#mask-layer").select_option("conv")
        page.get_by_label("Colour of lottery/round_01").fill("#123456")
        page.get_by_role("checkbox", name="Draw lottery/round_00").uncheck()
        expect(page.locator("summary", has_text="2 of 3 drawn")).to_be_visible()
        page.reload()
        ready(page, "masks")
        expect(page.locator("#mask-summary")).to_contain_text("step 100")
        expect(page.locator("summary", has_text="2 of 3 drawn")).to_be_visible()
        expect(page.get_by_label("Colour of lottery/round_01")).to_have_value("#123456")


@pytest.mark.parametrize("hash", ["sr.view=nothing", "sr.view=masks&sr.step=%22x&sr.runs={}", "%"])
def test_a_url_that_is_wrong_shows_what_it_can(pages: Site, hash):
    with pages.open(f"data/plugin_entry.html?name=sparsity_robustness#{hash}") as page:
        expect(page.get_by_role("tab", selected=True)).to_be_visible()
        expect(page.locator("#view h2").first).to_be_visible()
        expect(page.locator(".panel.error")).to_have_count(0)


def test_in_tensorboard_the_url_around_keeps_the_view(pages: Site):
    with pages.open("#sparsity_robustness") as page:
        board = _frame(page)
        board.get_by_role("tab", name="Accuracy").click()
        expect(board.get_by_role("heading", name="Against the step")).to_be_visible()
        board.get_by_role("radio", name="Within the round").check()
        page.wait_for_url("**/#sparsity_robustness&sr.view=accuracy&sr.axis=round")
        page.reload()
        expect(board.get_by_role("tab", name="Accuracy", selected=True)).to_be_visible()
        expect(board.get_by_role("radio", name="Within the round")).to_be_checked()


def test_in_tensorboard_the_page_is_as_dark_as_it_is(pages: Site):
    with pages.open("#sparsity_robustness") as page:
        html = _frame(page).locator("html")
        expect(html).to_have_attribute("data-theme", "light")
        page.evaluate("document.body.classList.add('dark-mode')")
        expect(html).to_have_attribute("data-theme", "dark")


def test_the_keyboard_moves_through_tabs_and_runs(pages: Site):
    with pages.tab("runs") as page:
        page.get_by_role("tab", name="Runs").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="Topology")).to_be_focused()
        ready(page, "topology")
        page.keyboard.press("End")
        ready(page, "examples")
        page.keyboard.press("ArrowRight")
        ready(page, "runs")
        page.get_by_role("button", name="Density").press("Enter")
        expect(page.get_by_role("button", name="Density")).to_be_focused()
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ({"status": 404, "json": {"error": "run='x': must be one of ['a']"}}, "must be one of"),
        ({"status": 500, "body": "oops"}, "The server answered 500"),
        (None, "Is TensorBoard still running?"),
    ],
)
def test_an_error_is_one_clear_panel(pages: Site, answer, shown):
    with pages.tab("runs", allows=["Failed to load resource", "net::ERR_FAILED"]) as page:
        url = "**/topology?*"
        page.route(url, lambda route: route.fulfill(**answer) if answer else route.abort("failed"))
        page.get_by_role("tab", name="Topology").click()
        expect(page.get_by_role("alert")).to_contain_text(shown)
        page.unroute(url)
        page.get_by_role("button", name="Try again").click()
        ready(page, "topology")
        expect(page.get_by_role("alert")).to_have_count(0)


def test_runs_that_come_are_shown_after_a_reload(pages: Site, folder):
    new = folder / "new"
    with pages.tab("runs") as page:
        expect(page.get_by_text("3 runs, 3 drawn in the charts.")).to_be_visible()
        shutil.copytree(folder / "lottery" / "round_00", new)
        page.evaluate("window.isSame = true")
        for _ in range(60):
            page.get_by_role("button", name="Reload").click()
            page.wait_for_timeout(500)
            if page.get_by_text("4 runs, 4 drawn in the charts.").count():
                break
        expect(page.get_by_text("4 runs, 4 drawn in the charts.")).to_be_visible()
        assert page.evaluate("window.isSame")


def test_without_data_the_page_says_how_to_write_some(pages: Site, tmp_path):
    entry = "data/plugin_entry.html?name=sparsity_robustness#sr.view=masks"
    with pages.serve(tmp_path).open(entry) as page:
        expect(page.get_by_role("heading", name="There is nothing to show yet")).to_be_visible()
        for text in ("rst.callbacks.SparsityLog", "RobustnessLog", "python -m experiments.run"):
            expect(page.locator("pre").filter(has_text=text).first).to_be_visible()
