"""With any arguments, a verb ends with an exit code of the table and one sentence, and without a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadtest.cli.app import DEFECT, run_verb
from loadtest.cli.verbs import VERBS
from loadtest.core.exit_codes import ExitCode

ODD = [
    "", " ", "-", "--", "0", "-1", "1.5", "nan", "inf", "1e400", "9" * 400, "٣", "é", "a b", "a..b", "..", "../../x",
    "/dev/null", "/dev", "/proc/self/mem", "x" * 5000, "'", '"', "\\", "$PORT", "[red]", "[/]", "{}", "%s", "\x1b[31m",
    "\u202e", "\n", "🙂", "http://[::1", "http://a..b/", "http://a b", "http://" + "x" * 70, "http://é", "http://",
    "http://127.0.0.1:0", "http://127.0.0.1:99999", "http://u:p@x", "ftp://x", "file:///etc", "127.0.0.1:9", ":9",
    "[::1]:9", "p95 < 1ms", "p95(", "error_rate < 1% for", "2m", "1h30m", "0s", "-5s", "local", "emulator", "cloud",
    "latest", "nosuch.py", "K=V", "=", "PORT=1", "none", "512Mi", "0Mi", "9" * 40 + "Gi", "auto", "\udce9",
]  # fmt: skip

POISON = {
    "run": ("--workers", "0"),
    "ab": ("--workers", "0"),
    "emulate": ("--concurrency", "0"),
    "serve": ("--host", "a..b"),
    "doctor": ("--users", "0"),
    "init": ("--out", "/nonexistent/folder/scenario.py"),
}
"""Arguments that keep a verb from starting processes, calling the cloud or writing a file."""

WORDS = ("report", "metrics", "init", "runs rm", "runs label", "runs export", "nosuch")
"""Verbs that take arguments in addition to options."""


def options_of(verb: str) -> list[str]:
    """Return a verb's options that take a value. They come from the parser, so that a new option is tested too."""
    import typer

    from loadtest.cli.parser import make_app

    command = typer.main.get_command(make_app(verb))
    return sorted(
        max(option.opts, key=len)
        for option in command.params
        if option.param_type_name == "option" and not getattr(option, "is_flag", False)
    )


OPTIONS = {verb: options_of(verb) for verb in VERBS} | {
    **{name: ["--runs"] for name in ("runs rm", "runs label", "runs export", "runs prune")},
    "nosuch": ["--x"],
}


@st.composite
def commands(draw: st.DrawFn) -> list[str]:
    """Return the arguments of a command.

    The values of the options are odd, and the command starts nothing that runs for long.
    """
    verb = draw(st.sampled_from(sorted(OPTIONS)))
    names = draw(st.lists(st.sampled_from(OPTIONS[verb]), max_size=5)) if OPTIONS[verb] else []
    value = st.sampled_from(ODD) | st.text(max_size=8)
    words = [word for name in names for word in (name, draw(value))]
    words += draw(st.lists(value, max_size=2)) if verb in WORDS else []
    words += ["--runs", "/nonexistent"] * (
        verb.startswith("runs ") or ("--runs" not in words and "--runs" in OPTIONS[verb])
    )
    words += ["--scenario", "ramp300"] * (verb == "run" and "--scenario" not in words)
    words += ["--join-timeout", "1s"] * (verb == "worker")
    words += ["--dry-run"] * (verb == "deploy")
    return [*verb.split(), *words, *POISON.get(verb, ())]


def check(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = run_verb(arguments)
    said = capsys.readouterr()
    assert code in set(ExitCode), arguments
    assert "Traceback" not in said.err, arguments
    assert DEFECT not in said.err, (arguments, said.err)
    assert "\x1b[31m" not in said.err + said.out, arguments
    assert code == ExitCode.HELD or said.err.strip(), arguments


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(arguments=commands())
def test_odd_options_end_in_a_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    check(arguments, capsys)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(arguments=commands())
def test_two_thousand_odd_commands_end_in_a_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    check(arguments, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("option", sorted(set(OPTIONS["run"]) - {"--workers", "--scenario"}))
def test_each_option_of_run_refuses_each_odd_value_or_takes_it(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--workers 0` always prevents a run, so the exit code is the code for wrong usage."""
    for odd in ODD:
        words = ["run", "--scenario", "ramp300", option, odd, "--workers", "0"]
        assert run_verb(words) in (ExitCode.USAGE, ExitCode.UNUSABLE), words
        said = capsys.readouterr().err
        assert DEFECT not in said, said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "-s", "ramp300", "-t", "http://[::1"], "give local, emulator, cloud, none, or a URL"),
        (["run", "-s", "ramp300", "-t", "http://a..b/"], "`a..b` is not a host name"),
        (["run", "-s", "ramp300", "-t", "http://a b"], "no spaces"),
        (["run", "-s", "ramp300", "-t", "http://é"], "only ASCII"),
        (["run", "-s", "ramp300", "-t", "http://" + "x" * 70], "is not a host name"),
        (["run", "-s", "ramp300", "-t", "emulator", "--command", "a 'b"], "an unclosed quotation mark"),
        (["emulate", "--command", "a 'b"], "an unclosed quotation mark"),
        (["emulate", "--command", ""], "is empty"),
        (["emulate", "--max-instances", "0"], "`--max-instances 0`: give a whole number"),
        (["emulate", "--service", "../../x"], "`--service ../../x`: give 1 to 49"),
        (["run", "-s", "x" * 5000], "there is no such scenario or file"),
        (["run", "-s", "ramp300", "--label", "\udce9"], "must be UTF-8"),
        (["worker", "--master", "a..b"], "give a host and, if needed, a port"),
        (["serve", "--host", ""], "give the address to listen on"),
        (["emulate", "--timeout", "nan"], "must be above 0 s"),
        (["doctor", "--users", "-5"], "`--users -5`: must be at least 1"),
        (["nosuch"], "No such command"),
        (["run"], "name a scenario"),
        (["ab", "--service", "one", "--service", "two"], "--scenario is missing"),
        ([], ""),
    ],
)
def test_wrong_usage_is_two_in_every_verb(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The message is one sentence that names the value."""
    assert run_verb(words) == ExitCode.USAGE
    said = " ".join(capsys.readouterr().err.split())
    assert sentence in said
    assert said.count("See `") <= 1
