"""What a run cost: only where Cloud Run's price list applies."""

from __future__ import annotations

import pytest

from recording.run import TargetRecord
from reports.cost import _is_priced


@pytest.mark.parametrize(
    ("kind", "url", "priced"),
    [
        ("cloud", "https://ml-abc-nw.a.run.app", True),
        ("emulator", "http://127.0.0.1:8080", True),
        ("url", "https://ml-abc-nw.a.run.app", True),
        ("url", "http://127.0.0.1:8080", False),
        ("url", "https://run.app.example.com", False),
        ("local", "http://127.0.0.1:8080", False),
    ],
)
def test_only_cloud_run_and_its_emulator_have_a_price(kind: str, url: str, priced: bool) -> None:
    """A service that names its instances in headers is not thereby billed by Cloud Run."""
    assert _is_priced(TargetRecord(kind=kind, url=url)) is priced
