"""Remove secrets from a text before it is written anywhere: log, rows, failures, tracebacks, run.json."""

from __future__ import annotations

import re

MARK = "[not recorded]"

_STEM = (
    r"(?:token | secret | passw(?:or)?d | passphrase | passwd | \bpwd | api[_-]?key | access[_-]?key | private[_-]?key"
    r" | credentials? | session[_-]?(?:id|key) | signature | \bsig | jwt | assertion | authorization | cookie)"
    r"(?:[_-]?(?:id|value|key|hash))?"
)
"""The end of a name whose value is a credential. The beginning of the name (`x-csrf-`, `refresh_`) does not matter.
`tokens=` and `tokenizer:` do not match, because they are counts and names of language models."""

_QUOTE = r"(?:\\*['\"])"
_TO = rf"(?: {_QUOTE}? \s* [:=] \s* | {_QUOTE} \s* , \s* )"
"""The text between a name and its value: `=`, `: `, `": "`, or `, ` as in the header pairs that some clients print:
`('a', 'b')`."""

_QUOTED = r"""(?: b? (?P<quote>\\*["']) (?: (?! (?<!\\) (?P=quote) ) [^\n] )* )"""
_SCHEME = r"(?: (?: bearer | basic | token | negotiate | apikey ) \s+ )?"
_DIGEST = r"(?: (?: digest | aws4 [\w-]* | hmac [\w-]* | signature ) \s+ [^\n]* )"
_COOKIES = r"(?: [^\s;,'\"]+ (?: ; \s* [^\s;=,'\"]+ = [^\s;,'\"]* )* )"
_BARE = r"[^\s'\",;&(){}\[\]<>\\]+"

_SECRET = re.compile(
    rf"""(?ix)
    (?P<url> :// ) [^\s/?\#'"<>]* @                                # https://me:password@host, https://token@host
    | (?P<cookie> cookie {_TO} ) (?! {_QUOTE} ) {_COOKIES}
    | (?P<name> {_STEM} {_TO} ) (?: {_QUOTED} | {_DIGEST} | {_SCHEME} {_BARE} )
    | (?P<scheme> \b bearer \s+ ) [^\s'",;&(){{}}\[\]<>]+
    | (?P<basic> \b basic \s+ ) (?! auth | usage ) [a-z0-9+/_-]{{4,}} =*
    | (?P<pem> -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY----- ) .*? (?: -----END [^\n]* | \Z )
    | (?P<shape> ) (?: \b eyJ [\w-]{{8,}} \. [\w-]+ (?: \. [\w-]* )?   # JSON web tokens
        | \b (?: ghp | gho | ghs | github_pat | glpat | xox[abpr] ) [_-] [\w-]{{8,}}
        | \b sk- [\w-]{{16,}} | \b AKIA [A-Z0-9]{{12,}} | \b AIza [\w-]{{20,}} | \b ya29 \. [\w.-]{{8,}} )
    """,
    re.DOTALL,
)


def redact(text: str) -> str:
    """Return `text` in which MARK replaces everything that looks like a secret; the name before the secret is kept.

    The function covers `Authorization`, `Cookie` and `Set-Cookie` headers, bearer and basic credentials, passwords and
    tokens as `key=value`, JSON, Python or header pairs, credentials in URLs, tokens in query strings, private keys, and
    tokens whose form is known. A secret that looks like a word and has no name before it is not found. The time is
    linear in the length of the text, unless the text has many quotation marks.
    """
    return _SECRET.sub(_marked, text)


def _marked(match: re.Match[str]) -> str:
    if match["url"]:
        return f"://{MARK}@"
    if match["name"]:
        quote = match["quote"] or ""
        return f"{match['name']}{quote}{MARK}"
    lead = next((match[name] for name in ("cookie", "scheme", "basic", "pem") if match[name]), "")
    return lead + MARK
