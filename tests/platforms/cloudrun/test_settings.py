"""Settings are parsed once. An error names the option and the value."""

from __future__ import annotations

import dataclasses

import pytest

from loadtest.core.errors import UsageError
from loadtest.core.quantities import cpu_of, cpu_text, memory_bytes_of, memory_text
from loadtest.platforms.cloudrun.settings import (
    ServiceSettings,
    parse_cpu,
    parse_env,
    parse_max_instances,
    parse_memory,
    parse_timeout,
    validated,
)

GOOD = ServiceSettings(service="ml", project="p", region="r", image="img")


def test_amounts_are_read_as_cloud_run_spells_them() -> None:
    assert [parse_cpu(text) for text in ("1", "0.5", "500m", "27.5m")] == [1.0, 0.5, 0.5, 0.0275]
    assert [parse_memory(text) for text in ("512Mi", "4Gi", "1048576")] == [512, 4096, 1]
    assert [parse_timeout(text) for text in ("300", "300s", "5m", "1h")] == [300, 300, 300, 3600]
    assert [parse_max_instances(text) for text in ("7", "none")] == [7, 0]
    assert parse_env(["A=1", "B=x=y"]) == (("A", "1"), ("B", "x=y"))


@pytest.mark.parametrize("cpu", [1.0, 0.5, 0.0275, 8.0])
def test_cpu_is_written_so_that_it_reads_back(cpu: float) -> None:
    assert cpu_of(cpu_text(cpu)) == pytest.approx(cpu)


@pytest.mark.parametrize("memory_bytes", [1, 2**10, 512 * 2**20, 4 * 2**30, 10**9])
def test_memory_is_written_so_that_it_reads_back(memory_bytes: int) -> None:
    assert memory_bytes_of(memory_text(memory_bytes)) == memory_bytes


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"service": "ML"}, "--service ML"),
        ({"service": "m" * 50}, "1 to 49"),
        ({"concurrency": 0}, "--concurrency 0"),
        ({"concurrency": 1001}, "1 to 1000"),
        ({"cpu": 0.5}, "concurrency must be 1"),
        ({"cpu": 3.0}, "2, 4, 6 or 8"),
        ({"memory_mib": 64.0}, "128 MiB"),
        ({"min_instances": 5, "max_instances": 4}, "at least 5"),
        ({"timeout_s": 4000.0}, "3600"),
        ({"port": 0}, "--port 0"),
        ({"revision_suffix": "-x"}, "--revision-suffix -x"),
    ],
)
def test_settings_that_cloud_run_would_refuse_are_refused_before_the_call(
    changed: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        validated(dataclasses.replace(GOOD, **changed), local=False)  # type: ignore[arg-type]  # a table of fields


def test_the_local_one_takes_any_slice_of_a_cpu() -> None:
    slice_of = dataclasses.replace(GOOD, cpu=0.025, concurrency=80)
    assert validated(slice_of, local=True) is slice_of


@pytest.mark.parametrize("pair", ["A", "=1", "PORT=1", "K_SERVICE=x"])
def test_a_variable_that_cannot_be_set_is_refused(pair: str) -> None:
    with pytest.raises(UsageError, match="--env"):
        parse_env([pair])
