"""The page in a real browser, opened from disk, with the network off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from reports.model import Report
from reports.render.html import render_html
from reports.render.index import render_index
from reports.summary.build import build_report
from tests.reports import sample
from tests.reports.browser import AXE, CHROMIUM, launch
from tests.reports.folders import write_rows
from tests.reports.six_kinds import six_kinds

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed (apt-get install chromium)")

Opened = Any

KINDS = ("plain", "spikes", "comparison", "failures", "endpoints", "short")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = launch(playwright)
        yield running
        running.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("pages")
    (home / "two.html").write_text(render_html(sample.report()), encoding="utf-8")
    (home / "one.html").write_text(render_html(sample.report(sample.run())), encoding="utf-8")
    (home / "hostile.html").write_text(render_html(sample.hostile()), encoding="utf-8")
    for kind, report in six_kinds(home / "kinds").items():
        (home / f"{kind}.html").write_text(render_html(report), encoding="utf-8")
    (home / "eight.html").write_text(render_html(eight_endpoints(home)), encoding="utf-8")
    (home / "index.html").write_text(render_index([]), encoding="utf-8")
    return home


def eight_endpoints(home: Path) -> Report:
    """A run of eight endpoints, of which the second slows down and the third fails."""
    count, names = 4_000, [f"/e{at}" for at in range(8)]
    which = [at % 8 for at in range(count)]
    at_s = [at * 0.02 for at in range(count)]
    slow = [kind == 1 and 40 <= second < 55 for kind, second in zip(which, at_s, strict=True)]
    folder = write_rows(
        home / "runs",
        latency_us=[(kind + 1) * 10_000 * (20 if late else 1) for kind, late in zip(which, slow, strict=True)],
        start_s=at_s,
        name=[names[kind] for kind in which],
        outcome=["http_error" if kind == 2 and at % 16 == 2 else "ok" for at, kind in enumerate(which)],
        status=[500 if kind == 2 and at % 16 == 2 else 200 for at, kind in enumerate(which)],
    )
    return build_report([folder.path])


@pytest.fixture
def opened(browser: Browser, pages: Path) -> Opened:
    @contextmanager
    def open_page(name: str = "two", width: int = 1280, height: int = 900, **options: Any) -> Iterator[Page]:
        """Open a page, and check at the end that it reported no error and requested nothing but itself."""
        context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **options)
        page = context.new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        url = (pages / f"{name}.html").as_uri()
        page.goto(url)
        if name != "index":
            page.wait_for_selector("html[data-ready]", timeout=20_000)
        yield page
        assert said == []
        assert asked == [url]
        context.close()

    return open_page


def canvases(page: Page) -> list[str]:
    """Return the image data of each chart over time."""
    found: list[str] = page.eval_on_selector_all(
        ".chart[tabindex] canvas", "all => all.map(canvas => canvas.toDataURL())"
    )
    return found


def shown(page: Page) -> str:
    return page.inner_text("#range")


def test_every_chart_is_drawn_without_a_word_on_the_console_or_a_request(opened: Opened) -> None:
    with opened() as page:
        inked = page.eval_on_selector_all(
            ".chart canvas",
            """all => all.map(canvas => {
                const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                return data.some(value => value !== 0);
            })""",
        )
        assert len(inked) == page.locator(".chart").count() >= 10
        assert all(inked)


def test_the_page_lets_nothing_else_run_or_be_fetched(browser: Browser, pages: Path) -> None:
    """The policy in the page blocks any script that is not its own, and any fetch, even of another file."""
    context = browser.new_context(offline=False)
    page = context.new_page()
    page.goto((pages / "two.html").as_uri())
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate("fetch(location.href).then(() => 'fetched', () => 'refused')") == "refused"
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
        }"""
    )
    assert page.evaluate("window.ran") is None
    context.close()


