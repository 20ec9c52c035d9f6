"""The generated pages agree with the code, and the glossary has every word of the code's vocabularies."""

from __future__ import annotations

import re

import pytest

from docs.generate import ROOT, pages, with_outputs
from loadtest.core.objectives import PHASES
from loadtest.recording.frames import OUTCOMES
from loadtest.recording.run import Outcome
from reports.spikes.causes import Cause


def test_generated_pages_are_up_to_date() -> None:
    """`make docs` would change nothing in docs/cli.md, docs/report.md, and the README's blocks of output."""
    stale = [str(path.relative_to(ROOT)) for path, page in pages().items() if path.read_text("utf-8") != page]
    assert not stale, f"run `make docs`: {', '.join(stale)}"


def test_only_blocks_whose_output_is_the_same_everywhere_are_made_anew() -> None:
    """A block of a deterministic command is replaced by the command's output.

    Any other block stays as it was written.
    """
    page = "before\n<!-- output: {} -->\nold\n<!-- end -->\nafter\n"
    made = with_outputs(page.format("python lt.py worker --help"))
    assert "old" not in made
    assert "Usage: lt.py worker [OPTIONS]" in made
    assert made.startswith("before\n<!-- output: python lt.py worker --help -->\n```console\n$ python lt.py worker")
    assert made.endswith("```\n<!-- end -->\nafter\n")
    assert with_outputs(made) == made
    measured = page.format("python lt.py run --scenario ramp300")
    assert with_outputs(measured) == measured


@pytest.mark.parametrize("word", [*OUTCOMES, *PHASES, *Cause, *Outcome])
def test_the_glossary_has_every_word_of_the_code(word: str) -> None:
    """Outcomes, phases, causes and the ways in which a run ends each have a line in docs/terms.md."""
    terms = (ROOT / "docs" / "terms.md").read_text("utf-8")
    assert re.search(rf"^\| `?{re.escape(word)}`? \|", terms, re.MULTILINE)


def test_the_glossary_names_existing_paths() -> None:
    """The last column of every line is an existing file or folder of the project."""
    terms = (ROOT / "docs" / "terms.md").read_text("utf-8").partition("## Retired terms")[0]
    lines = terms.splitlines()
    places = {line.split("|")[-2].strip() for line in lines if line.startswith("| ") and "| where |" not in line}
    assert [place for place in sorted(places) if not (ROOT / place.strip("`")).exists()] == []


def test_the_map_for_contributors_names_existing_paths() -> None:
    """Every path in backquotes in CONTRIBUTING.md exists."""
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"`((?:loadtest|reports|tests|docs|scenarios|target_service|benchmarks)/[\w./-]*)`", page))
    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_index_of_decisions_lists_every_record() -> None:
    """Each numbered record has a line with the title, date and status that the record itself has."""
    folder = ROOT / "docs" / "decisions"
    lines = re.findall(
        r"^\| \[(\d+)\]\(([\w-]+\.md)\) \| (.+?) \| ([\d-]+) \| (.+?) \|$",
        (folder / "README.md").read_text("utf-8"),
        re.MULTILINE,
    )
    records = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [name for _, name, *_ in lines] == records
    for number, name, title, date, status in lines:
        text = (folder / name).read_text("utf-8")
        assert text.startswith(f"# {int(number)}. {title}\n\nDate: {date} · Status: {status}\n")
