"""Cloud Run's numbers (valid settings and defaults) are defined once."""

from __future__ import annotations

import pytest

from loadtest.core.cloud_run import boosted_cpu, is_service_name, not_a_setting


@pytest.mark.parametrize(
    ("cpu", "memory_mib", "concurrency", "words"),
    [
        (0.06, 512, 80, "0.08 to 1"),
        (0.5, 512, 80, "concurrency must be 1"),
        (3, 1024, 80, "2, 4, 6 or 8"),
        (0.4, 1024, 1, "at most 512 MiB"),
        (1, 8192, 80, "needs at least 2 vCPU"),
        (4, 1024, 80, "need at least 2 GiB"),
        (1, 64, 80, "128 MiB"),
    ],
)
def test_settings_that_cloud_run_does_not_accept_are_reported(
    cpu: float, memory_mib: float, concurrency: int, words: str
) -> None:
    assert words in not_a_setting(cpu=cpu, memory_mib=memory_mib, concurrency=concurrency)


@pytest.mark.parametrize(
    ("cpu", "memory_mib", "concurrency"), [(1, 512, 80), (0.08, 128, 1), (0.5, 512, 1), (2, 8192, 1000), (8, 32768, 80)]
)
def test_what_it_takes_passes(cpu: float, memory_mib: float, concurrency: int) -> None:
    assert not_a_setting(cpu=cpu, memory_mib=memory_mib, concurrency=concurrency) == ""


def test_the_startup_boost_follows_the_vcpu() -> None:
    assert [boosted_cpu(cpu) for cpu in (0.5, 1, 2, 4, 8)] == [2, 2, 4, 8, 8]


@pytest.mark.parametrize("name", ["../../x", "a/b", "", "-a", "a-", "A", "1a", "a" * 50, "a.b", "a b", "a\n"])
def test_an_invalid_service_name_is_refused(name: str) -> None:
    assert not is_service_name(name)
