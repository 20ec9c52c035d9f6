"""Put what the benchmarks last measured into one page: `python -m benchmarks` writes benchmarks/RESULTS.md.

Each benchmark is a command of its own (`python -m benchmarks.generator`, …) that leaves its section, with the date and
the machine, in benchmarks/results/. This only assembles them, in the order below. A section `…_quiet` was measured by
the same command on a machine that did nothing else.
"""

from __future__ import annotations

from pathlib import Path

ORDER = (
    "generator",
    "generator_quiet",
    "recorder",
    "answers",
    "accuracy",
    "accuracy_quiet",
    "keep_alive",
    "service",
    "cold_start",
    "image",
    "emulator",
    "detection",
    "comparisons",
    "interleaved",
    "two_services",
    "history",
    "report",
    "memory",
    "sizing",
    "startup",
    "users",
    "live",
)
HERE = Path(__file__).parent

TITLE = """# Measured

Every section is written by the command it names, on the date and machine it names. Machines are shared and noisy:
compare the numbers of one table with each other, and read the ratios, which come from rounds that alternate.
`python -m benchmarks` puts the sections together.
"""


def main() -> None:
    """Write the page from the sections that are there."""
    sections = [HERE / "results" / f"{name}.md" for name in ORDER]
    texts = [section.read_text(encoding="utf-8").strip() for section in sections if section.exists()]
    texts = [text if text.startswith("## ") else text.replace("# ", "## ", 1) for text in texts]
    (HERE / "RESULTS.md").write_text(TITLE + "\n" + "\n\n".join(texts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
