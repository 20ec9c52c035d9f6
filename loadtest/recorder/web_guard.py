"""Restrict Locust's own web page to the person who started the run, and do not allow its target to be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.access import Access, RequestHead

if TYPE_CHECKING:
    from locust.env import Environment
    from locust.web import WebUI

SECRET_PARAMETER = "key"
"""Query parameter for the key in the address that `lt run --ui` prints. Later requests send the key in a cookie that no
other site can use."""


def guard(environment: Environment, web_ui: WebUI, access: Access) -> None:
    """Check every request before any of Locust's own handlers sees it. Call this before the page listens.

    Host, Origin and Sec-Fetch-Site are checked as on every listener (`core.access`). The first request has the
    secret in its address, and later requests have the secret in a cookie. Locust's page sends forms, so JSON is not
    required; instead the cookie is `SameSite=Strict`. A request to start users (`/swarm`) may name only the run's
    target as host.
    """
    from flask import Response, redirect, request

    cookie = f"lt_ui_{web_ui.port}"
    target = environment.host or ""

    def check() -> Any:
        head = RequestHead.of(request.method, list(request.headers.items()))
        refusal = access.foreign(head)
        if refusal is not None:
            return Response(refusal.text, refusal.status, mimetype="text/plain")
        if access.knows(request.args.get(SECRET_PARAMETER)) and head.method == "GET":
            answer = redirect("/")
            answer.set_cookie(cookie, access.secret, httponly=True, samesite="Strict")
            return answer
        if not access.knows(request.cookies.get(cookie)):
            return Response("Open the address that `lt run --ui` printed: it contains the key of this run.", 401)
        if request.method not in ("GET", "HEAD") and request.form.get("host", target) != target:
            return Response(
                f"The target of this run is {target or 'the scenario'}: start a new run for another target.", 403
            )
        return None

    def seal(answer: Response) -> Response:
        answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        answer.headers["X-Frame-Options"] = "DENY"
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer

    app = web_ui.app
    assert app is not None
    app.before_request_funcs.setdefault(None, []).insert(0, check)
    app.after_request(seal)
