"""Work shared among servers: every answer comes, however fast the threads are."""

import threading
import time

import pytest

from onoff_core.backends.openai.protocol import Endpoint
from onoff_core.backends.openai.spreading import Spread


class Nowhere(Endpoint):
    """An endpoint that is never asked."""

    def __init__(self) -> None:
        self.url = "http://127.0.0.1:1/v1"


@pytest.mark.parametrize("concurrency", [1, 3])
def test_answers_that_come_before_anybody_waits_are_not_lost(monkeypatch: pytest.MonkeyPatch, concurrency: int) -> None:
    start = threading.Thread.start

    def start_and_let_it_work(thread: threading.Thread) -> None:
        start(thread)
        time.sleep(0.1)

    monkeypatch.setattr(threading.Thread, "start", start_and_let_it_work)
    spread = Spread("m", [Nowhere()], [1, 2, 3], lambda endpoint, work: work * 10, concurrency)
    assert sorted(spread.run()) == [10, 20, 30]
