"""Count the lines of the repository by folder: code, explanations, pages, and generated files and data.

`make lines` prints the table. A line of code is a line of Python, JavaScript, CSS or a template that is not blank, not
a comment and not part of a docstring.
"""

from __future__ import annotations

import ast
import subprocess
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent

CODE = (".py", ".pyi", ".js", ".mjs", ".css", ".j2", ".lua")
DATA = (".lock", ".json", ".ipynb", ".csv", ".conf")
GENERATED = ("docs/cli.md", "benchmarks/RESULTS.md", "benchmarks/results/")
PROSE = (".md", ".txt")

COLUMNS = ("code", "docstrings and comments", "blank", "pages", "generated and data", "settings")


def kinds(path: Path, name: str) -> Counter[str]:
    """Return how many lines of each kind a file has."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if path.suffix in DATA or name.startswith(GENERATED):
        return Counter({"generated and data": len(lines)})
    if path.suffix not in CODE:
        return Counter({"pages" if path.suffix in PROSE else "settings": len(lines)})
    explained = _docstrings("\n".join(lines)) if path.suffix.startswith(".py") else set()
    found: Counter[str] = Counter()
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if number in explained or text.startswith(("#", "//")):
            found["docstrings and comments"] += 1
        else:
            found["code" if text else "blank"] += 1
    return found


def _docstrings(source: str) -> set[int]:
    """Return the line numbers of every string that is a statement by itself."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return found


def main() -> None:
    """Print a row for each folder."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    table: dict[str, Counter[str]] = {}
    for name in filter(None, listed):
        path = ROOT / name
        folder = "/".join(name.split("/")[: 2 if name.startswith(("loadtest/", "reports/")) else 1][: name.count("/")])
        try:
            counted = kinds(path, name)
        except UnicodeDecodeError:
            continue  # a picture, or the model
        table.setdefault(folder or ".", Counter()).update(counted)
    rows = {**dict(sorted(table.items())), "outside tests": Counter[str]()}
    for folder, counted in table.items():
        if folder != "tests":
            rows["outside tests"].update(counted)
    print(f"{'':18}" + "".join(f"{column:>{len(column) + 2}}" for column in COLUMNS))
    for folder, counted in rows.items():
        print(f"{folder:18}" + "".join(f"{counted[column]:{len(column) + 2},}" for column in COLUMNS))


if __name__ == "__main__":
    main()
