"""Ask whether anything answers at a URL."""

from __future__ import annotations

import urllib.error
import urllib.request


def no_answer(url: str, *, timeout_s: float) -> str | None:
    """Return why nothing answers at `url`; None when anything does, whatever its status.

    Asks directly, whatever proxies the environment names, because the load goes directly too.
    """
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=timeout_s):
            return None
    except urllib.error.HTTPError:
        return None
    except urllib.error.URLError as error:
        return str(error.reason)
    except OSError as error:
        return str(error)
