"""Take pictures of reports: `python -m docs.screenshots [RUN ...]`, or `python -m docs.screenshots --kinds`.

Without names, the command uses the newest pair in runs/, which `make story` records. For the README, it writes
docs/img/report-*.png: the first screen in light mode, the charts zoomed to a spike in dark mode, the first screen on a
phone, and the first printed page. With --kinds, it writes the first screen of each of six kinds of report
(tests/reports/six_kinds.py) in these four modes, as docs/img/kinds/*.jpg.
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
from tests.reports.six_kinds import six_kinds

RUNS = Path("runs")
IMAGES = Path(__file__).with_name("img")
A4_WIDTH, A4_HEIGHT = 794, 1123  # px at 96 dpi
JPEG_QUALITY = 50


def main() -> None:
    """Render the reports and take the pictures."""
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = launch(playwright)
        if sys.argv[1:] == ["--kinds"]:
            _shoot_kinds(browser, Path(home))
        else:
            folders = [find_run(RUNS, name) for name in sys.argv[1:]] or newest_pair(RUNS)[0]
            page = Path(home) / "report.html"
            page.write_text(render_html(build_report([folder.path for folder in folders])), encoding="utf-8")
            _shoot(browser, page.as_uri())
        browser.close()


def _shoot(browser: Browser, url: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    light = _opened(browser, url, 1280, 800)
    light.screenshot(path=IMAGES / "report-light.png")
    dark = _opened(browser, url, 1280, 800, scheme="dark")
    spike = dark.locator(".stacked button")
    if spike.count():
        spike.first.click()
    dark.locator("#over-time").scroll_into_view_if_needed()
    dark.locator("#latency .u-over").hover(position={"x": 420, "y": 60})
    dark.screenshot(path=IMAGES / "report-dark.png")
    _opened(browser, url, 390, 844).screenshot(path=IMAGES / "report-phone.png")
    _on_paper(browser, url).screenshot(path=IMAGES / "report-print.png")


def _shoot_kinds(browser: Browser, home: Path) -> None:
    (IMAGES / "kinds").mkdir(parents=True, exist_ok=True)
    for kind, report in six_kinds(home).items():
        page = home / f"{kind}.html"
        page.write_text(render_html(report), encoding="utf-8")
        url = page.as_uri()
        modes = {
            "light": _opened(browser, url, 1280, 800),
            "dark": _opened(browser, url, 1280, 800, scheme="dark"),
            "phone": _opened(browser, url, 390, 844),
            "print": _on_paper(browser, url),
        }
        for mode, opened in modes.items():
            path = IMAGES / "kinds" / f"{kind}-{mode}.jpg"
            opened.screenshot(path=path, type="jpeg", quality=JPEG_QUALITY)
            opened.close()


def _on_paper(browser: Browser, url: str) -> Page:
    paper = _opened(browser, url, A4_WIDTH, A4_HEIGHT)
    paper.emulate_media(media="print")
    paper.evaluate("document.body.style.padding = '53px 45px'")  # the margins of @page, which apply only to print
    paper.evaluate("dispatchEvent(new Event('beforeprint'))")
    return paper


def _opened(browser: Browser, url: str, width: int, height: int, *, scheme: str = "light") -> Page:
    page = browser.new_page(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    return page


if __name__ == "__main__":
    main()
