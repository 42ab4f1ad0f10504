"""Show the progress of long work, with rate and time left: a bar on a terminal, elsewhere a log line now and then."""

import logging
import sys
import time
from collections.abc import Callable
from typing import TextIO

_BAR_WIDTH = 28
_BAR_SECONDS = 0.2
_LOG_SECONDS = 15.0
_SIGN_SECONDS = 2.0
_TELLING_SHARE = 0.02  # of the most tokens there can be: of fewer the rate tells next to nothing

Log = Callable[[str], None]


class Progress:
    """Counts finished items and, beside them, tokens. `most_tokens`: as many as there can be at most, where known.

    `sign` is called at the beginning, and then when something went on, at most once in two seconds.
    """

    def __init__(
        self,
        what: str,
        total: int,
        log: Log | None = None,
        stream: TextIO | None = None,
        unit: str = "responses",
        most_tokens: int | None = None,
        sign: Callable[["Progress"], None] | None = None,
    ) -> None:
        self.what, self.total, self.unit, self.stream = what, total, unit, stream or sys.stderr
        self.log = log or logging.getLogger("onoff").info
        self.bar = log is None and self.stream.isatty()
        self.done, self.tokens, self.most_tokens = 0, 0, most_tokens
        self.began = self.shown = self.signed = time.monotonic()
        self.sign = sign
        if sign is not None:
            sign(self)

    def begin_now(self) -> None:
        """Count seconds from now on: what was before, such as loading a model, is no part of a rate."""
        self.began = self.shown = time.monotonic()

    def add_tokens(self, count: int) -> None:
        self.tokens += count
        self._show()

    def add(self, count: int = 1) -> None:
        self.done += count
        self._show(last=self.done >= self.total)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def tokens_per_second(self) -> float | None:
        return self.tokens / self.seconds if self.tokens and self.seconds > 0 else None

    def line(self) -> str:
        """`sampling 24/96 responses, 102 tokens/s, 1 min 40 s left`; `at most` while nothing is finished."""
        return ", ".join([f"{self.what} {self.done}/{self.total} {self.unit}", *self.pace()])

    def pace(self) -> list[str]:
        """The tokens a second, and the time that is left or that it took; as far as they are known."""
        rate = self.tokens_per_second
        parts = [] if rate is None else [f"{rate:,.{0 if rate >= 10 else 1}f} tokens/s"]
        if self.done >= self.total:
            parts.append(f"took {duration(self.seconds)}")
        elif (left := self._left()) is not None:
            parts.append(left)
        return parts

    def _left(self) -> str | None:
        """The time left, by the items that are finished, and by the tokens that there can still be."""
        by_items = self.seconds / self.done * (self.total - self.done) if self.done else None
        if not self.tokens or self.most_tokens is None or self.tokens < _TELLING_SHARE * self.most_tokens:
            return None if by_items is None else f"{duration(by_items)} left"
        at_most = max(0, self.most_tokens - self.tokens) / self.tokens * self.seconds
        return f"at most {duration(at_most)} left" if by_items is None else f"{duration(min(by_items, at_most))} left"

    def _show(self, last: bool = False) -> None:
        now = time.monotonic()
        if self.sign is not None and now - self.signed >= _SIGN_SECONDS:
            self.signed = now
            self.sign(self)
        if not last and now - self.shown < (_BAR_SECONDS if self.bar else _LOG_SECONDS):
            return
        self.shown = now
        if not self.bar:
            self.log(self.line())
            return
        filled = _BAR_WIDTH * self.done // max(1, self.total)
        self.stream.write(
            f"\r\033[K[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {self.line()}" + ("\n" if last else "")
        )
        self.stream.flush()


def duration(seconds: float) -> str:
    """`42 s`, `3 min 5 s`, `2 h 10 min`"""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
