"""Send requests for Locust users at a fraction of the usual cost, through an interface shaped like FastHttpUser's."""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import orjson

from ..http.connection import EXPIRED, Connection, Deadlines, Endpoint
from ..http.response_parser import Head, KnownHeads, ParsedHead
from ..http.tls import client_context
from ..recording.buffer import RECORDED_KEY
from ..recording.outcomes import OK, error_text, outcome_of
from .response import BadStatusError, CaughtResponse, RedirectError, Response
from .totals import BegunRequest, Tally, pack_timed

if TYPE_CHECKING:  # importing locust patches the whole process
    import ssl

    from locust.env import Environment

IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})  # RFC 9110, 9.2.2
NEVER_A_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})  # no content-length where there is none
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_PLANS = 1_024

NO_BODY, JSON, FORM, BYTES = range(4)
_KIND_HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Content-Type": "application/json", "Accept": "application/json"},
    {"Content-Type": "application/x-www-form-urlencoded"},
    {},
)

_NO_ANSWER: tuple[ParsedHead, bytes, bytes] = ((Head(-1, 0, 0, False, True, ""), -1, -1), b"", b"")

PlanKey = tuple[str, str, int, tuple[tuple[str, str], ...] | None]
"""Method, URL, kind of body, headers of the request itself."""

_ATTRIBUTE = "lt_commons"


@dataclass(slots=True)
class SharedState:
    """What the clients of one process share."""

    tally: Tally
    deadlines: Deadlines
    heads: KnownHeads


def commons_of(environment: Environment) -> SharedState:
    """Return what this environment's clients share, made by the first who asks."""
    shared: SharedState | None = getattr(environment, _ATTRIBUTE, None)
    if shared is None:
        shared = SharedState(Tally(environment), Deadlines(), KnownHeads())
        setattr(environment, _ATTRIBUTE, shared)
    return shared


@dataclass(frozen=True, slots=True)
class Plan:
    """What the requests of one method, address and kind of body have in common, encoded once.

    Attributes:
        head: everything up to the number of bytes of the body.
        bare: the whole request where there is no body and none is announced; else b"".
        name: what it is recorded under unless `name=` says otherwise; `name_id` and `method_id` are text ids.
    """

    head: bytes
    bare: bytes
    method: str
    name: str
    name_id: int
    method_id: int
    replayable: bool
    bodiless: bool


