"""What the record of a run keeps of its command line."""

from __future__ import annotations

import pytest

from loadtest.core.redaction import MARK
from loadtest.runs.record import recorded_command


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["lt", "run", "--users", "5"], ["lt", "run", "--users", "5"]),
        (["/bin/lt", "-t", "https://me:SECRET@host/"], ["lt", "-t", f"https://{MARK}@host/"]),
        (["lt", "--", "--api-key", "SECRET", "--tenant", "a"], ["lt", "--", "--api-key", MARK, "--tenant", "a"]),
        (["lt", "--", "--api-key=SECRET"], ["lt", "--", f"--api-key={MARK}"]),
        (["lt", "--", "--pin", "SECRET", "-k=SECRET"], ["lt", "--", "--pin", MARK, f"-k={MARK}"]),
        (["lt", "--", "--pin", "-SECRET"], ["lt", "--", "--pin", MARK]),
        (["lt", "--", "--header", "Bearer SECRET"], ["lt", "--", "--header", f"Bearer {MARK}"]),
    ],
)
def test_a_recorded_command_keeps_names_and_no_secret(words: list[str], kept: list[str]) -> None:
    """Secret is what a scenario declares so, and what redaction knows by its name or its shape."""
    assert recorded_command(words, ("--pin", "-k")) == kept
