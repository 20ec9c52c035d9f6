"""End the processes of killed emulators, and remove their files and cgroups."""

from __future__ import annotations

from .cgroups import remove_marked
from .folders import dead_folders, end_marked


def sweep() -> list[str]:
    """Remove what this user's killed emulators left behind, and return a sentence for everything that was found.

    Only processes, files and cgroups with the random mark of such an emulator are touched (see `folders`).
    """
    found = []
    for folder in dead_folders():
        found += [f"ended process {pid} of an emulator that no longer runs" for pid in end_marked(folder.mark)]
        if folder.mark:
            found += [
                f"removed cgroup {path} of an emulator that no longer runs" for path in remove_marked(folder.mark)
            ]
        folder.remove()
        found.append(f"removed {folder.path} of an emulator that no longer runs")
    return found
