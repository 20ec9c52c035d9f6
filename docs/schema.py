"""Write the generated part of docs/report.md: `python -m docs.schema`."""

from __future__ import annotations

from pathlib import Path

from reports.summary.schema import reference

PAGE = Path(__file__).with_name("report.md")
BEGIN = "<!-- made by `python -m docs.schema` from reports/model.py -->"
END = "<!-- end of what is made -->"


def written(page: str) -> str:
    """Return the page with its generated part renewed."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{reference()}\n\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Rewrite the page."""
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
