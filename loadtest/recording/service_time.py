"""Compute the service's own processing time from a run's rows."""

from __future__ import annotations

from .folder import RunFolder


def mean_server_ms(folder: RunFolder) -> float | None:
    """Return the mean processing time that the service itself reports; None if it does not report any.

    Formula: Σ server_us / n. Population: rows with `server_us`. Unit: ms. The time in a queue before the service starts
    its own measurement is not included.

    Raises:
        RunFolderError: the rows cannot be read.
    """
    import pyarrow.compute as pc

    total_us, count = 0, 0
    for batch in folder.row_batches(["server_us"]):
        column = batch["server_us"]
        known = len(column) - column.null_count
        if known:
            total_us += pc.sum(column).as_py()
            count += known
    return total_us / count / 1000 if count else None
