"""Photograph a report for the README: `python -m docs.screenshots [RUN ...]`.

Without names: the newest pair in runs/, which `make story` records. Writes docs/img/report-*.png: the first screen in
light, the charts zoomed to a spike in dark, the first screen of a phone, the first page of paper.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from loadtest.recording.catalogue import find_run
from loadtest.recording.choice import newest_pair
from reports.render.html import render_html
from reports.summary.build import build_report
from tests.reports.browser import launch

RUNS = Path("runs")
IMAGES = Path(__file__).with_name("img")
A4_WIDTH, A4_HEIGHT = 794, 1123  # px at 96 dpi


def main() -> None:
    """Render the report and take the four pictures."""
    folders = [find_run(RUNS, name) for name in sys.argv[1:]] or newest_pair(RUNS)[0]
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        page = Path(home) / "report.html"
        page.write_text(render_html(build_report([folder.path for folder in folders])), encoding="utf-8")
        browser = launch(playwright)
        _shoot(browser, page.as_uri())
        browser.close()


def _shoot(browser: Browser, url: str) -> None:
    light = _opened(browser, url, 1280, 800)
    light.screenshot(path=IMAGES / "report-light.png")
    dark = _opened(browser, url, 1280, 800, scheme="dark")
    spike = dark.locator(".stacked button")
    if spike.count():
        spike.first.click()
    dark.locator("#over-time").scroll_into_view_if_needed()
    dark.locator("#latency .u-over").hover(position={"x": 420, "y": 60})
    dark.screenshot(path=IMAGES / "report-dark.png")
    phone = _opened(browser, url, 390, 844)
    phone.screenshot(path=IMAGES / "report-phone.png")
    paper = _opened(browser, url, A4_WIDTH, A4_HEIGHT)
    paper.emulate_media(media="print")
    paper.evaluate("document.body.style.padding = '53px 45px'")  # the margins of @page, which only paper has
    paper.evaluate("dispatchEvent(new Event('beforeprint'))")
    paper.screenshot(path=IMAGES / "report-print.png")


def _opened(browser: Browser, url: str, width: int, height: int, *, scheme: str = "light") -> Page:
    page = browser.new_page(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    return page


if __name__ == "__main__":
    main()