def test_one_endpoint_can_be_looked_at_alone(opened: Opened) -> None:
    """The charts of latency, throughput and failures show the endpoint's own lines, and say so.

    The other charts are unchanged, and `all` restores the lines of the run.
    """
    with opened("eight") as page:
        before = dict(zip(ids_of(page), canvases(page), strict=True))
        page.select_option("#endpoint", "POST /e1")
        alone = dict(zip(ids_of(page), canvases(page), strict=True))
        changed = {name for name in before if before[name] != alone[name]}
        assert {"latency", "throughput"} <= changed <= {"latency", "throughput", "failed"}
        assert page.inner_text("figure:has(#latency) figcaption").startswith("Latency of POST /e1 ")
        page.focus("#latency")
        page.keyboard.press("Home")
        assert "p95 20 ms" in page.inner_text("#spoken")  # this endpoint's p95; the p95 of all requests is 80 ms
        page.select_option("#endpoint", "")
        assert page.inner_text("figure:has(#latency) figcaption").startswith("Latency of successful requests")
        page.keyboard.press("Escape")


def test_the_heatmap_is_drawn_and_has_a_table(opened: Opened) -> None:
    with opened("eight") as page:
        page.click("#heatmap-table summary")
        heads = page.locator("#heatmap-table th").all_inner_texts()
        assert heads[0] == "elapsed"
        assert len(heads) == 41
        cells = page.locator("#heatmap-table td").all_inner_texts()
        counts = [int(text.replace(",", "")) for at, text in enumerate(cells) if at % 41]
        assert sum(counts) == 4_000 - 250


def ids_of(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all(".chart[tabindex]", "all => all.map(chart => chart.id)")
    return found


@pytest.mark.parametrize("name", ["one", "two"])
def test_the_first_screen_holds_the_answers_and_the_first_chart(opened: Opened, name: str) -> None:
    with opened(name, height=800) as page:
        assert page.locator(".card").count() == 4
        assert page.evaluate("document.querySelector('#latency').getBoundingClientRect().bottom") <= 800


def test_a_click_on_a_spike_zooms_every_chart_to_it(opened: Opened) -> None:
    """The second spike lasts from 1:03 to 1:24. Three quarters of the spike's length are shown on either side."""
    with opened() as page:
        before = canvases(page)
        page.click(".stacked tbody tr:nth-child(2) button")
        assert shown(page) == "0:47 to 1:40"
        assert all(now != then for now, then in zip(canvases(page), before, strict=True))
        page.click("#whole")
        assert shown(page) == "the whole run, 2:00"
        assert canvases(page) == before


def test_a_drag_zooms_and_a_double_click_shows_the_whole_run(opened: Opened) -> None:
    with opened() as page:
        page.locator("#throughput").scroll_into_view_if_needed()
        box = page.locator("#throughput .u-over").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + 3 * box["width"] / 4, box["y"] + 20, steps=4)
        page.mouse.up()
        assert shown(page) == "0:30 to 1:29"
        page.locator("#throughput .u-over").dblclick()
        assert shown(page) == "the whole run, 2:00"


def test_hovering_reads_every_chart_at_that_moment_in_both_clocks(opened: Opened) -> None:
    with opened() as page:
        page.locator("#latency").scroll_into_view_if_needed()
        page.locator("#latency .u-over").hover(position={"x": 100, "y": 60})
        assert "after the load began" in page.inner_text("#at")
        assert "UTC (local)" in page.inner_text("#at")
        read = page.eval_on_selector_all(
            "#at ~ figure .legend", "all => all.map(l => l.querySelector('b').textContent)"
        )
        assert all(read)


def test_the_keyboard_reads_zooms_and_returns(opened: Opened) -> None:
    with opened() as page:
        page.focus("#latency")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+ArrowRight")
        assert page.inner_text("#spoken").startswith("0:10: p50 · local ")
        page.keyboard.press("+")
        assert shown(page) != "the whole run, 2:00"
        page.keyboard.press("0")
        assert shown(page) == "the whole run, 2:00"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"  # a chart does not keep the focus


def test_a_line_can_be_taken_out_by_its_name_in_the_legend(opened: Opened) -> None:
    with opened() as page:
        before = canvases(page)
        button = page.locator("figure:has(#latency) .legend button").first
        button.focus()
        page.keyboard.press("Enter")
        assert button.get_attribute("aria-pressed") == "false"
        after = canvases(page)
        assert after[0] != before[0]
        assert after[1:] == before[1:]


def test_the_clock_turns_to_utc_and_the_latency_to_a_logarithm(opened: Opened) -> None:
    with opened("one") as page:
        before = canvases(page)
        page.click("#log")  # on from the start, because the values span more than a factor of 30
        logarithmic = canvases(page)
        assert logarithmic[0] != before[0]
        assert logarithmic[1:] == before[1:]
        page.click("#clock")
        page.click(".stacked tbody tr:nth-child(2) button")
        assert shown(page) == "10:15:47 to 10:16:40"


