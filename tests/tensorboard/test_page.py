"""The page of the plugin, with data: each view, and what is done in it."""

import csv
import io

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import VIEWS, Site, chart, needs_chromium, ready, site
from page_logs import write_rounds, write_trained
from playwright.sync_api import expect

pytestmark = needs_chromium

RIGL = {"run": "rigl"}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    logs = tmp_path_factory.mktemp("logs")
    write_trained(logs / "rigl")
    for seed in range(2):
        write_rounds(logs / f"lottery_{seed}", f"lottery_{seed}", seed)
    with site(logs, runs=5) as found:
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_no_view_has_a_serious_fault_for_who_reads_otherwise(pages: Site, view, scheme):
    with pages.tab(view, scheme=scheme, **RIGL) as page:
        expect(page.locator(".panel.error")).to_have_count(0)
        found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_phone_shows_all_without_scrolling_sideways(pages: Site, view):
    with pages.tab(view, width=390) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_runs_are_sorted_filtered_and_collapsed(pages: Site):
    with pages.tab("runs") as page:
        names = page.locator("tbody button.name")
        expect(names).to_have_count(5)
        page.get_by_role("button", name="Density").click()
        column = page.get_by_role("columnheader", name="Density")
        expect(column).to_have_attribute("aria-sort", "descending")
        expect(names.last).to_have_text("rigl")
        page.get_by_role("button", name="Density").click()
        expect(column).to_have_attribute("aria-sort", "ascending")
        expect(names.first).to_have_text("rigl")

        page.locator("#filter").fill("seed lottery_1")
        expect(names).to_have_count(0)
        page.locator("#filter").fill("lottery_1")
        expect(names).to_have_count(2)
        expect(page.locator("#filter")).to_be_focused()
        page.locator("#filter").fill("")

        page.get_by_role("button", name="Collapse groups").click()
        expect(names).to_have_count(1)
        group = page.locator("tr.group").filter(has_text="lottery_0")
        expect(group.get_by_title("mean of the group").first).to_have_text("75.0 %")
        page.get_by_role("button", name="lottery_0", exact=False).first.click()
        expect(names).to_have_count(3)


def test_the_table_of_runs_shows_costs_accuracies_and_warnings(pages: Site):
    with pages.tab("runs") as page:
        row = page.locator("tr").filter(has=page.get_by_role("button", name="lottery_0/round_01"))
        for text in ("lottery", "50.0 %", "88.0 %", "55.0 %", "45.0 %", "1.5"):
            expect(row).to_contain_text(text)
        row.get_by_role("button", name="1 failed").click()
        ready(page, "checks")
        expect(page.get_by_role("heading", level=2).first).to_contain_text("lottery_0/round_01")


def test_runs_are_picked_and_coloured(pages: Site):
    with pages.tab("topology", **RIGL) as page:
        page.get_by_role("button", name="None").click()
        expect(page.locator("summary", has_text="0 of 5 drawn")).to_be_visible()
        page.get_by_role("checkbox", name="Draw rigl").press("Space")
        expect(page.locator("summary", has_text="1 of 5 drawn")).to_be_visible()
        ready(page, "topology")
        page.get_by_label("Colour of rigl").fill("#ff0000")
        expect(chart(page, "Density").locator("path.js-line")).to_have_css(
            "stroke", "rgb(255, 0, 0)"
        )


def test_a_line_names_its_run_and_a_click_picks_it(pages: Site):
    with pages.tab("topology", **RIGL) as page:
        plot = chart(page, "Density").locator(".nsewdrag")
        box = plot.bounding_box()
        # the first round of each lottery keeps all: its line is at the top
        at = (box["x"] + box["width"] - 1, box["y"] + 0.06 * box["height"])
        page.mouse.move(at[0] - 5, at[1])
        page.mouse.move(*at)
        expect(page.locator(".hovertext").first).to_contain_text("round_00")
        page.mouse.click(*at)
        expect(page.get_by_role("heading", level=2).first).to_contain_text("round_00")


def test_topology_over_layers(pages: Site):
    with pages.tab("topology", **RIGL) as page:
        expect(chart(page, "Density by layer and step")).to_contain_text("hidden")
        page.get_by_role("radio", name="Layer of rigl").check()
        ready(page, "topology")
        for title in ("Churn", "Exploration", "Units without inputs", "Units without outputs"):
            expect(chart(page, title).locator(".legend")).to_contain_text("hidden")
        page.get_by_role("radio", name="Run, whole network").check()
        expect(chart(page, "Multiply-adds")).to_contain_text("rigl")


def test_masks_move_with_the_slider_and_are_compared(pages: Site):
    with pages.tab("masks", **RIGL) as page:
        summary = page.locator("#mask-summary")
        expect(summary).to_contain_text("hidden at step 40: 64 inputs by 24 outputs")
        page.locator("#mask-step").press("Home")
        expect(summary).to_contain_text("step 10")
        page.locator("#mask-step").press("ArrowRight")
        expect(summary).to_contain_text("step 20")
        expect(page.get_by_role("img", name="Input: 8 by 8 places")).to_be_visible()

        page.locator("#mask-compare").select_option("step")
        expect(summary).to_contain_text("only here")
        page.locator("#mask-other").press("End")
        expect(summary).to_contain_text("Compared with step 40")
        page.locator("#mask-compare").select_option(label="lottery_0/round_00")
        expect(page.get_by_role("note")).to_contain_text("has no layer hidden")

        page.locator("#mask-compare").select_option("")
        page.locator("#play").click()
        expect(summary).to_contain_text("step 40")
        expect(page.locator("#play")).to_have_text("Play")
        page.locator("#mask-layer").select_option("logits")
        expect(summary).to_contain_text("logits at step 40: 24 inputs by 10 outputs")


