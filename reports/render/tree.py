"""Define the parts of a report: sections of sentences, facts, tables and charts, which every format renders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Tone = Literal["", "good", "bad", "unsure", "muted", "few"]
"""The meaning of a text, shown by colour. The text must state it too, for formats without colours."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table, or one value.

    Attributes:
        text: the value.
        small: a qualification, such as its interval; shown under it on the page, and in brackets after it elsewhere.
        more: sentences with details; folded on the page, and on separate lines elsewhere.
        tone: see Tone.
        zoom: the seconds that the charts show when the cell is clicked.
        code: whether it is a command or an option.
    """

    text: str
    small: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    tone: Tone = ""
    zoom: tuple[float, float] | None = None
    code: bool = False

    @property
    def plain(self) -> bool:
        """Whether the cell consists of its text alone, without surrounding spaces."""
        return not (self.small or self.more or self.code or self.zoom is not None) and self.text == self.text.strip()

    @property
    def line(self) -> str:
        """The value and its qualification, on one line."""
        return f"{self.text} ({'; '.join(self.small)})" if self.small else self.text


@dataclass(frozen=True, slots=True)
class Column:
    """The heading of a column.

    `number` aligns its cells to the right, and `wide` means that they contain long texts.
    """

    head: str
    number: bool = False
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under headings.

    Attributes:
        label: its content, for screen readers.
        columns: one per cell of a row.
        rows: if there are none, the table is left out.
        folded: the text that the reader clicks on the page to open the table; "" if it is always open.
        stacked: whether each row is shown as a block of lines on a phone.
    """

    label: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    folded: str = ""
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph. `lead` is the name of the run that it describes, shown in bold before the text."""

    text: str
    tone: Tone = ""
    lead: str = ""

    @property
    def line(self) -> str:
        """The paragraph with its lead."""
        return f"{self.lead}: {self.text}" if self.lead else self.text


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Names, each with a value."""

    rows: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, slots=True)
class Points:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Charts:
    """Charts of the page, by id.

    Attributes:
        ids: the ids of the charts, in order.
        explained: how to read them; only the page shows it.
        lines: the text that formats without charts show instead.
    """

    ids: tuple[str, ...]
    explained: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """One of the answers on the first screen.

    Attributes:
        title: the question.
        value: the answer in a few words.
        tone: good, bad, unsure or none.
        lines: its reasons, one sentence each.
    """

    title: str
    value: str
    tone: Tone
    lines: tuple[str, ...]

    @property
    def line(self) -> str:
        """Question, answer and reasons on one line."""
        stop = "" if self.title.endswith("?") else ":"
        return f"{self.title}{stop} {self.value.rstrip('.')}. {' '.join(self.lines)}"


@dataclass(frozen=True, slots=True)
class Cards:
    """The answers, side by side."""

    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Beside:
    """Blocks that a wide page shows side by side."""

    blocks: tuple[Words | Table | Charts, ...]


Block = Words | Heading | Facts | Points | Table | Charts | Cards | Beside


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report.

    Attributes:
        id: its anchor on the page.
        heading: its title.
        blocks: its content; without any it is left out.
        nav: its name in the page's table of contents; "" for none.
        brief: whether the terminal shows it at the end of a run.
        first: whether it belongs to the first screen, above the controls of the charts.
    """

    id: str
    heading: str
    blocks: tuple[Block, ...]
    nav: str = ""
    brief: bool = False
    first: bool = False


def kind_of(block: Block) -> str:
    """Return the name by which a template chooses how to render a block."""
    return type(block).__name__.lower()


def filled(sections: Sequence[Section]) -> list[Section]:
    """Return the sections that have content, without empty tables and without charts that draw nothing."""
    kept = [replace(section, blocks=_filled(section.blocks)) for section in sections]
    return [section for section in kept if any(not isinstance(block, Heading) for block in section.blocks)]


def _filled(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    found: list[Block] = []
    for block in blocks:
        if isinstance(block, Beside):
            inner = _filled(block.blocks)
            found += [Beside(inner)] if len(inner) > 1 else list(inner)  # type: ignore[arg-type] # blocks of the same kinds
        elif not (
            (isinstance(block, Table | Facts) and not block.rows)
            or (isinstance(block, Charts) and not block.ids)
            or (isinstance(block, Points) and not block.items)
        ):
            found.append(block)
    return tuple(found)
