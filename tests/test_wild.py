"""Locustfiles of the kinds that are published run unchanged: every request is a row, and they work as under Locust."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cases.harness import Ran, lt_run, split_at_own
from tests.conftest import ROOT, counting_server

PLAN = ("--users", "4", "--spawn-rate", "4", "--duration", "4s", "--workers", "2")
Check = Callable[[Ran, int], object]


def names(ran: Ran) -> set[str]:
    return set(ran.rows("name").name)


def all_rows(ran: Ran, counted: int) -> None:
    """The run held, and there are as many rows as requests that the server has read."""
    assert (ran.done.code, ran.run.outcome) == (0, "complete"), ran.said
    assert len(ran.rows()) == counted > 10


def only(*expected: str) -> Check:
    def check(ran: Ran, counted: int) -> None:
        all_rows(ran, counted)
        assert names(ran) == set(expected)

    return check


def one_log_in_a_worker(ran: Ran, counted: int) -> None:
    all_rows(ran, counted)
    assert (ran.rows("name").name == "log in").sum() == 2


def odd_ones_failed(ran: Ran, counted: int) -> None:
    rows = ran.rows("name", "outcome", "method")
    assert len(rows) == counted > 10
    assert set(rows[rows.name == "even"].outcome) == {"ok"}
    assert "ok" not in set(rows[rows.name == "odd"].outcome)
    assert set(rows.method) == {"LINE"}


def one_administrator(ran: Ran, counted: int) -> None:
    """One of 4 users is an administrator. Most of the other 3 are readers."""
    all_rows(ran, counted)
    sent = ran.rows("name").name.astype(str).value_counts()
    assert set(sent.index) <= {"/read", "/write", "/admin"}
    assert sent["/read"] > sent["/admin"] > 0


def ended_by_the_scenario(ran: Ran, counted: int) -> None:
    assert (ran.run.outcome, len(ran.rows())) == ("interrupted", counted)
    assert "ended by the scenario" in ran.said
    assert "stop_by_event.py, line" in ran.said


def five_rounds_each(ran: Ran, counted: int) -> None:
    """The scenario sets its own exit code, 0, and ends early. The objectives decide about 20 requests."""
    assert len(ran.rows()) == counted == 4 * 5
    assert ran.run.scenario_exit_code == 0


def transactions_beside_requests(ran: Ran, counted: int) -> None:
    rows = ran.rows("name", "method")
    assert (rows.method != "TRANSACTION").sum() == counted
    assert abs((rows.name == "buy").sum() - counted / 2) <= 4
    assert ran.done.code == 0, ran.said


def at_most_four_users(ran: Ran, counted: int) -> None:
    all_rows(ran, counted)
    assert ran.folder.read_load().groupby("time_s").users.sum().max() <= 4
    assert names(ran) == {"/early"}  # the second stage requests more users, but the limit does not allow them


def logged_in_on_the_master(ran: Ran, counted: int) -> None:
    """The master's own log-in is not a row, because no user has sent it."""
    assert ran.done.code == 0, ran.said
    assert len(ran.rows()) == counted - 1 > 10
    assert names(ran) == {"/me"}


def two_visitors_of_six(ran: Ran, counted: int) -> None:
    all_rows(ran, counted)
    sent = ran.rows("name").name.astype(str).value_counts()
    assert sent["/visit"] == 2 * 6
    assert {"/cart", "/pay"} <= set(sent.index) <= {"/cart", "/pay", "/done", "/look", "/visit"}


def sent_from_everywhere(ran: Ran, counted: int) -> None:
    all_rows(ran, counted)
    expected = {"/part/[i]", "/pool0", "/pool1", "/threads0", "/threads1", "/thread", "/rest", "/renamed"}
    assert expected | {"/forgot", "/tuple", "/large"} == names(ran)


