"""A bar on a terminal, a line now and then elsewhere; both with rate and time left."""

import io

import pytest

from onoff_core import progress
from onoff_core.progress import Progress, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_line_now_and_then_with_rate_and_time_left(clock: list[float]) -> None:
    lines: list[str] = []
    shown = Progress("sampling", 4, lines.append)
    for _ in range(3):
        clock[0] += 10
        shown.add_tokens(500)
        shown.add()
    assert lines == ["sampling 1/4 responses, 50 tokens/s, 1 min 0 s left"]
    clock[0] += 10
    shown.add()
    assert lines[1:] == ["sampling 4/4 responses, 38 tokens/s, took 40 s"]


def test_a_sign_at_the_beginning_and_then_at_most_once_in_two_seconds(clock: list[float]) -> None:
    signs: list[tuple[int, list[str]]] = []
    shown = Progress("sampling", 4, lambda line: None, sign=lambda now: signs.append((now.done, now.pace())))
    for _ in range(3):
        clock[0] += 1
        shown.add_tokens(50)
        shown.add()
    assert signs == [(0, []), (1, ["50 tokens/s", "6 s left"])]


def test_a_bar_on_a_terminal(clock: list[float]) -> None:
    terminal = Terminal()
    shown = Progress("scoring", 2, stream=terminal)
    clock[0] += 1
    shown.add()
    assert terminal.getvalue() == "\r\033[K[##############..............] scoring 1/2 responses, 1 s left"
    shown.add()
    assert terminal.getvalue().endswith("[############################] scoring 2/2 responses, took 1 s\n")


def test_no_bar_where_nobody_looks(caplog: pytest.LogCaptureFixture, clock: list[float]) -> None:
    stream = io.StringIO()
    with caplog.at_level("INFO", logger="onoff"):
        Progress("grading", 1, stream=stream).add()
    assert stream.getvalue() == ""
    assert caplog.messages == ["grading 1/1 responses, took 0 s"]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")]
)
def test_duration(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_slow_rate_is_not_told_as_none(clock: list[float]) -> None:
    shown = Progress("sampling", 4)
    clock[0] += 10
    shown.add_tokens(4)
    assert shown.line() == "sampling 0/4 responses, 0.4 tokens/s"


def test_what_can_have_no_tokens_is_said_without_a_time(clock: list[float]) -> None:
    assert Progress("branching", 4, unit="continuations", most_tokens=0).line() == "branching 0/4 continuations"


def test_the_most_time_left_is_said_before_anything_is_finished(clock: list[float]) -> None:
    shown = Progress("sampling", 4, most_tokens=400)
    assert shown.line() == "sampling 0/4 responses"
    clock[0] += 5
    shown.add_tokens(2)
    assert shown.line() == "sampling 0/4 responses, 0.4 tokens/s"
    clock[0] += 5
    shown.add_tokens(98)
    assert shown.line() == "sampling 0/4 responses, 10 tokens/s, at most 30 s left"
    shown.done = 1
    assert shown.line() == "sampling 1/4 responses, 10 tokens/s, 30 s left"
    clock[0] += 20
    shown.add_tokens(200)
    assert shown.line() == "sampling 1/4 responses, 10 tokens/s, 10 s left", "more than 100 tokens there cannot be"
