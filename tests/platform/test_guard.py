"""The guard before Dagster's webserver, alone: what it lets through, in every way that a request can be written."""

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from onoff_assets.webserver import guard

OWN, JSON = "127.0.0.1:3000", "application/json"


async def reached(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands in for the webserver."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    else:
        await PlainTextResponse("reached")(scope, receive, send)


def answer(kind: str, method: str, path: str, query: str = "", **headers: str) -> int:
    """The status of a request; 101 where a web socket was opened. `host=...`: the header, with - for _."""
    app = Starlette(middleware=guard())
    app.router = reached  # type: ignore[assignment]
    given = {"host": OWN, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": kind, "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
        "scheme": "http", "server": ("127.0.0.1", 3000), "client": ("127.0.0.1", 1), "root_path": "", "app": app,
        "http_version": "1.1", "subprotocols": [], "extensions": {"websocket.http.response": {}},
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect" if kind == "websocket" else "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    first = sent[0]
    return 101 if first["type"] == "websocket.accept" else int(first.get("status", 403))


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:3000", "127.0.0.1@evil.example",
     "localhost.", "2130706433", "0.0.0.0", "", "127.0.0.1, evil.example"],
)  # fmt: skip
def test_a_name_that_was_pointed_here(host: str) -> None:
    assert answer("http", "POST", "/graphql", host=host, content_type=JSON) == 400
    assert answer("websocket", "GET", "/graphql", host=host, origin=f"http://{host}") in (400, 403)


@pytest.mark.parametrize(
    "origin",
    ["null", "http://evil.example", "http://127.0.0.1:1", f"http://{OWN}.evil.example", f"http://{OWN}@evil.example",
     f"http://evil.example#{OWN}", f"http://evil.example/{OWN}", "file://", ""],
)  # fmt: skip
def test_a_page_of_another_origin(origin: str) -> None:
    assert answer("http", "POST", "/graphql", origin=origin, content_type=JSON) == 403
    assert answer("websocket", "GET", "/graphql", origin=origin) == 403


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "text/plain; application/json", "application/x-www-form-urlencoded", "", "application/json,a/b",
     "multipart/form-data; boundary=x"],
)  # fmt: skip
def test_a_body_that_any_page_can_send(content_type: str) -> None:
    assert answer("http", "POST", "/graphql", content_type=content_type) == 403


@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "//graphql", "/prefix/graphql"])
@pytest.mark.parametrize("query", ["query=x", "%71uery=x", "a=1&query=x"])
def test_a_mutation_by_get(path: str, query: str) -> None:
    assert answer("http", "GET", path, query) == 403
    assert answer("http", "HEAD", path, query) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_the_browser_says_of_where_it_comes_from(site: str) -> None:
    """Also where it names no origin; but a link in a mail or on a page may be followed."""
    assert answer("http", "POST", "/report_asset_materialization/samples", sec_fetch_site=site) == 403
    assert answer("http", "GET", "/assets", sec_fetch_site=site, sec_fetch_mode="no-cors") == 403
    assert answer("http", "GET", "/assets", sec_fetch_site=site, sec_fetch_mode="navigate") == 200


def test_what_a_person_uses() -> None:
    own = {"origin": f"http://{OWN}", "sec_fetch_site": "same-origin", "sec_fetch_mode": "cors"}
    assert answer("http", "POST", "/graphql", content_type=JSON, **own) == 200
    assert answer("http", "GET", "/assets", sec_fetch_site="none", sec_fetch_mode="navigate") == 200
    assert answer("http", "GET", "/static/x.js", sec_fetch_site="same-origin", sec_fetch_mode="no-cors") == 200
    assert answer("websocket", "GET", "/graphql", origin=f"http://{OWN}") == 101
    assert answer("http", "POST", "/graphql", content_type=JSON) == 200, "programs name no origin"
    assert answer("http", "POST", "/graphql", content_type=JSON, host="LOCALHOST") == 200