class ClientHeaders(MutableMapping[str, str]):
    """Headers sent with every request; a change holds from the next request on."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._values: dict[str, tuple[str, str]] = {}

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()][1]

    def __setitem__(self, name: str, value: str) -> None:
        encode_header(name, value)
        self._values[name.lower()] = (name, value)
        self._changed()

    def __delitem__(self, name: str) -> None:
        del self._values[name.lower()]
        self._changed()

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._values.values())

    def __len__(self) -> int:
        return len(self._values)


def encode_header(name: str, value: str) -> bytes:
    """Return `Name: value` and its line end.

    Raises:
        ValueError: a line break in either, which would end the header early, or a character beyond Latin-1.
    """
    line = f"{name}: {value}"
    if "\r" in line or "\n" in line or not name or ":" in name:
        raise ValueError(f"header {name!r}: neither name nor value may hold a line break, nor the name a colon")
    return line.encode("latin-1") + b"\r\n"


class FastClient:
    """An HTTP/1.1 client for one host, keep-alive, plain or TLS; any number of greenlets may use it at once.

    It does not follow redirects, keep cookies, decode compressed bodies, use proxies or speak HTTP/2
    (docs/users.md says what happens instead).

    Attributes:
        headers: sent with every request; assign to change, such as a bearer token that is renewed.
        answered: how many answers have come.
    """

    def __init__(
        self,
        environment: Environment,
        base_url: str,
        *,
        network_timeout: float = 60.0,
        connection_timeout: float = 60.0,
        headers: Mapping[str, str] | None = None,
        insecure: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        context: Callable[[], Mapping[str, Any]] = dict,
        lateness: Callable[[float], int] | None = None,
    ) -> None:
        url = _split(base_url)
        self.base_url = base_url.rstrip("/")
        self._timeout_ns = int(network_timeout * 1e9)
        self._prefix = url.path.rstrip("/")
        self._origin = f"{url.scheme}://{url.netloc}".lower()
        self._host_header = encode_header("Host", url.netloc)
        tls = (ssl_context or client_context(insecure=insecure)) if url.scheme == "https" else None
        self._commons = commons_of(environment)
        self._tally = self._commons.tally
        self._buffer = self._tally.buffer
        self._text_id = self._buffer.text_id
        self._fire = environment.events.request.fire
        self._context = context
        self._lateness = lateness
        assert url.hostname is not None  # _split refuses a URL without
        self._new_connection = partial(
            Connection,
            Endpoint(url.hostname, url.port or (443 if tls else 80), tls),
            self._commons.deadlines,
            self._commons.heads,
            connect_timeout_s=connection_timeout,
        )
        self._idle: list[Connection] = []
        self._connections = 0
        self.answered = 0
        self._plans: dict[PlanKey, Plan] = {}
        self.headers = ClientHeaders(self._plans.clear)
        self.headers.update({"User-Agent": "lt", "Accept": "*/*", **(headers or {})})

    @property
    def in_flight(self) -> int:
        """Requests that await an answer now."""
        return self._connections - len(self._idle)

    def close(self) -> None:
        """Close the idle connections."""
        for connection in self._idle:
            connection.close()

    def get(
        self,
        url: str,
        *,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        catch_response: bool = False,
        timeout: float | None = None,
        **options: Any,
    ) -> CaughtResponse:
        """Send a GET; the options of `request`."""
        if options:
            return self.request(
                "GET",
                url,
                name=name,
                headers=headers,
                params=params,
                catch_response=catch_response,
                timeout=timeout,
                **options,
            )
        return self._perform("GET", url, None, None, name, headers, params, catch_response, timeout, None, True)

    def post(
        self,
        url: str,
        data: str | bytes | Mapping[str, Any] | None = None,
        json: Any = None,
        *,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        catch_response: bool = False,
        timeout: float | None = None,
        **options: Any,
    ) -> CaughtResponse:
        """Send a POST; the options of `request`."""
        if options:
            return self.request(
                "POST",
                url,
                data,
                json,
                name=name,
                headers=headers,
                params=params,
                catch_response=catch_response,
                timeout=timeout,
                **options,
            )
        return self._perform("POST", url, data, json, name, headers, params, catch_response, timeout, None, True)

    def put(self, url: str, data: Any = None, json: Any = None, **options: Any) -> CaughtResponse:
        """Send a PUT; the options of `request`."""
        return self.request("PUT", url, data, json, **options)

    def patch(self, url: str, data: Any = None, json: Any = None, **options: Any) -> CaughtResponse:
        """Send a PATCH; the options of `request`."""
        return self.request("PATCH", url, data, json, **options)

    def delete(self, url: str, **options: Any) -> CaughtResponse:
        """Send a DELETE; the options of `request`."""
        return self.request("DELETE", url, **options)

    def head(self, url: str, **options: Any) -> CaughtResponse:
        """Send a HEAD; the options of `request`."""
        return self.request("HEAD", url, **options)

    def options(self, url: str, **options: Any) -> CaughtResponse:
        """Send an OPTIONS; the options of `request`."""
        return self.request("OPTIONS", url, **options)

    def request(
        self,
        method: str,
        url: str,
        data: str | bytes | Mapping[str, Any] | None = None,
        json: Any = None,
        *,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        catch_response: bool = False,
        timeout: float | None = None,
        context: Mapping[str, Any] | None = None,
        allow_redirects: bool = True,
        **unsupported: Any,
    ) -> CaughtResponse:
        """Send a request and return its answer. No answer is an answer too: status_code 0, `error` says why.

        Args:
            method: in capitals.
            url: a path below the user's host, or a whole URL on the same host.
            data: the body; a mapping is sent as a form.
            json: the body, to be encoded; only where `data` is empty.
            name: what the request is recorded under; the path unless given.
            headers: on top of the client's.
            params: of the query, added to the path.
            catch_response: judge the answer in a `with` block. (Typed as if always: Locust's own client does so.)
            timeout: seconds until the last byte of the answer, connecting included; `network_timeout` unless given.
            context: added to the request event's.
            allow_redirects: False takes a redirect as the answer. True, Locust's default, does not follow it either:
                it counts as a failed check, with the reason.
            unsupported: refused.

        Raises:
            TypeError: an option that this client does not have.
            ValueError: another host, or a header with a line break.
        """
        if unsupported:
            raise TypeError(
                f"{', '.join(f'{option}=' for option in unsupported)}: not supported by this client (docs/users.md); "
                "locust.FastHttpUser and HttpUser have it"
            )
        return self._perform(
            method, url, data, json, name, headers, params, catch_response, timeout, context, allow_redirects
        )

    def _perform(
        self,
        method: str,
        url: str,
        data: str | bytes | Mapping[str, Any] | None,
        json: Any,
        name: str | None,
        headers: Mapping[str, str] | None,
        params: Mapping[str, Any] | None,
        catch_response: bool,
        timeout: float | None,
        context: Mapping[str, Any] | None,
        allow_redirects: bool,
    ) -> CaughtResponse:
        """Do what `request` promises."""
        if json is not None and not data:
            kind = JSON
            try:
                body = orjson.dumps(json)
            except TypeError:  # what it does not take, such as integers beyond 64 bits, goes the standard library's way
                body = json_module.dumps(json).encode()
        else:
            body, kind = encode_body(data)
        if params is not None:
            plan = self._make_plan(method, url, kind, headers, params)
        else:
            key = (method, url, kind, None if headers is None else tuple(headers.items()))
            plan = self._plans.get(key) or self._keep_plan(key, headers)
        wire = b"%b%d\r\n\r\n%b" % (plan.head, len(body), body) if body or not plan.bare else plan.bare
        error: Exception | None = None
        named = None if name is None else (name, self._text_id(name))
        connection = self._idle.pop() if self._idle else self._connect()
        started_ns = perf_counter_ns()
        late_us = -1 if self._lateness is None else self._lateness(started_ns / 1e9)
        begun = BegunRequest(
            self._tally, plan.name_id if named is None else named[1], plan.method_id, started_ns, late_us
        )
        self._buffer.begin(begun)
        deadline_ns = started_ns + (self._timeout_ns if timeout is None else int(timeout * 1e9))
        try:
            reading, content, raw_head, _ = connection.exchange(wire, deadline_ns, plan.replayable, plan.bodiless)
        except OSError as failure:
            reading, content, raw_head = _NO_ANSWER
            error = _worded(failure, (deadline_ns - started_ns) / 1e9)
        except BaseException as interruption:  # its user is stopped, or a `gevent.Timeout` of the scenario's own
            begun.interrupted(interruption)
            raise
        finally:
            self._idle.append(connection)
        ended_ns = perf_counter_ns()
        status = reading[0].status
        if status >= 300:
            error = _status_error(status, allow_redirects)
        self.answered += status > 0
        stamps = connection.stamps
        stamp = stamps[0][2] if stamps else b""
        sent = (plan, url, named, started_ns, ended_ns, late_us, reading, context, stamp, begun)
        response = CaughtResponse(self, status, content, raw_head, error, sent)
        if catch_response:
            begun.answered(ended_ns, status, error, len(content))
        else:
            self.record(response, error)
        return response

    def record(self, response: Response, error: Exception | None) -> None:
        """Make the request one row and one of Locust's totals; see Tally for the two ways."""
        plan, url, named, started_ns, ended_ns, late_us, (head, age_ms, server_us), context, stamp, begun = (
            response.sent
        )
        if not self._buffer.end(begun):
            return  # the run ended before, and the request has its row
        tally = self._tally
        row = pack_timed(
            started_ns,
            ended_ns,
            late_us,
            plan.name_id if named is None else named[1],
            plan.method_id,
            head.status,
            OK if error is None else outcome_of(head.status, error),
            0 if error is None else self._text_id(error_text(error)),
            len(response.content),
            self._text_id(head.instance) if head.instance else 0,
            age_ms,
            server_us,
            stamp,
        )
        if error is None and (len(tally.listeners) == tally.quiet_listeners or not tally.somebody_else_listens()):
            tally.append(row)
            return
        tally.add_fired(row)
        self._fire(
            request_type=plan.method,
            name=plan.name if named is None else named[0],
            response_time=(ended_ns - started_ns) / 1e6,
            response_length=len(response.content),
            response=response,
            context={**self._context(), **(context or {}), RECORDED_KEY: True},
            exception=error,
            start_time=time.time() - (perf_counter_ns() - started_ns) / 1e9,
            url=self._origin + self._prefix + self._path_of(url),
        )

    def _connect(self) -> Connection:
        """Return one more connection, which opens at its first use."""
        self._connections += 1
        return self._new_connection()

    def _make_plan(
        self, method: str, url: str, kind: int, headers: Mapping[str, str] | None, params: Mapping[str, Any] | None
    ) -> Plan:
        path = self._path_of(url)
        target = f"{path}{'&' if '?' in path else '?'}{urlencode(params, doseq=True)}" if params else path
        fields = {name.lower(): encode_header(name, value) for name, value in self.headers.items()}
        fields |= {name.lower(): encode_header(name, value) for name, value in _KIND_HEADERS[kind].items()}
        fields |= {name.lower(): encode_header(name, value) for name, value in (headers or {}).items()}
        line = f"{method} {self._prefix}{target} HTTP/1.1\r\n".encode("ascii")
        head = line + fields.pop("host", self._host_header) + b"".join(fields.values())
        return Plan(
            head=head + b"Content-Length: ",
            bare=head + b"\r\n" if method in NEVER_A_BODY else b"",
            method=method,
            name=path,
            name_id=self._text_id(path),
            method_id=self._text_id(method),
            replayable=method in IDEMPOTENT,
            bodiless=method == "HEAD",
        )

    def _keep_plan(self, key: PlanKey, headers: Mapping[str, str] | None) -> Plan:
        if len(self._plans) >= MAX_PLANS:
            self._plans.clear()
        plan = self._plans[key] = self._make_plan(key[0], key[1], key[2], headers, None)
        return plan

    def _path_of(self, url: str) -> str:
        """Return the part of `url` behind the host."""
        if url.lower().startswith(("http://", "https://")):
            parts = urlsplit(url)
            if f"{parts.scheme}://{parts.netloc}".lower() != self._origin:
                raise ValueError(f"{url}: this client talks to {self._origin} alone; give the other host its own user")
            url = url[len(self._origin) :].removeprefix(self._prefix) or "/"
        path = url.partition("#")[0]
        if not path.startswith("/") or any(char <= " " or char > "~" for char in path):
            raise ValueError(
                f"{url!r}: a path begins with / and has no blanks or letters beyond ASCII (percent-encode)"
            )
        return path


def _split(base_url: str) -> Any:
    """Return the host's URL in parts, or say what is wrong with it."""
    url = urlsplit(base_url)
    if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment:
        raise ValueError(f"host {base_url!r}: must be like http://127.0.0.1:8080 or https://example.com/base")
    if url.username is not None:
        raise ValueError("host: credentials in the URL are not used; set client.headers['Authorization'] instead")
    return url


def encode_body(data: str | bytes | Mapping[str, Any] | None) -> tuple[bytes, int]:
    """Return the body's bytes and which of NO_BODY, FORM and BYTES it is."""
    if not data:
        return b"", NO_BODY
    if isinstance(data, str):
        return data.encode(), BYTES
    if isinstance(data, Mapping):
        return urlencode(data, doseq=True).encode(), FORM
    return bytes(data), BYTES


def _worded(failure: OSError, timeout_s: float) -> Exception:
    """Return the failure with a text that says the bound, where there was one, and no address that varies."""
    if failure.args == (EXPIRED,):
        return TimeoutError(f"no whole answer within {timeout_s:g} s")
    return failure


def _status_error(status: int, allow_redirects: bool) -> Exception | None:
    if status >= 400:
        return BadStatusError(f"HTTP {status}")
    if status in REDIRECTS and allow_redirects:
        return RedirectError(
            f"HTTP {status}: redirects are not followed; ask for the final address, or pass allow_redirects=False"
        )
    return None
