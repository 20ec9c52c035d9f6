"""Retired words do not come back: the project uses the field's standard terms, which docs/terms.md defines."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LOOP = re.compile(r"\bfor ([\w, ]+, )?one(, [\w, ]+)? in\b")

RETIRED = {
    # turns of phrase that read as translated
    r"\b(is|are|was|were) told\b(?! (apart|to)\b)": "is reported, is known, says",
    r"\bthe words say\b": "the options say",
    r"\bof its own accord\b": "by itself",
    LOOP.pattern: "name what the loop goes over",
    r"\b(the|a|each|every|this|its own) rooms?\b(?! for)": "package, folder",
    r"\bnobody here may\b": "cannot",
    r"\bwhat was given as\b.*\bis none\b": "invalid …",
    r"\bits want is said\b": "warn if there is none",
    r"\bis no longer looked after\b": "crashed",
    # private nouns
    r"\bWishes\b": "TargetOptions",
    r"\bGlance\b": "ProgressSnapshot",
    r"\bBrake\b": "AbortCondition",
    r"\bPatience\b": "RetryPolicy",
    r"\bCommons\b": "SharedState",
    r"\bInstanceBook\b": "InstanceTracker",
    r"\bparcels?\b": "report",
    r"\btext ids?\b": "interned string id",
    r"\bcorners?\b": "stage, point of the plan",
    r"\brefused arrivals?\b": "dropped iterations",
    r"\bextra waiting\b": "excess latency",
    r"\bWhat to set\b": "Recommendations",
    r"\brequest-s\b": "seconds in all, seconds each",
    r"\b[Tt]ime-outs?\b": "timeout",
    r"\bnot alike\b": "differ",
    r"\bcalm(ly|est)?\b": "baseline, normal",
    r"\bhot (windows?|seconds?|ones?)\b": "anomalous",
}
"""Text that is no longer used (a regular expression that is applied to each line), and its replacement."""

SCANNED = ("loadtest", "reports", "scenarios", "target_service", "docs", "benchmarks")
KINDS = {".py", ".md", ".j2", ".js", ".css", ".html"}
GLOSSARY_PAGE = "docs/terms.md"
"""The only page that may contain retired words, because it lists their replacements."""


def scanned() -> list[Path]:
    """Return every text of the project that a reader may see."""
    found = [path for top in SCANNED for path in sorted((ROOT / top).rglob("*")) if path.suffix in KINDS]
    found += [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
    return [path for path in found if path != ROOT / GLOSSARY_PAGE]


def lines_of(path: Path) -> list[tuple[int, str]]:
    """Return (number, text) of each line that contains sentences.

    In a Python file, these are the comments, the docstrings, the strings, and the first lines of loops. Names in the
    code are left out, because renaming one changes the code and not a sentence.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return [(number, CODE.sub("", line)) for number, line in enumerate(text.splitlines(), 1)]
    found = [(number, line) for number, line in enumerate(text.splitlines(), 1) if LOOP.search(line)]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "COMMENT" or (kind in {"STRING", "FSTRING_MIDDLE"} and " " in token.string):
            prose = CODE.sub("", FIELD.sub("", token.string))
            found += [(token.start[0] + at, line) for at, line in enumerate(prose.split("\n"))]
    return found


FIELD = re.compile(r"\{[^{}\n]*\}")
CODE = re.compile(r"`[^`\n]*`")


def retired_in(path: Path) -> list[str]:
    """Return each line that contains a retired word, with its replacement."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {found[0]!r}: write {instead!r}"
        for number, line in lines_of(path)
        for pattern, instead in RETIRED.items()
        if (found := re.search(pattern, line))
    ]


def test_a_retired_word_is_found_in_sentences_and_not_in_names(tmp_path: Path) -> None:
    page = tmp_path / "page.py"
    page.write_text(
        'calm = {"corners": 1}  # calm seconds\ntext = f"a parcel of {parcel.worker}"\n\n\nfor one in calm:\n'
    )
    said = [line for _, line in lines_of(page)]
    assert said == ["for one in calm:", "# calm seconds", 'f"a parcel of "']


@pytest.mark.parametrize("path", scanned(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_retired_word_comes_back(path: Path) -> None:
    assert retired_in(path) == []


def test_the_glossary_lists_every_retired_term_with_its_successor() -> None:
    """A reader who finds an old word in an old page or mail can look up the current term."""
    terms = (ROOT / GLOSSARY_PAGE).read_text(encoding="utf-8")
    section = terms.partition("## Retired terms")[2]
    for old, new in GLOSSARY.items():
        assert f"| {old} | {new} |" in section


GLOSSARY = {
    "wishes": "target options",
    "glance": "progress snapshot",
    "brake": "abort condition",
    "patience": "retry policy",
    "parcel": "report (of a worker)",
    "text id": "interned string id",
    "corners": "stages",
    "refused arrivals": "dropped iterations",
    "extra waiting": "excess latency",
    "what to set": "recommendations",
    "calm": "baseline",
    "hot": "anomalous",
    "facts": "evidence",
    "parked": "standby",
    "wanted": "desired",
    "door": "API listener",
    "children": "processes of the emulator",
    "slices": "cgroups",
    "time-out": "timeout",
}
"""The replaced terms, as docs/terms.md lists them."""
