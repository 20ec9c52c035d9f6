"""Read one side of a run against two targets as if it were a separate run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .folder import RunFolder
from .frames import SIDES
from .paths import SIDE_METRICS
from .run import Run

if TYPE_CHECKING:  # slow to import, and needed only by the readers of rows
    import pandas as pd
    import pyarrow as pa


class SideFolder(RunFolder):
    """A run's folder that returns only the rows of one side, and has the cloud series of this side.

    Args:
        folder: the run's folder.
        side: 1 or 2, an index into SIDES.
        revision: the side's revision, if both sides are revisions of one service. Then only the series of this revision
            are fetched.
    """

    share = 0.5

    def __init__(self, folder: RunFolder, side: int, *, revision: str | None = None) -> None:
        super().__init__(folder.path)
        self.side = side
        self._folder = folder
        self.only_revision = revision

    @property
    def metrics(self) -> Path:
        """The cloud series of the side's service."""
        return self.path / SIDE_METRICS[self.side - 1]

    def read_metrics(self) -> pd.DataFrame | None:
        """Return the side's series as a DataFrame, with a column `side` that has the same values as in the rows."""
        found = super().read_metrics()
        return None if found is None else found.assign(side=SIDES[self.side])

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
        """Return a run's record for one side, with the side's target and name, and half of the planned users."""
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
    """Return the sides of a run, each as a folder with its record; if the run has one target, return the run itself."""
    if not run.sides:
        return [(folder, run)]
    first, second = (side.target for side in run.sides)
    one_service = (first.service, first.project, first.region) == (second.service, second.project, second.region)
    revisions = [target.revision if one_service else None for target in (first, second)]
    sides = [SideFolder(folder, at, revision=revision) for at, revision in enumerate(revisions, 1)]
    return [(side, side.of_side(run)) for side in sides]
