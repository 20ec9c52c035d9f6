"""Perform requests, record them, and keep the cookies, connections and prepared requests of one user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http.cookiejar import CookieJar
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ..core.row_bounds import bytes_of
from ..http.connection import Endpoint
from ..http.content_coding import decode_body
from ..http.pool import Pool
from ..http.response_parser import Answer, ProtocolError, fields_of
from ..http.tls import client_context
from ..recording.buffer import RECORDED_KEY
from ..recording.outcomes import OK
from .answers import answers_of
from .cookies import cookie_header, keep_cookies
from .encoding import ClientHeaders, Params, basic_auth, with_params, without
from .failures import describe, judge, status_error
from .prepared import PreparedRequest, prepare
from .redirects import CREDENTIALS, RedirectError, Step, location_of, next_step
from .request import Request
from .response import Response
from .sites import Key, Site, Sites, parse_host
from .totals import Tally, pack_timed

if TYPE_CHECKING:  # importing locust patches the whole process
    import ssl

    from locust.env import Environment

MAX_PREPARED = 1_024

PreparedKey = tuple[str, str, int, tuple[tuple[str, str], ...] | None]
"""Method, URL, kind of body, and headers of the request itself."""

_ATTRIBUTE = "lt_tally"


def tally_of(environment: Environment) -> Tally:
    """Return the state that the clients of this environment share. The first call creates the state."""
    tally: Tally | None = getattr(environment, _ATTRIBUTE, None)
    if tally is None:
        tally = Tally(environment)
        setattr(environment, _ATTRIBUTE, tally)
    return tally


class Performer:
    """Sends FastClient's requests: it gets the encoded body, sends the request and records the row.

    Attributes:
        headers: the headers that are sent with every request; a scenario may change them, for example to renew a bearer
            token.
        request_name: the name under which requests without `name=` are recorded; see `rename_request`.
        base_url: the user's host, without credentials.
        auth_header: the Authorization header for credentials in the host's URL; None without credentials.
        request_event: Locust's event, which is fired for failures, and for all requests if another listener is
            registered.
        context_of_user: returns the user's addition to the event's context.
        answered: the number of answers so far.
    """

    def __init__(
        self,
        environment: Environment,
        base_url: str,
        *,
        timeout_s: float,
        connect_timeout_s: float,
        headers: Mapping[str, str],
        insecure: bool,
        ssl_context: ssl.SSLContext | None,
        max_redirects: int,
        allow_other_hosts: bool,
        max_body_bytes: int,
        context: Callable[[], Mapping[str, Any]],
        lateness: Callable[[float], int] | None,
        side: int,
    ) -> None:
        host = parse_host(base_url)
        self._tally = tally = tally_of(environment)

        def new_pool(key: Key) -> Pool:
            tls = (ssl_context or client_context(insecure=insecure)) if key[0] == "https" else None
            return Pool(Endpoint(key[1], key[2], tls), tally.transport, connect_timeout_s, max_body_bytes)

        self._sites = Sites(host, new_pool, allow_others=allow_other_hosts)
        self.base_url = self._sites.own.origin + self._sites.prefix
        self.auth_header: str | None = None
        if host.username and host.password:
            self.auth_header = basic_auth(unquote(host.username), unquote(host.password))
        self._timeout_ns = int(timeout_s * 1e9)
        self._max_redirects = max_redirects
        self.max_body_bytes = max_body_bytes
        self._buffer = tally.buffer
        self._name_id = self._buffer.name_id
        self._error_id = self._buffer.error_id
        self._instance_id = self._buffer.instance_id
        self.request_event = environment.events.request
        self._fire = self.request_event.fire
        self.context_of_user = context
        self._lateness = lateness
        self._side = side
        self._answers = answers_of(environment)
        self.request_name: str | None = None
        self.answered = 0
        self._jar: CookieJar | None = None
        self._prepared: dict[PreparedKey, PreparedRequest] = {}
        self.headers = ClientHeaders(self._prepared.clear)
        self.headers.update({"User-Agent": "lt", "Accept": "*/*", **headers})

    @property
    def cookiejar(self) -> CookieJar:
        """The cookies that the service has set, and those that the scenario adds."""
        if self._jar is None:
            self._jar = CookieJar()
        return self._jar

    def _perform(  # noqa: PLR0912, PLR0915 - one function, because in this inner loop a call takes 0.1 of the 16 µs
        self,
        method: str,
        url: str,
        body: bytes,
        kind: int,
        name: str | None,
        headers: Mapping[str, str] | None,
        params: Params | None,
        catch_response: bool,
        timeout: float | None,
        context: Mapping[str, Any] | None,
        max_redirects: int,
    ) -> Response:
        """Implement `request`. If `max_redirects` is −1, the user's own limit applies."""
        if params is None:
            key = (method, url, kind, None if headers is None else tuple(headers.items()))
            prepared = self._prepared.get(key) or self._keep(key, headers)
        else:
            prepared = self._prepare(method, url, kind, headers, params)
        cookies = b""
        if self._jar is not None:
            cookies = self._cookies_for(prepared)
            wire = prepared.wire(body, cookies)
        elif body or not prepared.bare:
            wire = b"%b%d\r\n\r\n%b" % (prepared.head, len(body), body)
        else:
            wire = prepared.bare
        if name or self.request_name:
            name = str(name or self.request_name)
            name_id = self._name_id(name)
        else:
            name, name_id = prepared.name, prepared.name_id
        error: Exception | None = None
        content: bytes | None
        started_ns = perf_counter_ns()
        late_us = -1 if self._lateness is None else self._lateness(started_ns / 1e9)
        timeout_ns = self._timeout_ns if timeout is None else int(timeout * 1e9)
        request = Request(self._tally, prepared, name, name_id, body, headers, context, started_ns, late_us)
        if cookies:
            request.cookies = cookies
        self._buffer.begin(request)
        history: list[Response] | None = None
        pool = prepared.pool
        connection = pool.idle.pop() if pool.idle else pool.add()
        try:
            try:
                parsed, content, raw_head, _ = connection.exchange(
                    wire, started_ns, started_ns + timeout_ns, prepared.replayable, prepared.bodiless
                )
            finally:
                pool.idle.append(connection)
            request.parsed, request.ended_ns, stamps = parsed, connection.used_ns, connection.stamps
            request.stamp = stamps[0][2] if stamps else b""
            if not parsed[0].plain:
                history = []
                content, raw_head, error = self._look_closer(
                    request, kind, (content, raw_head), started_ns + timeout_ns, max_redirects, history
                )
            self.answered += 1
        except OSError as failure:
            request.failed()
            content, raw_head, error = None, b"", describe(failure, timeout_ns / 1e9)
        except (
            BaseException
        ) as interruption:  # the user is being stopped, or a `gevent.Timeout` of the scenario has fired
            request.interrupted(interruption)
            raise
        response = Response(self, request, request.parsed[0].status, content, raw_head, error, catch_response)
        if history:
            response.set_history(history)
        if catch_response:
            request.answered(error, len(content or b""))
        else:
            self.record(response, error)
        return response

    def record(self, response: Response, error: Exception | None) -> None:
        """Record the request as one row, and count it once in Locust's totals, in one of the two ways of Tally."""
        request = response.request
        if not self._buffer.end(request):
            return  # the run has ended, and the request already has its row
        tally, meta, content = self._tally, response.changed_meta, response.content
        size_bytes = len(content) if content else 0
        if meta is not None:
            request.change(meta)
            told_bytes = bytes_of(meta.get("response_length") or 0)
            size_bytes = size_bytes if told_bytes is None else told_bytes
        if error is None and self._answers is not None:
            lines = request.prepared.lines
            error = self._answers.look(
                lines + request.cookies if request.cookies else lines,
                request.payload,
                response.status_code,
                content,
                response,
            )
        if error is None:
            head, age_ms, server_us = request.parsed
            row = pack_timed(
                request.started_ns,
                request.ended_ns,
                request.late_us,
                request.name_id,
                request.method_id,
                head.status,
                OK,
                0,
                size_bytes,
                self._instance_id(head.instance) if head.instance else 0,
                age_ms,
                server_us,
                request.prepared.side,
                request.stamp,
            )
            if len(tally.listeners) == tally.quiet_listeners or not tally.somebody_else_listens():
                tally.append(row)
                return
        else:
            outcome, text = judge(request.parsed[0].status, error, response.error)
            row = request.row(outcome, self._error_id(text), size_bytes)
        tally.add_fired(row)
        event = {**request.meta(response, self.context_of_user(), error), **(meta or {}), "exception": error}
        self._fire(**{**event, "context": {**event["context"], RECORDED_KEY: True}})

    def row_name(self, request: Request) -> str:
        """Return the name of the request's row."""
        return self._buffer.text(request.name_id)

    def repeat(self, request: Request) -> tuple[int, bytes | None]:
        """Send a request again unchanged, and return status and body of its answer, without recording it.

        Raises:
            OSError: there was no answer.
        """
        prepared, begin_ns = request.prepared, perf_counter_ns()
        again = Request(
            self._tally,
            prepared,
            request.name,
            request.name_id,
            request.payload,
            request.given_headers,
            None,
            begin_ns,
            -1,
        )
        deadline_ns = begin_ns + self._timeout_ns
        wire = prepared.wire(request.payload, request.cookies)
        again.parsed, content, raw_head, _ = self._exchange(prepared, wire, deadline_ns, again)
        if not again.parsed[0].plain:
            content, _, _ = self._look_closer(again, prepared.kind, (content, raw_head), deadline_ns, -1, [])
        return again.parsed[0].status, content

    def _look_closer(
        self,
        request: Request,
        kind: int,
        answer: tuple[bytes, bytes],
        deadline_ns: int,
        max_redirects: int,
        history: list[Response],
    ) -> tuple[bytes, bytes, Exception | None]:
        """Keep cookies, follow redirects and decode the body of an answer that is not plain.

        Args:
            request: gets the head and the times of the last answer.
            kind: the kind of the request's body.
            answer: body and head of the first answer.
            deadline_ns: the deadline of the whole chain of redirects.
            max_redirects: the maximum number; −1 means the user's own limit.
            history: gets the redirects that were followed.

        Returns:
            Body and head of the last answer, and why it is a failure, if it is one.
        """
        prepared = request.prepared
        step = Step(prepared.site, prepared.target, prepared.method, request.payload, kind, request.given_headers)
        limit = self._max_redirects if max_redirects < 0 else max_redirects
        content, raw_head = answer
        while True:
            status = request.parsed[0].status
            if b"\nset-cookie" in raw_head.lower():
                keep_cookies(self.cookiejar, prepared.url, raw_head)
            location = location_of(status, raw_head)
            if not location or not limit:
                return self._decoded(content, raw_head, status)
            if len(history) == limit:
                return content, raw_head, RedirectError(f"HTTP {status}: redirected more than {limit} times")
            try:
                step = next_step(step, self._sites.own, self._sites, status, location)
            except RedirectError as error:
                return content, raw_head, error
            history.append(Response(self, request, status, content, raw_head, None, False))
            prepared = self._prepare_at(step.site, step.target, step.method, step.kind, step.headers, "")
            wire = prepared.wire(step.body, b"" if self._jar is None else self._cookies_for(prepared))
            request.parsed, content, raw_head, _ = self._exchange(prepared, wire, deadline_ns, request)

    @staticmethod
    def _exchange(prepared: PreparedRequest, wire: bytes, deadline_ns: int, request: Request) -> Answer:
        """Send the request that follows a redirect, and return the answer. `request` gets the time of the answer."""
        pool = prepared.pool
        connection = pool.idle.pop() if pool.idle else pool.add()
        try:
            return connection.exchange(wire, perf_counter_ns(), deadline_ns, prepared.replayable, prepared.bodiless)
        finally:
            request.ended_ns, stamps = connection.used_ns, connection.stamps
            request.stamp = stamps[0][2] if stamps else b""
            pool.idle.append(connection)

    def _decoded(self, content: bytes, raw_head: bytes, status: int) -> tuple[bytes, bytes, Exception | None]:
        """Return the body without its content coding, the head, and why the answer is a failure, if it is one."""
        coding = ",".join(value.decode("latin-1") for name, value in fields_of(raw_head) if name == b"content-encoding")
        error: Exception | None = status_error(status)
        try:
            if content and coding:
                content = decode_body(content, coding, limit_bytes=self.max_body_bytes)
        except ProtocolError as failure:
            error = error or failure
        return content, raw_head, error

    def _cookies_for(self, prepared: PreparedRequest) -> bytes:
        """Return the header with the jar's cookies, unless the request has its own Cookie header."""
        if self._jar is None or b"\r\ncookie:" in prepared.lines.lower():
            return b""
        return cookie_header(self._jar, prepared.url)

    def _keep(self, key: PreparedKey, headers: Mapping[str, str] | None) -> PreparedRequest:
        if len(self._prepared) >= MAX_PREPARED:
            self._prepared.clear()
        prepared = self._prepared[key] = self._prepare(key[0], key[1], key[2], headers, None)
        return prepared

    def _prepare(
        self, method: str, url: str, kind: int, headers: Mapping[str, str] | None, params: Params | None
    ) -> PreparedRequest:
        address = url.partition("#")[0]
        site, target = self._sites.locate(with_params(address, params) if params else address)
        return self._prepare_at(site, target, method, kind, headers, url or "/")

    def _prepare_at(
        self, site: Site, target: str, method: str, kind: int, headers: Mapping[str, str] | None, name: str
    ) -> PreparedRequest:
        """Return a request to a path of a server. The client's own credentials are sent only to its own server."""
        extra = {} if self.auth_header is None or not site.own else {"Authorization": self.auth_header}
        return prepare(
            site,
            target,
            method,
            kind,
            name=name,
            text_id=self._name_id,
            client_headers=self.headers if site.own else without(self.headers, CREDENTIALS | {"cookie"}),
            headers=headers,
            last_headers=extra,
            side=self._side,
        )
