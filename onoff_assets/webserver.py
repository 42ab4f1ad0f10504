"""Dagster's webserver behind a guard: no page of another site can command it.

Dagster executes mutations by GET, and asks neither for whom (`Host`) nor from where (`Origin`) a request is; so any
page that is open in the same browser could start runs. Here a request has to name a host that is expected, which also
keeps out names that were pointed at this machine; what a page of another origin sends is refused; GraphQL is taken by
POST with a JSON body alone, which browsers send to other origins only after asking. With ONOFF_UI_TOKEN set, a request
also has to bring that token.

    python -m onoff_assets.webserver OPTIONS OF dagster-webserver
"""

import hmac
import os
from urllib.parse import urlsplit

from starlette.datastructures import Headers, QueryParams
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

HOSTS_VARIABLE, TOKEN_VARIABLE = "ONOFF_UI_ALLOWED_HOSTS", "ONOFF_UI_TOKEN"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_COOKIE = "onoff_token"
_BODIES = ("application/json", "application/graphql")  # a form, of whatever kind, any page can send


def guard() -> list[Middleware]:
    """Outermost first."""
    hosts = [*LOOPBACK, *os.environ.get(HOSTS_VARIABLE, "").split()]
    layers = [Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False), Middleware(SameOrigin)]
    token = os.environ.get(TOKEN_VARIABLE)
    return [*layers, Middleware(Token, token=token)] if token else layers


class SameOrigin:
    """Refuses what another origin's page sends, and GraphQL in a form that such a page can send without asking."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = _foreign(headers)
        if refused is None and scope["type"] == "http":
            refused = _unasked(scope, headers) or _unsafe(scope, headers)
        if refused is None:
            await self.app(scope, receive, send)
        else:
            await _refuse(refused, 403)(scope, receive, send)


def _foreign(headers: Headers) -> str | None:
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        return f"refused: the request comes from a page of {origin}"
    return None


def _unasked(scope: Scope, headers: Headers) -> str | None:
    """What a browser says that another site's page sends, unless a person follows a link."""
    follows_a_link = scope["method"] in ("GET", "HEAD") and headers.get("sec-fetch-mode", "navigate") == "navigate"
    if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not follows_a_link:
        return "refused: the request comes from a page of another site"
    return None


def _unsafe(scope: Scope, headers: Headers) -> str | None:
    if not scope["path"].rstrip("/").endswith("/graphql"):
        return None
    if scope["method"] in ("GET", "HEAD"):
        asks = "query" in QueryParams(scope["query_string"])
        return "refused: GraphQL is taken by POST" if asks else None
    body = headers.get("content-type", "").split(";")[0].strip().lower()
    return None if body in _BODIES else "refused: GraphQL is taken as application/json"


class Token:
    """Refuses who does not bring the token: `Authorization: Bearer`, or `?token=` once, kept as a cookie from then."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if self._fits(bearer) or self._fits(cookie_parser(headers.get("cookie", "")).get(_COOKIE, "")):
            await self.app(scope, receive, send)
        elif scope["type"] == "http" and self._fits(QueryParams(scope["query_string"]).get("token", "")):
            welcome = RedirectResponse(scope["path"], status_code=303)
            welcome.set_cookie(_COOKIE, self.token, httponly=True, samesite="strict")
            await welcome(scope, receive, send)
        else:
            await _refuse(f"a token is needed: open this address with ?token=... ({TOKEN_VARIABLE})", 401)(
                scope, receive, send
            )

    def _fits(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())


def _refuse(why: str, status: int) -> Response:
    return PlainTextResponse(why + "\n", status_code=status)


def main() -> None:
    """`dagster-webserver` with the guard before all else that it has."""
    from dagster_webserver import cli
    from dagster_webserver.webserver import DagsterWebserver

    plain = DagsterWebserver.build_middleware
    DagsterWebserver.build_middleware = lambda self: [*guard(), *plain(self)]  # type: ignore[method-assign]
    cli.main()


if __name__ == "__main__":
    main()
