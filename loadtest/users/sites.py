"""Find out to which server a URL leads, and keep a client's connections to each server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from ..http.pool import Pool
from .encoding import encode_header, quoted
from .refusals import SEE

DEFAULT_PORTS = {"http": 80, "https": 443}

Key = tuple[str, str, int]
"""Scheme, host name in lower case, port."""


class OtherHostError(ValueError):
    """The URL leads to a server that this client may not call."""


@dataclass(frozen=True, slots=True)
class Site:
    """One server.

    Attributes:
        origin: scheme and authority, the beginning of the server's URLs.
        host_header: the encoded Host header.
        own: whether this is the server of the user's `host`; credentials are sent only to this server.
    """

    origin: str
    host_header: bytes
    pool: Pool
    own: bool


def parse_host(base_url: str) -> SplitResult:
    """Return a user's `host` in parts.

    Raises:
        ValueError: `host` is not an HTTP or HTTPS URL.
    """
    try:
        url = urlsplit(base_url)
        sound = url.scheme in DEFAULT_PORTS and url.hostname and url.port != 0 and not (url.query or url.fragment)
    except ValueError as error:
        raise ValueError(f"host {base_url!r}: {error}") from None
    if not sound:
        raise ValueError(f"host {base_url!r}: must be like http://127.0.0.1:8080 or https://example.com/base")
    return url


def key_of(url: SplitResult) -> Key:
    """Return the identity of a server. A URL with the default port has the same identity as a URL without a port."""
    return url.scheme, (url.hostname or "").lower(), url.port or DEFAULT_PORTS.get(url.scheme, 0)


def plain_key(key: Key) -> Key:
    """Return the identity that an HTTPS server on its default port would have with HTTP.

    A redirect from such an HTTP server to the HTTPS server, or back, stays on the host.
    """
    return ("http", key[1], 80) if key == ("https", key[1], 443) else key


class Sites:
    """The servers of one client: the server of its `host`, and other servers if they are allowed.

    Attributes:
        own: the server of `host`.
        prefix: the path of `host`, without a slash at its end.
        allow_others: whether requests and redirects may go to other servers.
    """

    def __init__(self, host: SplitResult, new_pool: Callable[[Key], Pool], *, allow_others: bool) -> None:
        self._new_pool = new_pool
        self.allow_others = allow_others
        self.prefix = host.path.rstrip("/")
        self._joins = host.path.endswith("/")
        self._sites: dict[Key, Site] = {}
        self.own = self._add(host, own=True)

    def locate(self, url: str) -> tuple[Site, str]:
        """Return the server of a scenario's URL, and its percent-encoded path and query.

        Args:
            url: a path below `host` ("" is `host` itself), or a whole URL.

        Raises:
            OtherHostError: the URL leads to another server, which is not allowed.
            ValueError: the URL is neither a whole URL nor a valid path; `items`, for example, does not begin with a
                slash.
        """
        if url[:8].lower().startswith(("http://", "https://")):
            return self._located(urlsplit(url))
        url = url.partition("#")[0]
        if url.startswith("/") and not url.startswith("//"):
            path = self.prefix + url
        elif not url or url.startswith("?"):
            path = (self.prefix or "/") + url
        elif self._joins and not url.startswith("//"):
            path = f"{self.prefix}/{url}"
        else:
            raise ValueError(f"{url!r}: give a path that begins with one /, or a whole URL. {SEE}.")
        return self.own, quoted(path)

    def redirected(self, site: Site, target: str, location: str) -> tuple[Site, str]:
        """Return where a redirect from `target` on `site` leads.

        Raises:
            OtherHostError: the redirect leads to another server, which is not allowed.
            ValueError: the redirect leads to something that is not an HTTP URL.
        """
        if "\\" in location:
            raise ValueError("it contains a backslash, and URL parsers disagree about its host")
        url = urlsplit(urljoin(site.origin + target, location))
        if url.scheme not in DEFAULT_PORTS or not url.hostname:
            raise ValueError(f"it leads to a {url.scheme or 'broken'} URL")
        return self._located(url)

    def _located(self, url: SplitResult) -> tuple[Site, str]:
        key = key_of(url)
        site = self._sites.get(key)
        if site is None:
            own = plain_key(key) in self._sites and self._sites[plain_key(key)].own
            if not (own or self.allow_others):
                raise OtherHostError(
                    f"{url.scheme}://{url.netloc.rpartition('@')[2]} is not this user's host ({self.own.origin}): set "
                    f"`allow_other_hosts = True` in the user class to let load and data go there. {SEE}."
                )
            site = self._add(url, own=own)
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        return site, quoted(target)

    def _add(self, url: SplitResult, *, own: bool) -> Site:
        authority = url.netloc.rpartition("@")[2]
        pool = self._new_pool(key_of(url))
        site = Site(f"{url.scheme}://{authority}", encode_header("Host", authority), pool, own)
        self._sites[key_of(url)] = site
        return site

    def pools(self) -> list[Pool]:
        """Return the connections to every server."""
        return [site.pool for site in self._sites.values()]
