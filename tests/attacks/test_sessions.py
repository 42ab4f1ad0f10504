"""Twenty people look at one store at once, while it is written."""

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import browser
from onoff_core.store import Store
from tests.attacks.acting import Actor
from tests.attacks.conftest import Attack, new_project

PAGES = ("", "response", "problem", "compare", "tokens")


def test_twenty_browser_sessions(attack: Attack, tmp_path: Path) -> None:
    """Each sees whole pages without an error, on two pages each, while partitions are made again and again."""
    if shutil.which("chromium") is None:
        pytest.skip("no chromium on this machine")
    folder = new_project(tmp_path / "project")
    assert Actor(folder, ["make"]).end().fault([0]) is None
    stop = threading.Event()
    changes: list[str] = []

    def change() -> None:
        study = folder / "onoff.yaml"
        plain = study.read_text()
        while not stop.is_set():
            study.write_text(plain.replace("seed: 7", f"seed: {8 + len(changes) % 3}"))
            changes.append(Actor(folder, ["make"]).end().fault([0]) or "")

    writer = threading.Thread(target=change)
    with browser.served(Store(str(folder / "store")), folder) as address, browser.chromium() as opened:
        writer.start()
        try:
            tabs = [opened.new_context().new_page() for _ in range(20)]
            for tab in tabs:
                tab.faults = []
                tab.on("pageerror", lambda error, tab=tab: tab.faults.append(str(error)))
            for turn in range(2):
                pages = [PAGES[(number + turn) % len(PAGES)] for number in range(len(tabs))]
                for page, tab in zip(pages, tabs, strict=True):
                    tab.goto(f"{address}/{page}?dataset=arithmetic&model=tiny", wait_until="commit")
                for page, tab in attack.tries(zip(pages, tabs, strict=True)):
                    attack.held(page or "grid", _seen(tab))
        finally:
            stop.set()
            writer.join()
    assert len(changes) > 1
    assert not any(changes), changes
    attack.check()


def _seen(tab: Any) -> str | None:
    """Wait until a page stands; what is wrong with it."""
    text = ""
    deadline = time.monotonic() + 120  # on a busy machine; it waits for what happens
    while time.monotonic() < deadline:
        main = tab.query_selector('[data-testid="stMainBlockContainer"]')
        text = main.inner_text() if main is not None else ""
        if len(text) > 50 and tab.query_selector('[data-testid="stStatusWidget"]') is None:
            wrong = tab.query_selector('[data-testid="stException"]')
            return f"{tab.faults} {text[:600]}" if wrong is not None or tab.faults else None
        time.sleep(0.2)
    return f"it did not stand: {text[:600]}"