def each_by_its_protocol(ran: Ran, counted: int) -> None:
    """The clients' events get the right kinds: a server's fault, a lost connection, a timeout, and a success."""
    rows = ran.rows("name", "outcome", "method")
    assert counted == 0 < len(rows)
    kinds = {(row.method, row.outcome) for row in rows.itertuples()}
    assert kinds == {("MQTT", "ok"), ("xmlrpc", "check_failed"), ("grpc", "connection"), ("Kafka", "timeout")}
    assert rows.name.astype(str).str.len().max() <= 300


def whole_though_a_listener_raised(ran: Ran, counted: int) -> None:
    """Locust's master ends with status 2 because of the listener's error, but all rows are there.

    Because of the error, the run does not pass.
    """
    assert (ran.done.code, ran.run.outcome, ran.run.reasons) == (1, "complete", []), ran.said
    assert len(ran.rows()) == counted > 10
    assert "cannot delete the tenant" in ran.said


def among(*expected: str) -> Check:
    """Chance decides which of these names occur."""

    def check(ran: Ran, counted: int) -> None:
        all_rows(ran, counted)
        assert names(ran) <= set(expected)

    return check


def every_start_has_its_stop(ran: Ran, counted: int) -> None:
    """Requests of `on_stop` at the end of the run are rows too, and the scenario lowers the number of users itself."""
    all_rows(ran, counted)
    sent = ran.rows("name").name.astype(str).value_counts()
    assert sent["/start"] == sent["/stop"] > 0
    assert set(sent.index) == {"/start", "/stop", "/work"}


def judged_however_the_task_ends(ran: Ran, counted: int) -> None:
    rows = ran.rows("name", "outcome")
    assert (ran.done.code, ran.run.outcome, len(rows)) == (1, "complete", counted), ran.said
    outcomes = {name: set(of_name.outcome) for name, of_name in rows.groupby("name", observed=True)}
    assert outcomes["/twice"] == outcomes["/leaves"] == outcomes["/returned"] == {"ok"}
    for name in {"/in-block", "/marked"} & outcomes.keys():
        assert outcomes[name] == {"check_failed"}, name


def first_lines_beside_requests(ran: Ran, counted: int) -> None:
    rows = ran.rows("name", "method", "outcome")
    assert (ran.done.code, ran.run.outcome) == (0, "complete"), ran.said
    assert (rows.method == "GET").sum() == counted > 10
    assert (rows.method == "SSE").sum() == (rows.name == "/lines").sum() > 0


def told_by_threads(ran: Ran, counted: int) -> None:
    """A request that is reported 50 ms later may be reported after the end of the run."""
    rows = ran.rows("name", "method")
    assert set(rows.method) == {"LIB"}
    assert 10 < len(rows) <= counted
    assert counted - len(rows) <= sum(refusal.count for refusal in ran.run.refusals) + 4


def failed_by_its_own_exit_code(ran: Ran, counted: int) -> None:
    assert (ran.done.code, ran.run.outcome, ran.run.scenario_exit_code) == (1, "complete", 1), ran.said
    rows = ran.rows("name", "outcome")
    assert len(rows) == counted > 10
    assert set(rows[rows.name == "/bad"].outcome) == {"check_failed"}


def sums_beside_requests(ran: Ran, counted: int) -> None:
    """Every name is shown, and no name breaks a table. A sum without a name is counted as refused."""
    rows = ran.rows("name", "method")
    assert (ran.done.code, ran.run.outcome) == (0, "complete"), ran.said
    assert (rows.method == "GET").sum() == counted > 10
    assert abs((rows.method == "Transaction").sum() - counted / 2) <= 4
    assert {(refusal.name, refusal.lost) for refusal in ran.run.refusals} <= {("name is missing", False)}


def half_of_them_log_in(ran: Ran, counted: int) -> None:
    """Two of four users, one of each worker, work five times each.

    Then no user is left, and the run continues to its end.
    """
    assert (ran.done.code, ran.run.outcome) == (0, "complete"), ran.said
    sent = ran.rows("name").name.astype(str).value_counts()
    assert dict(sent) == {"/login": 4, "/work": 10, "done": 2}
    assert counted == 14