def test_empty_rows_and_columns_of_masks_are_told(pages: Site):
    with pages.tab("masks", run="lottery_0/round_00") as page:
        expect(page.locator("#mask-summary")).to_contain_text(
            "Every input keeps a weight; 1 of 6 outputs keeps none"
        )


def test_accuracies_by_step_epsilon_and_split(pages: Site):
    with pages.tab("accuracy", run="lottery_0/round_01") as page:
        for title in ("Clean", "Under pgd", "Under fgsm"):
            expect(chart(page, title)).to_be_visible()
        expect(page.get_by_text("Dotted lines: where round 1 begins.")).to_be_visible()
        worst = chart(page, "Worst case over all attacks, linf")
        expect(worst).to_contain_text("lottery_0/round_01 45.0 % (40.0 % to 50.0 %)")
        expect(worst.locator(".errorbar").first).to_be_visible()
        page.locator("#epsilon-attack").select_option("pgd")
        expect(chart(page, "pgd, linf")).to_contain_text("lottery_0/round_01 50.0 %")
        robust = chart(page, "Robust accuracy")
        expect(robust).to_contain_text("points lost since the best step: robust overfitting")
        expect(robust).to_contain_text("best step 400")
        page.get_by_role("radio", name="Within the round").check()
        expect(page.get_by_text("Dotted lines")).to_have_count(0)


def test_trade_offs_have_a_front_and_tickets_their_deviations(pages: Site):
    with pages.tab("tradeoffs", attack="pgd") as page:
        for title in ("Density", "Multiply-adds", "Weights", "TFLite file", "Latency"):
            expect(chart(page, title)).to_contain_text("On the Pareto front")
        tickets = page.locator(".section").filter(has_text="Lottery tickets by strategy")
        expect(tickets).to_contain_text("± 0.0 at density 50.0 % (2 trials)")
        page.get_by_role("radio", name="Linear").check()
        ready(page, "tradeoffs")


def test_checks_say_what_was_found_what_it_means_and_what_to_do(pages: Site):
    with pages.tab("checks", run="lottery_0/round_00") as page:
        failed = page.locator(".check").filter(has_text="Transfer")
        for text in ("failed", "0.5 against 0.4", "gradients may be masked", "run square"):
            expect(failed).to_contain_text(text)
        for status in ("passed", "not run"):
            expect(page.locator(".check").filter(has_text=status)).to_have_count(1)
        expect(page.get_by_text("1 of 3 checks failed")).to_be_visible()
        expect(page.get_by_text("accuracy rises with epsilon")).to_be_visible()


def test_examples_move_with_epsilon(pages: Site):
    with pages.tab("examples", **RIGL, attack="pgd") as page:
        summary = page.locator("#examples-summary")
        expect(summary).to_contain_text("epsilon 0.1")
        page.locator("#examples-epsilon").press("ArrowLeft")
        expect(summary).to_contain_text("epsilon 0.05")
        size = "async image => { await image.decode(); return image.naturalWidth; }"
        for image in page.locator(".example").first.locator("img").all():
            assert image.evaluate(size) == 8
        for text in ("Label", "Before", "After", "Distance", "Enlarged"):
            expect(page.locator(".example").first).to_contain_text(text)


def test_what_is_drawn_is_saved(pages: Site, tmp_path):
    with pages.tab("accuracy", **RIGL) as page:
        figure = chart(page, "Under pgd")
        starts = {"PNG": b"\x89PNG", "SVG": b"<svg", "CSV": b"run,round,step,phase,accuracy\r\n"}
        for kind, start in starts.items():
            with page.expect_download() as download:
                figure.get_by_role("button", name=kind, exact=False).first.click()
            path = tmp_path / kind
            download.value.save_as(path)
            assert download.value.suggested_filename == f"under-pgd.{kind.lower()}"
            assert path.read_bytes().startswith(start)
        lines = list(csv.DictReader(io.StringIO((tmp_path / "CSV").read_text())))
        assert {line["run"] for line in lines} >= {"rigl", "lottery_0/round_00"}
        with page.expect_download() as download:
            figure.get_by_role("link", name="Save the data of all runs as CSV").click()
        download.value.save_as(tmp_path / "all")
        assert "rigl" in (tmp_path / "all").read_text()


def test_the_table_of_runs_is_saved(pages: Site, tmp_path):
    with pages.tab("runs", filter="nothing has this") as page:
        with page.expect_download() as download:
            page.get_by_role("link", name="Save all runs as CSV").click()
        download.value.save_as(tmp_path / "runs.csv")
    with open(tmp_path / "runs.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 5


def test_a_chart_has_its_data_as_a_table(pages: Site):
    with pages.tab("topology", **RIGL) as page:
        figure = chart(page, "Churn")
        figure.locator("summary").press("Enter")
        expect(figure.get_by_role("cell", name="rigl").first).to_be_visible()
