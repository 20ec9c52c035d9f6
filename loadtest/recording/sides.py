"""Read one side of a run against two targets as if it were a run of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .folder import RunFolder
from .frames import SIDES
from .run import Run

if TYPE_CHECKING:  # heavy, and only the readers of rows need it
    import pyarrow as pa


class SideFolder(RunFolder):
    """A run's folder that gives only the rows of one side (1 or 2, index into SIDES); its files are the run's."""

    share = 0.5

    def __init__(self, folder: RunFolder, side: int) -> None:
        super().__init__(folder.path)
        self.side = side
        self._folder = folder

    def row_batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the side's rows in record batches."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from .rows import SCHEMA

        wanted = list(columns or SCHEMA.names)
        for batch in self._folder.row_batches(list(dict.fromkeys([*wanted, "side"]))):
            of_side = pc.fill_null(pc.equal(batch.column("side").cast(pa.string()), SIDES[self.side]), False)
            yield batch.filter(of_side).select(wanted)

    def of_side(self, run: Run) -> Run:
        """Return a run's record as that of the side: its target, its name as label, half of the planned users."""
        record = run.sides[self.side - 1]
        plan = [point.model_copy(update={"users": point.users * self.share}) for point in run.scenario.plan]
        return run.model_copy(
            update={
                "label": record.name,
                "target": record.target,
                "sides": [],
                "scenario": run.scenario.model_copy(update={"plan": plan}),
            }
        )


def sides_of(folder: RunFolder, run: Run) -> list[tuple[RunFolder, Run]]:
    """Return a run's sides, each as a folder with its record; the run itself where it has one target."""
    if not run.sides:
        return [(folder, run)]
    sides = [SideFolder(folder, at) for at in (1, 2)]
    return [(side, side.of_side(run)) for side in sides]
