"""Send requests for Locust users with much less CPU than usual; the interface is the same as in FastHttpUser."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from ..http.response_parser import MAX_BODY_BYTES
from .encoding import Params, basic_auth
from .performer import Performer
from .refusals import SEE, STREAMING, refused_option
from .request_body import JSON, NO_BODY, Data, encode_data, encode_files, encode_json
from .response import Response

if TYPE_CHECKING:  # importing locust patches the whole process
    import ssl

    from locust.env import Environment


class FastClient(Performer):
    """An HTTP/1.1 client for one host, with keep-alive, plain or TLS.

    Any number of greenlets may use the client at the same time. docs/users.md says where the client behaves like
    FastHttpUser's client, and which features it rejects.

    Attributes:
        user: the user that owns the client; None if the client was created without a user.
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
        max_redirects: int = 30,
        allow_other_hosts: bool = False,
        max_body_bytes: int = MAX_BODY_BYTES,
        context: Callable[[], Mapping[str, Any]] = dict,
        lateness: Callable[[float], int] | None = None,
        user: Any = None,
        side: int = 0,
    ) -> None:
        super().__init__(
            environment,
            base_url,
            timeout_s=network_timeout,
            connect_timeout_s=connection_timeout,
            headers=headers or {},
            insecure=insecure,
            ssl_context=ssl_context,
            max_redirects=max_redirects,
            allow_other_hosts=allow_other_hosts,
            max_body_bytes=max_body_bytes,
            context=context,
            lateness=lateness,
            side=side,
        )
        self.user = user

    @property
    def client(self) -> NoReturn:
        """Raise an error, because this client wraps no other client."""
        raise AttributeError(f"client.client: FastUser's client wraps no other client; use close(). {SEE}.")

    def close(self) -> None:
        """Close the idle connections. The next request opens a new connection."""
        for pool in self._sites.pools():
            pool.close()

    @contextmanager
    def rename_request(self, name: str) -> Iterator[None]:
        """Record the requests of the `with` block under `name`, except those with their own `name=`."""
        self.request_name = name
        try:
            yield
        finally:
            self.request_name = None

    def get(
        self,
        url: str,
        *,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        params: Params | None = None,
        catch_response: bool = False,
        timeout: float | None = None,
        **options: Any,
    ) -> Response:
        """Send a GET. The options are the same as in `request`."""
        if options:
            options |= {"name": name, "headers": headers, "params": params, "timeout": timeout}
            return self.request("GET", url, catch_response=catch_response, **options)
        return self._perform("GET", url, b"", NO_BODY, name, headers, params, catch_response, timeout, None, -1)

    def post(
        self,
        url: str,
        data: Data = None,
        json: Any = None,
        *,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        params: Params | None = None,
        catch_response: bool = False,
        timeout: float | None = None,
        **options: Any,
    ) -> Response:
        """Send a POST. The options are the same as in `request`."""
        if options:
            options |= {"name": name, "headers": headers, "params": params, "timeout": timeout}
            return self.request("POST", url, data=data, json=json, catch_response=catch_response, **options)
        if data or json is None:
            body, kind = encode_data(data)
        else:
            body, kind = encode_json(json), JSON
        return self._perform("POST", url, body, kind, name, headers, params, catch_response, timeout, None, -1)

    def put(self, url: str, data: Data = None, **options: Any) -> Response:
        """Send a PUT. The options are the same as in `request`."""
        return self.request("PUT", url, data=data, **options)

    def patch(self, url: str, data: Data = None, **options: Any) -> Response:
        """Send a PATCH. The options are the same as in `request`."""
        return self.request("PATCH", url, data=data, **options)

    def delete(self, url: str, **options: Any) -> Response:
        """Send a DELETE. The options are the same as in `request`."""
        return self.request("DELETE", url, **options)

    def head(self, url: str, **options: Any) -> Response:
        """Send a HEAD. The options are the same as in `request`."""
        return self.request("HEAD", url, **options)

    def options(self, url: str, **options: Any) -> Response:
        """Send an OPTIONS request. The options are the same as in `request`."""
        return self.request("OPTIONS", url, **options)

    def iter_lines(self, url: str, method: str = "GET", **options: Any) -> NoReturn:
        """Raise an error, because responses are always read completely and not as a stream."""
        raise TypeError(f"iter_lines({url!r}): {STREAMING}. {SEE}.")

    def request(  # the function is long because of its list of options, in the signature and in the docstring
        self,
        method: str,
        url: str,
        name: str | None = None,
        data: Data = None,
        catch_response: bool = False,
        stream: bool = False,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str | bytes, str | bytes] | None = None,
        json: Any = None,
        allow_redirects: bool = True,
        context: Mapping[str, Any] | None = None,
        *,
        params: Params | None = None,
        files: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        timeout: float | None = None,
        max_redirects: int | None = None,
        **unsupported: Any,
    ) -> Response:
        """Send a request and return its answer. If there is no answer, status_code is 0 and `error` says why.

        Args:
            method: GET, POST, …
            url: a path below the user's host, or a whole URL on the same host.
            name: the name under which the request is recorded; by default `request_name` or the URL.
            data: the body: text, bytes, a file, an iterator of bytes, or a mapping (sent as a form).
            catch_response: whether a `with` block checks the answer. (The return type always supports a `with` block,
                as in Locust's own client.)
            stream: must be False, because responses are always read completely.
            headers: added to the client's headers.
            auth: user and password, for the Authorization header.
            json: the body, which is encoded as JSON; used only if `data` is empty.
            allow_redirects: whether to follow redirects to the same host, up to `max_redirects`; False returns a
                redirect as the answer.
            context: added to the request event's context.
            params: query parameters, added to the path.
            files: sent as a multipart form, with the fields of `data`.
            timeout: seconds until the last byte of the answer, including connecting; by default `network_timeout`.
            max_redirects: by default the user's `max_redirects`.
            unsupported: other options, which are rejected.

        Raises:
            TypeError: the client does not support an option, or the body cannot be sent.
            ValueError: the URL has another host, or a header cannot be sent.
        """
        if stream:
            raise refused_option("stream")
        for option, value in unsupported.items():
            if value or option not in ("max_retries", "to_string", "debug_stream"):
                raise refused_option(option)
        if auth is not None:
            headers = {**(headers or {}), "Authorization": basic_auth(*auth)}
        if files:
            body, content_type = encode_files(files, data)
            kind, headers = NO_BODY, {**(headers or {}), "Content-Type": content_type}
        elif json is not None and not data:
            body, kind = encode_json(json), JSON
        else:
            body, kind = encode_data(data)
        redirects = 0 if not allow_redirects else -1 if max_redirects is None else max_redirects
        return self._perform(
            method.upper(), url, body, kind, name, headers, params, catch_response, timeout, context, redirects
        )
