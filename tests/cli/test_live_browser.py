"""The live page in a real browser: it follows a run and becomes its report without a reload."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from loadtest.cli.live import LivePage
from loadtest.recording.folder import RunFolder
from reports.live.follow import LiveRun
from reports.render.html import render_html
from reports.summary.build import build_report
from tests.recording.live import flushed, load_line, looked, running_record, sealed_copy
from tests.reports.browser import AXE, CHROMIUM, launch

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed (apt-get install chromium)")

SECONDS = 40


def test_a_page_follows_a_run_and_ends_as_its_report(tmp_path: Path) -> None:
    """The page is not reloaded, a zoom survives later updates, and the policy blocks no script and no style."""
    frames, lines = flushed(SECONDS), [load_line(at) for at in range(SECONDS)]
    run = LiveRun(RunFolder.create(tmp_path / "on", running_record(SECONDS)))
    with sync_playwright() as playwright, LivePage() as live:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        said: list[str] = []
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(live.url)
        page.evaluate("window.opened = 'once'")
        live.wait_for("waiting for the service")
        contains(page, "#state", "Starting: waiting for the service")
        live.follow(run, float(SECONDS))

        def goes_on(begin: int, end: int) -> None:
            for at in range(begin, end):
                look = looked(at + 1.0, [frames[at]], [lines[at]])
                run.add(look)
            live._told_s = 0.0
            live.show(look, waits_for="", ending=False)

        goes_on(0, 20)
        page.wait_for_selector("html[data-ready]", timeout=60_000)
        contains(page, "#tiles", "0:20")
        contains(page, "#events", "a new instance answered for the first time")
        contains(page, "#body", "This run is still in progress")
        contains(page, "#failures ~ *, .part", "HTTP 500")
        page.locator("#latency").focus()
        page.keyboard.press("+")
        zoomed = page.locator("#range").text_content()
        assert zoomed is not None
        assert "whole run" not in zoomed
        goes_on(20, SECONDS)
        contains(page, "#tiles", "0:40")
        assert page.locator("#range").text_content() == zoomed
        page.click("#whole")
        contains(page, "#range", "the whole run, 0:4")
        if AXE.exists():
            page.evaluate(AXE.read_text(encoding="utf-8"))
            found = page.evaluate("axe.run().then((result) => result.violations)")
            assert [item["id"] for item in found if item["impact"] in ("serious", "critical")] == []

        ended = sealed_copy(tmp_path / "over", frames, lines, running_record(SECONDS))
        report = tmp_path / "report.html"
        report.write_text(render_html(build_report([ended.path])), encoding="utf-8")
        live.finish(report)
        assert live._fetched.is_set()
        page.locator("#live").wait_for(state="detached")
        page.wait_for_selector("html[data-ready]", timeout=30_000)
        assert page.evaluate("window.opened") == "once"
        contains(page, "header", "ramp300")
        contains(page, "main", "Did it hold?")
        assert page.locator(".chart canvas").count() >= 5
        page.locator("#latency").focus()
        page.keyboard.press("+")
        assert "whole run" not in (page.locator("#range").text_content() or "")
        assert said == []
        browser.close()


def test_a_run_in_which_nothing_has_succeeded_yet_is_shown(tmp_path: Path) -> None:
    """Without a latency, the page has no main chart and no controls. The other charts are drawn nevertheless."""
    run = LiveRun(RunFolder.create(tmp_path, running_record(SECONDS)))
    with sync_playwright() as playwright, LivePage() as live:
        browser = launch(playwright)
        page = browser.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(live.url)
        live.follow(run, float(SECONDS))
        for at, frame in enumerate(flushed(6, failed_ratio=1.0)):
            look = looked(at + 1.0, [frame], [load_line(at)])
            run.add(look)
            live._told_s = 0.0
            live.show(look, waits_for="", ending=False)
        page.wait_for_selector("html[data-ready]", timeout=60_000)
        assert page.locator("#latency").count() == 0
        assert page.locator("#failed canvas").count() == 1
        page.locator("#failed").focus()
        page.keyboard.press("Home")
        assert said == []
        browser.close()


def contains(page: Page, selector: str, text: str) -> None:
    page.locator(selector, has_text=text).first.wait_for(state="attached", timeout=30_000)
