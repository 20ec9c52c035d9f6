"""Group texts that differ only in ids: paths into endpoints, error texts into kinds.

The rules of `path_template`, segment by segment (docs/numbers.md repeats them for users):

| becomes | what |
|---|---|
| `{date}` | `2026-11-26`, `2026-11`, `20261126`, with or without a time of day |
| `{id}` | a number; a UUID; 8 or more hexadecimal digits that include letters and figures, or 16 or more of any kind; a
ULID; 16 or more letters and figures mixed as in base64; an IPv4 address; an e-mail address |
| `name-{id}`, `name{id}` | such an id, or a number of two or more figures, before or after one of
`- _ . : ~ , ; = @ ! $ ( ) * +`; four or more figures after letters |
| itself | words, slugs, camelCase, versions (`v1`, `v2beta1`, `1.2.3`), `oauth2`, `sha256`, `i18n` |

In a query, the names of the parameters and the values that are words are kept. Other values (ids, numbers and texts
longer than 24 characters) become `{name}`. A fragment is left out.
"""

from __future__ import annotations

import functools
import itertools
import re

MAX_NAME_CHARS = 300
"""An endpoint's name is cut off at this length, because no table shows more."""

_HEX = r"(?=[0-9a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}|[0-9a-f]{16,}"
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_DAY = r"(?:19|20)\d\d-(?:0\d|1[0-2])(?:-[0-3]\d)?"
_DATE = re.compile(
    rf"(?i:{_DAY}(?:[t_ +](?:\d\d(?:[:.\-]|%3a)?)+\d*(?:z|[+-]\d\d:?\d\d)?)?|(?:19|20)\d\d(?:0[1-9]|1[0-2])[0-3]\d)"
)
_VERSION = re.compile(r"(?i:v\d+(?:[._-]?\w+){0,3}|\d{1,3}\.\d{1,3}(?:\.\d{1,3})?)")
_ID = re.compile(
    rf"(?i:[+-]?\d+|[+-]?\d+\.\d+|\{{?{_UUID}\}}?|{_HEX}|0x[0-9a-f]+|[0-7][0-9a-hjkmnp-tv-z]{{25}}|\d{{1,3}}(?:\.\d{{1,3}}){{3}})"
)
_EMAIL = re.compile(r"[^@/]+(?:@|%40)[\w-]+(?:\.[\w-]+)+")
_SEPARATOR = re.compile(r"([._~:;,=@!$()*+-]|%[0-9A-Fa-f]{2})")
_TAIL = re.compile(r"(?i:([a-z]+)(\d{4,}))")
_WORD = re.compile(r"[A-Za-z]?[a-z]*|[A-Z]+|\d{1,3}")
_PLAIN = re.compile(r"[A-Za-z_-]{0,15}")
_PLAIN_PATH = re.compile(rf"(?:{_PLAIN.pattern}/)*{_PLAIN.pattern}")
_EXTENSION = re.compile(r"[A-Za-z][A-Za-z0-9]{0,4}")

MIXED_CHARS = 16
MIXED_RATIO = {0: 0.45, 1: 0.4}
"""A segment of at least MIXED_CHARS characters counts as base64 if enough pairs of neighbouring characters are of
different kinds (capital, small, digit). MIXED_RATIO gives the smallest sufficient share of such pairs for segments with
no digit and with one digit; with two or more digits, a share of 0.3 is sufficient. For comparison, this share is 0.62
in random letters and digits, 0.38 in `getUserProfileDetailsByName`, and 0.25 in `OAuth2AuthorizationServer`."""


def path_template(path: str) -> str:
    """Return the endpoint to which a path with its query belongs: `/users/17?page=2` gives `/users/{id}?page={page}`.

    Idempotent. The scheme and host of a whole URL are kept.
    """
    if len(path) <= MAX_NAME_CHARS and _PLAIN_PATH.fullmatch(path):
        return path
    return _path_template(path) if len(path) < MAX_NAME_CHARS * 10 else _path_template(path[: MAX_NAME_CHARS * 10])


