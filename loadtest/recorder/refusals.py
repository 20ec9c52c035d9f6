"""Count, by name, the values that a process of the fleet could not record unchanged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..core.redaction import redact
from ..recording.outcomes import text_of
from ..recording.run import RefusalRecord

MAX_KINDS = 200
MAX_EXAMPLE_CHARS = 200
OTHER = "(other)"


@dataclass(slots=True)
class Refusals:
    """Counts by name. At most MAX_KINDS names are counted separately."""

    kinds: dict[tuple[str, bool], RefusalRecord] = field(default_factory=dict)

    def add(self, name: str, example: object = "", *, lost: bool, worker: str = "", count: int = 1) -> None:
        """Count a refusal. `lost` says that the whole row is missing, and not only a value in it."""
        key = (name, lost)
        if key not in self.kinds and len(self.kinds) >= MAX_KINDS:
            key = (OTHER, lost)
        record = self.kinds.get(key)
        if record is None:
            text = redact(text_of(example)[: 4 * MAX_EXAMPLE_CHARS])[:MAX_EXAMPLE_CHARS]
            record = self.kinds[key] = RefusalRecord(name=key[0], count=0, lost=lost, example=text, worker=worker)
        record.count += count

    @property
    def lost(self) -> int:
        """Number of rows that are missing because of refusals."""
        return sum(record.count for record in self.kinds.values() if record.lost)

    def records(self) -> list[RefusalRecord]:
        """Return the counts. Lost rows come first, then the most frequent names."""
        return sorted(self.kinds.values(), key=lambda record: (not record.lost, -record.count))


def merged(parts: Iterable[RefusalRecord]) -> list[RefusalRecord]:
    """Return the counts of several workers as one list."""
    whole = Refusals()
    for record in parts:
        whole.add(record.name, record.example, lost=record.lost, worker=record.worker, count=record.count)
    return whole.records()
