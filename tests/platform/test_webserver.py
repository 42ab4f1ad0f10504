"""The UI that `onoff ui` starts: no page of another site can command it, and what a person uses works."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from benchmarks.ports import free_port
from onoff_core.cli.main import main
from tests.conftest import ROOT, write_study
from tests.platform.conftest import Platform

pytestmark = pytest.mark.dagster_cli

SET_LIMIT = 'mutation { setConcurrencyLimit(concurrencyKey: "stolen", limit: 7) }'
LIMITS = "{ instance { concurrencyLimits { concurrencyKey } } }"
JSON = {"Content-Type": "application/json"}


class Server:
    """One `onoff ui`."""

    def __init__(self, folder: Path, tiny_folder: Path, **environment: str) -> None:
        home = folder / "home"
        home.mkdir(parents=True)
        (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
        write_study(folder, tiny_folder)
        self.port = free_port()
        variables = {**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "onoff_core.cli.main", "ui", "--port", str(self.port), "--allow-host", "my.lab"],
                cwd=folder, env=variables | environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 150
        while True:
            try:
                self.ask("GET", "/server_info")
                return
            except OSError:
                assert self.process.poll() is None, (folder / "log").read_text()[-3000:]
                assert time.monotonic() < deadline, (folder / "log").read_text()[-3000:]
                time.sleep(0.3)

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None
    ) -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        given = headers or {}
        connection.request(method, path, body, {"Host": f"127.0.0.1:{self.port}", **given})
        answer = connection.getresponse()
        found = answer.status, answer.read().decode(errors="replace"), dict(answer.getheaders())
        connection.close()
        return found

    def graphql(self, query: str, **headers: str) -> tuple[int, str, dict[str, str]]:
        return self.ask("POST", "/graphql", JSON | headers, json.dumps({"query": query}))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("ui"), tiny_folder)
    yield made
    made.stop()


def test_what_other_sites_send_is_refused(server: Server) -> None:
    """By every way that a page has: GET and POST, forms, a name of its own pointed here, and a web socket."""
    query, form = f"/graphql?query={quote(SET_LIMIT)}", {"Content-Type": "application/x-www-form-urlencoded"}
    foreign = {"Origin": "http://evil.example"}
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "graphql-ws"}  # fmt: skip
    body = json.dumps({"query": SET_LIMIT})
    tried = {
        "GET": server.ask("GET", query),
        "GET from a page": server.ask("GET", query, foreign),
        "POST from a page": server.ask("POST", "/graphql", JSON | foreign, body),
        "POST from a sandboxed page": server.ask("POST", "/graphql", JSON | {"Origin": "null"}, body),
        "POST from another port": server.ask("POST", "/graphql", JSON | {"Origin": "http://127.0.0.1:1"}, body),
        "a form": server.ask("POST", query, form),
        "a body without a type": server.ask("POST", query),
        "a name pointed here": server.ask("POST", "/graphql", JSON | {"Host": "evil.example"}, body),
        "an event": server.ask("POST", "/report_asset_materialization/samples", foreign),
        "a web socket": server.ask("GET", "/graphql", upgrade | foreign),
    }
    assert {name: answer[0] for name, answer in tried.items() if answer[0] not in (400, 403)} == {}
    assert "stolen" not in server.graphql(LIMITS)[1]


def test_what_a_person_uses_works(server: Server) -> None:
    own = f"http://127.0.0.1:{server.port}"
    assert server.ask("GET", "/")[0] == 200
    assert server.ask("GET", "/graphql", {"Accept": "text/html"})[0] == 200
    assert server.graphql(LIMITS)[0] == 200
    assert server.graphql(SET_LIMIT.replace("stolen", "mine"), Origin=own)[0] == 200
    assert "mine" in server.graphql(LIMITS, Host="my.lab", Origin="https://my.lab")[1]
    assert server.graphql(LIMITS, Host=f"localhost:{server.port}", Origin=f"http://localhost:{server.port}")[0] == 200
    assert "Host" not in server.ask("GET", "/assets", {"Origin": own})[1][:20]


def test_a_token_is_asked_for(tmp_path: Path, tiny_folder: Path) -> None:
    server = Server(tmp_path / "ui", tiny_folder, ONOFF_UI_TOKEN="s3cr3t")
    try:
        assert server.ask("GET", "/")[0] == 401
        assert server.graphql(LIMITS)[0] == 401
        assert server.graphql(LIMITS, Authorization="Bearer other")[0] == 401
        assert server.graphql(LIMITS, Authorization="Bearer s3cr3t")[0] == 200
        status, _, headers = server.ask("GET", "/?token=s3cr3t")
        cookie = headers["set-cookie"]
        assert (status, headers["location"]) == (303, "/")
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert server.graphql(LIMITS, Cookie=cookie.split(";")[0])[0] == 200
    finally:
        server.stop()


def test_no_other_address_without_a_token(
    platform: Callable[..., Platform], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    platform()
    assert main(["ui", "--host", "0.0.0.0"]) == 1
    assert "who reaches the UI can run code here; set ONOFF_UI_TOKEN" in capsys.readouterr().err


def test_it_says_what_to_do_without_a_home(
    platform: Callable[..., Platform], capsys: pytest.CaptureFixture[str]
) -> None:
    platform()
    assert main(["ui"]) == 1
    assert "export DAGSTER_HOME=" in capsys.readouterr().err