@functools.lru_cache(maxsize=4096)
def _path_template(path: str) -> str:
    origin = ""
    if "://" in path:
        scheme, _, rest = path.partition("://")
        host, slash, rest = rest.partition("/")
        origin, path = f"{scheme}://{host}", slash + rest
    path = path.partition("#")[0]
    path, mark, query = path.partition("?")
    grouped = "/".join(_segment(segment) for segment in path.split("/"))
    if mark:
        grouped += "?" + "&".join(_parameter(pair) for pair in query.split("&"))
    whole = origin + grouped
    return whole if len(whole) <= MAX_NAME_CHARS else whole[: MAX_NAME_CHARS - 1] + "…"


def _segment(segment: str) -> str:
    if _PLAIN.fullmatch(segment) or "{" in segment:
        return segment
    if _DATE.fullmatch(segment):
        return "{date}"
    if _VERSION.fullmatch(segment):
        return segment
    if _is_id(segment) or _EMAIL.fullmatch(segment):
        return "{id}"
    parts = _SEPARATOR.split(segment)
    if len(parts) == 1:
        return _TAIL.sub(r"\1{id}", segment) if _TAIL.fullmatch(segment) else segment
    has_extension = parts[-2] == "." and _EXTENSION.fullmatch(parts[-1]) is not None
    return "".join(
        _part(part, alone=has_extension and len(parts) == 3) if at % 2 == 0 else part for at, part in enumerate(parts)
    )


def _part(part: str, *, alone: bool) -> str:
    """Return the template of a piece of a segment. `alone`: the segment is just a file name with extension."""
    if len(part) < 2 and not (alone and part.isdigit()):
        return part
    if _DATE.fullmatch(part):
        return "{date}"
    if _is_id(part):
        return "{id}"
    return _TAIL.sub(r"\1{id}", part) if _TAIL.fullmatch(part) else part


def _is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None or _is_mixed(text)


def _is_mixed(text: str) -> bool:
    text = text.rstrip("=")
    if len(text) < MIXED_CHARS or not text.replace("-", "").replace("_", "").isalnum() or not text.isascii():
        return False
    if all(_WORD.fullmatch(part) for part in re.split("[-_]", text)):
        return False
    kinds = [0 if char.isdigit() else 1 if char.islower() else 2 for char in text]
    changes = sum(kind != other for kind, other in itertools.pairwise(kinds))
    return changes >= MIXED_RATIO.get(kinds.count(0), 0.3) * (len(kinds) - 1)


def _parameter(pair: str) -> str:
    name, equals, value = pair.partition("=")
    if not equals:
        return _segment(pair)
    return f"{name}={{{name}}}" if len(value) > 24 or _segment(value) != value else pair


_ERROR_IDS = re.compile(
    rf"""(?ix)
    (?P<kept> (?: \b HTTP (?:/\d (?:\.\d)?)? | \b status (?:[ _]code)? | \b code | \b errno | \b port | \b within
              | \b line | \b version | \b Read\ timed\ out\. \ \( read\ timeout ) \s* [:=]? \s* \d+ (?:\.\d+)?
            | \A \d{{3}} \b
            | \b \d{{1,3}} (?: \. \d{{1,3}} ){{3}} (?: : \d+ )?
            | : \d{{2,5}} (?= / | \b (?! [:\d]) ) )
    | (?P<id> \b {_UUID} \b | \b 0x [0-9a-f]+ \b | \b (?: {_HEX} ) \b )
    | (?P<date> \b {_DAY} (?: [t\ ] \d\d:\d\d (?: :\d\d (?:\.\d+)? )? z? )? )
    | (?P<mixed> \b [a-z0-9_-]{{16,}} )
    | (?P<number> (?<! [\w.] ) [+-]? \d+ (?: [.,] \d+ )* (?: e [+-]? \d+ )? (?! \w ) )
    | (?P<tail> (?<= [a-z_-] ) \d{{4,}} \b )
    """
)


def text_template(text: str) -> str:
    """Return the kind of an error's text: texts that differ only in ids and numbers are of the same kind.

    UUIDs, memory addresses, hashes and mixed tokens become `{id}`, points in time `{date}`, and numbers `{n}`. Numbers
    that matter are kept: HTTP statuses, error codes, IP addresses, ports and time limits (`within 5`).
    """
    return _ERROR_IDS.sub(_error_part, text)


def _error_part(match: re.Match[str]) -> str:
    kind, text = match.lastgroup, match[0]
    if kind == "kept" or (kind == "mixed" and not _is_mixed(text)):
        return text
    return {"id": "{id}", "mixed": "{id}", "date": "{date}"}.get(kind or "", "{n}")
