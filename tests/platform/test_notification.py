"""A night that failed is told once, when it is over; a good one is not."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from onoff_assets.notification import send
from onoff_core.errors import DatasetError, PlatformError
from onoff_core.grid import materialize
from tests.platform.conftest import Platform
from tests.platform.test_following import a_run

DATASETS = {name: {"source": "arithmetic", "num_examples": 1} for name in ("a", "b")}


class Mailbox:
    """A server on loopback that keeps what it is sent."""

    def __init__(self) -> None:
        self.letters: list[dict[str, Any]] = []
        self.status, letters, mailbox = 200, self.letters, self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                letters.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(mailbox.status)
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    made = Mailbox()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


class Ticks:
    """The sensor's ticks, one after the other."""

    def __init__(self, platform: Platform) -> None:
        self.platform, self.cursor = platform, None

    def tick(self) -> str:
        repository = self.platform.defs.get_repository_def()
        sensor = repository.get_sensor_def("notify")
        context = dg.build_sensor_context(self.platform.instance, cursor=self.cursor, repository_def=repository)
        found = sensor.evaluate_tick(context)
        self.cursor = found.cursor
        return str(found.skip_message)


def broken(*arguments: object) -> None:
    raise DatasetError("line 3 is no problem")


def test_one_summary_of_a_night_that_failed(
    platform: Callable[..., Platform], mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = platform(datasets=DATASETS, automation={"notify": [mailbox.url], "max_failures": 0})
    sensor = made.defs.get_repository_def().get_sensor_def("notify")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    ticks = Ticks(made)
    ticks.tick()
    with monkeypatch.context() as patch:
        patch.setattr(materialize, "_sample", broken)
        made.materialize("a|tiny", raises=False)
    running = a_run(made, ("samples",), "b|tiny", status=dg.DagsterRunStatus.STARTED)
    assert "under way" in ticks.tick()
    assert mailbox.letters == [], "it is told when it is over"
    made.instance.report_run_failed(running, "killed")
    made.instance.add_run_tags(running.run_id, {"dagster/will_retry": "false"})
    assert ticks.tick() == "told"
    assert ticks.tick() == "nothing to tell"
    [letter] = mailbox.letters
    assert letter["title"] == f"onoff, {made.folder}/onoff.yaml: 2 partitions or assets failed"
    for said in (
        "samples of a|tiny: line 3 is no problem",
        "a|tiny: failed 1 times, and is left until an input changes or someone asks",
        "failed: b|tiny (run ",
    ):
        assert said in letter["message"]


def test_a_failed_check_is_told_and_a_good_night_is_not(
    platform: Callable[..., Platform], mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = platform(datasets={"a": DATASETS["a"]}, automation={"notify": [mailbox.url], "max_truncated_share": 0.0})
    ticks = Ticks(made)
    ticks.tick()
    made.materialize("a|tiny", "samples")
    assert ticks.tick() == "nothing to tell", "a warning is no failure"
    with monkeypatch.context() as patch:
        patch.setattr("onoff_core.checks.rewards.TIMEOUT_LIMIT", 0.0)
        made.materialize("a|tiny", "rewards")
    assert ticks.tick() == "told"
    [letter] = mailbox.letters
    assert letter["title"].endswith(": 1 checks failed")
    assert "check few_responses_time_out: a|tiny: 0 of 3 responses ran out of time" in letter["message"]


def test_what_is_not_delivered_is_told_again(
    platform: Callable[..., Platform], mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tick fails, and the next one tries it again."""
    made = platform(datasets={"a": DATASETS["a"]}, automation={"notify": [mailbox.url]})
    ticks = Ticks(made)
    ticks.tick()
    with monkeypatch.context() as patch:
        patch.setattr(materialize, "_sample", broken)
        made.materialize("a|tiny", raises=False)
    mailbox.status = 500
    with pytest.raises(PlatformError, match="did not take it"):
        ticks.tick()
    mailbox.status = 200
    assert ticks.tick() == "told"


def test_it_is_off_unless_asked_for(platform: Callable[..., Platform]) -> None:
    sensor = platform().defs.get_repository_def().get_sensor_def("notify")
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED


def test_a_command_gets_the_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", str(tmp_path / "told"))
    write = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    send((f'exec:{sys.executable} -c "{write}" $PLACE',), "a title", "a body")
    assert (tmp_path / "told").read_text() == "a title\na body\n"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("exec:false", "false ended with 1"),
        ("exec:/no/such/program", "No such file"),
        ("nothing://x", "no address that Apprise knows"),
        ("json://127.0.0.1:9/${ONOFF_NO_SUCH}", "${ONOFF_NO_SUCH} is not set"),
    ],
)
def test_an_address_that_is_none_is_said(target: str, says: str) -> None:
    with pytest.raises(PlatformError) as raised:
        send((target,), "t", "b")
    assert says in str(raised.value)


def test_a_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONOFF_TOKEN", "s3cr3t")
    with pytest.raises(PlatformError) as raised:
        send(("nothing://$ONOFF_TOKEN",), "t", "b")
    assert "s3cr3t" not in str(raised.value)
    assert "$ONOFF_TOKEN" in str(raised.value)