def all_but_what_nobody_hears_of(ran: Ran, counted: int) -> None:
    """A client that fires no event is invisible to Locust and to us."""
    assert (ran.done.code, ran.run.outcome) == (0, "complete"), ran.said
    sent = ran.rows("name").name.astype(str).value_counts()
    assert 0 <= counted - sent.sum() - sent.get("/another", 0) <= 2
    assert {"/put", "/patch", "/delete", "/head", "/options", "/whole?x={x}", "unusual", "/bytes"} <= set(sent.index)


WILD: list[tuple[str, tuple[str, ...], Check]] = [
    ("shared_token.py", (), one_log_in_a_worker),
    ("csv_feeder.py", (), all_rows),
    ("custom_client.py", (), odd_ones_failed),
    ("weighted_classes.py", (), one_administrator),
    ("tagged.py", ("--tags", "smoke"), only("/shop", "/index")),
    ("tagged.py", ("--tags", "smoke,write", "--exclude-tags", "read"), only("/shop", "/shop/buy")),
    ("stop_by_event.py", (), ended_by_the_scenario),
    ("class_picker.py", ("--user-class", "Alpha", "--user-class", "Gamma"), only("/alpha", "/gamma")),
    ("own_arguments.py", (), only("/nobody/deep")),
    ("own_arguments.py", ("--", "--tenant", "a", "--depth=2"), only("/a/deep/deep")),
    ("nested_tasks.py", (), all_rows),
    ("iteration_limit.py", (), five_rounds_each),
    ("handed_out.py", (), only("/handed")),
    ("exporter.py", (), transactions_beside_requests),
    ("staged_shape.py", (), at_most_four_users),
    ("custom_shape.py", (), all_rows),
    ("login_on_master.py", (), logged_in_on_the_master),
    ("flow_control.py", (), two_visitors_of_six),
    ("odd_clients.py", (), sent_from_everywhere),
    ("fails_to_clean_up.py", (), whole_though_a_listener_raised),
    ("other_protocols.py", (), each_by_its_protocol),
    ("by_chance.py", (), among("/index", "/item", "/basket", "made 0", "made 1", "made 2")),
    ("shared_accounts.py", (), only("/accounts/[user]")),
    ("own_session.py", (), only("read", "/write")),
    ("waits.py", (), only("/method", "/one", "/two", "/three", "/quick")),
    ("own_dispatch.py", (), every_start_has_its_stop),
    ("everything_raised.py", (), judged_however_the_task_ends),
    ("streams.py", (), first_lines_beside_requests),
    ("other_threads.py", (), told_by_threads),
    ("verdict.py", (), failed_by_its_own_exit_code),
    ("transactions.py", (), sums_beside_requests),
    ("gives_up.py", (), half_of_them_log_in),
    ("shared_pools.py", (), all_but_what_nobody_hears_of),
    ("sequential_fast.py", (), lambda ran, counted: len(ran.rows()) == counted),
]


@pytest.mark.slow
@pytest.mark.parametrize(("file", "words", "check"), WILD, ids=[f"{file[0]} {' '.join(file[1])}" for file in WILD])
def test_a_locustfile_of_a_kind_found_in_public_runs_unchanged(
    file: str, words: tuple[str, ...], check: Check, tmp_path: Path
) -> None:
    with counting_server(delay_ms=[1, 3]) as there:
        given = split_at_own(words, "-t", there.url, *PLAN)
        ran = lt_run("-s", str(ROOT / "tests/wild" / file), *given, runs=tmp_path)
        check(ran, there.count())


@pytest.mark.slow
def test_a_scenarios_own_record_agrees_with_the_rows(tmp_path: Path) -> None:
    """The scenario's own listener receives what the recorder receives."""
    out = tmp_path / "export.jsonl"
    with counting_server() as there:
        words = ("-s", str(ROOT / "tests/wild/exporter.py"), "-t", there.url, *PLAN[:6], "--workers", "1")
        ran = lt_run(*words, runs=tmp_path / "runs", EXPORT_TO=str(out))
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(line["name"] for line in written) == sorted(ran.rows("name").name)
