"""Combine the last results of all benchmarks in one page: `python -m benchmarks` writes benchmarks/RESULTS.md.

Each benchmark is a separate command (`python -m benchmarks.generator`, …) that writes its section, with the date and
the machine, to benchmarks/results/. This module only combines the sections, in the order of the list below. A section
`…_quiet` was measured by the same command on a machine that did nothing else.
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
    "low_rate",
    "live",
)
HERE = Path(__file__).parent

TITLE = """# Benchmark results

Each section names the command that wrote it, the date and the machine. The machines are shared and noisy, so compare
only numbers of the same table, and prefer the ratios, which come from rounds that alternate between the candidates.
`python -m benchmarks` combines the sections.
"""


def main() -> None:
    """Write the page from the sections that exist."""
    sections = [HERE / "results" / f"{name}.md" for name in ORDER]
    texts = [section.read_text(encoding="utf-8").strip() for section in sections if section.exists()]
    texts = [text if text.startswith("## ") else text.replace("# ", "## ", 1) for text in texts]
    (HERE / "RESULTS.md").write_text(TITLE + "\n" + "\n\n".join(texts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