def test_dark_and_light_follow_the_system_and_the_button(opened: Opened) -> None:
    with opened(color_scheme="dark") as page:
        dark, drawn = page.evaluate("getComputedStyle(document.body).backgroundColor"), canvases(page)
        page.click("#theme")  # auto → light
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert canvases(page)[0] != drawn[0]
        page.click("#theme")  # light → dark
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
        assert canvases(page) == drawn


def test_paper_is_light_has_no_controls_and_shows_what_was_folded(opened: Opened) -> None:
    with opened(color_scheme="dark") as page:
        assert page.pdf(format="A4").startswith(b"%PDF")
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.locator("nav").is_hidden()
        assert page.locator(".controls").is_hidden()
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not(.data):not([open])").count() == 0
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("details[open]:not(.part)").count() == 0


@pytest.mark.parametrize("name", ["two", "hostile", "index"])
def test_a_phone_needs_no_sideways_scrolling(opened: Opened, name: str) -> None:
    with opened(name, width=390, height=844) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_hostile_names_are_shown_as_text(opened: Opened) -> None:
    """Markup in names, messages, labels and notes is shown as text, and never interpreted by the browser."""
    with opened("hostile") as page:
        assert page.locator("img").count() == 0
        assert page.locator("script").count() == 3  # the data, uPlot, and the page's own script
        for where in (
            "h1",
            ".note",
            *(f"details:has(#{part}) .scroll" for part in ("endpoints", "failures", "instances")),
        ):
            assert "<img src=x onerror=alert(1)>" in page.locator(where).first.inner_text()
        assert "<img src=x" in page.locator(".legend").first.inner_text()


def test_every_number_of_a_chart_is_in_its_table_and_a_gap_stays_a_gap(opened: Opened) -> None:
    """Two runs of 120 s are measured each second, except at 60 s, 61 s and 62 s."""
    with opened() as page:
        page.click("#latency-table summary")
        rows = page.locator("#latency-table tbody tr")
        rows.first.wait_for()  # the browser fires the event after the click, and then the page fills the table
        assert rows.count() == 120
        cells = rows.all_inner_texts()
        assert [at for at, row in enumerate(cells) if "–" in row] == [60, 61, 62]
        assert cells[61].split()[:2] == ["1:01", "10:16:01"]


@pytest.mark.parametrize("name", KINDS)
def test_a_page_of_a_few_minutes_is_small(pages: Path, name: str) -> None:
    """The page has at most 200 KB, of which 60 KB are the script of the charts."""
    assert (pages / f"{name}.html").stat().st_size <= 200_000


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_report_answers_on_its_first_screen(opened: Opened, name: str) -> None:
    """The verdict, the spikes and the top of the first chart are visible without scrolling, at 1280 × 800."""
    with opened(name, height=800) as page:
        for answer in ("Did it hold?", "p95 spikes"):
            box = page.locator(".card h3", has_text=answer).bounding_box()
            assert box is not None
            assert box["y"] < 400
        chart = page.locator("#latency").bounding_box()
        assert chart is not None
        assert chart["y"] < 640


def test_an_hour_is_painted_within_a_second(browser: Browser, tmp_path: Path) -> None:
    """The browser's own clock measures the first paint, which contains text."""
    path = tmp_path / "hour.html"
    hour = sample.run(series=sample.series(3600, 20.0, cloud=True), duration_s=3600.0)
    path.write_text(render_html(sample.report(hour)), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]")
    paints = page.evaluate("performance.getEntriesByType('paint').map(one => [one.name, one.startTime])")
    page.close()
    found = dict(paints)
    assert found["first-contentful-paint"] < 1000


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed (npm ci --prefix tests)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["two", "one", "index", *KINDS])
def test_axe_finds_no_serious_barrier(opened: Opened, name: str, scheme: str) -> None:
    with opened(name, color_scheme=scheme, bypass_csp=True) as page:
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("async () => (await axe.run()).violations.map(v => [v.impact, v.id, v.nodes[0].html])")
        assert [item for item in found if item[0] in ("serious", "critical")] == []
