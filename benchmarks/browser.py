"""`onoff bench browser`: the browser in a real Chromium over made-up stores.

Needs Debian's chromium and the test requirements. The time of a click is measured in the page, from the click to the
frame in which the bars show the new token; its bytes are those of the websocket, in both directions. The first page of
a large grid is compared with that of a small one, which takes Streamlit's own time.
"""

import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.browser_tables import table_figures, write_many
from benchmarks.drawn import opened
from benchmarks.figures import Figure
from benchmarks.ports import free_port
from benchmarks.synthetic import STOP, MadeUp, MadeUpProblem, encode, write_partition
from onoff_core.errors import StoreError
from onoff_core.store import Store, publish_catalog

_ROOT = Path(__file__).parent.parent
_LENGTHS = {2_000: 300, 20_000: 350}  # tokens -> milliseconds promised
_DATASETS, _MODELS = 25, 40
_CLICK = """async (position) => {
  const find = (id) => [...document.querySelectorAll('*')].find((e) => e.shadowRoot?.querySelector(id))?.shadowRoot;
  const span = find('#tokens').querySelector('#t' + position), began = performance.now();
  span.click();
  while (!find('#bars')?.querySelector('caption')?.textContent.startsWith(`token ${position}:`))
    await new Promise((done) => requestAnimationFrame(done));
  return performance.now() - began;
}"""


def run(repeats: int) -> list[Figure]:
    """All figures; the stores are made in a folder that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="onoff-bench-") as folder:
        long, few, wide, many = (Store(f"{folder}/{name}") for name in ("long", "few", "wide", "many"))
        _write_long(long)
        _write_wide(few, 2, 5)
        _write_wide(wide, _DATASETS, _MODELS)
        write_many(many)
        with chromium() as browser:
            clicks = _clicks(browser, long, repeats)
            floor, full = (_first_page(browser, store, repeats) for store in (few, wide))
            with served(many) as address:
                tables = table_figures(browser, address, repeats)
        name = "first page, 10 partitions"
        return [
            *clicks,
            Figure(name, floor, "s"),
            Figure(f"first page, {_DATASETS * _MODELS:,} partitions", full, "s", name, floor / full, "< 2 s"),
            *tables,
        ]


def _write_long(store: Store) -> None:
    text = encode(" so the answer is 2.\n then let x = 3, so")
    for length in _LENGTHS:
        ids = (text * (length // len(text) + 1))[: length - 1]
        problem = MadeUpProblem(f"p{length}", [MadeUp([*ids, STOP], 1, "2")])
        write_partition(store, "bench", f"tokens-{length}", [problem], top_k=20)
    publish_catalog(store)


def _write_wide(store: Store, datasets: int, models: int) -> None:
    problems = [MadeUpProblem("p0", [MadeUp([*encode(" so"), STOP], 1, "2"), MadeUp([STOP], 0, None)])]
    for dataset in range(datasets):
        for model in range(models):
            write_partition(store, f"dataset-{dataset}", f"model-{model}", problems)
    publish_catalog(store)


def _clicks(browser: Any, store: Store, repeats: int) -> list[Figure]:
    figures = []
    with served(store) as address:
        for length, promised in _LENGTHS.items():
            milliseconds, moved = _click_through(browser, address, length, max(5, 5 * repeats))
            target = f"<= {promised} ms"
            figures.append(Figure(f"click to chart, {length:,} tokens", milliseconds, "ms", target=target))
            figures.append(Figure(f"bytes of a click, {length:,} tokens", moved, "bytes", target="< 10,000 bytes"))
    return figures


def _click_through(browser: Any, address: str, length: int, clicks: int) -> tuple[float, float]:
    """The median milliseconds and bytes of clicks all through the response."""
    frames: list[int] = []
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(120_000)

    def listen(websocket: Any) -> None:
        websocket.on("framesent", lambda frame: frames.append(len(frame)))
        websocket.on("framereceived", lambda frame: frames.append(len(frame)))

    page.on("websocket", listen)
    page.goto(f"{address}/response?dataset=bench&model=tokens-{length}&token=0")
    page.locator("#bars caption", has_text=re.compile("^token 0:")).wait_for()
    page.wait_for_timeout(1500)
    times, moved = [], []
    for number in range(clicks):
        frames.clear()
        times.append(float(page.evaluate(_CLICK, 1 + (number * 997) % (length - 2))))
        page.wait_for_timeout(500)
        moved.append(sum(frames))
    page.close()
    return statistics.median(times), statistics.median(moved)


def _first_page(browser: Any, store: Store, repeats: int) -> float:
    """The median seconds from entering the address to seeing the grid, in a browser with an empty cache."""
    times = []
    with served(store) as address:
        for _ in range(1 + max(1, repeats)):  # the first one also loads the app's modules
            page, seconds = opened(browser, address, "#table td a")
            times.append(seconds)
            page.close()
    return statistics.median(times[1:])


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Debian's chromium, without a window."""
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium")
    if executable is None:
        raise StoreError("the benchmark needs chromium; run: apt-get install chromium")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=flags)
        yield browser
        browser.close()


@contextlib.contextmanager
def served(store: Store, folder: Path = _ROOT) -> Iterator[str]:
    """The real app over a store, started in a folder; its address."""
    port = free_port()
    command = [sys.executable, "-m", "onoff_core.cli.main", "browse", "--store", str(store.root)]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    environment.pop("ONOFF_STORE", None)
    process = subprocess.Popen([*command, "--", "--server.port", str(port)], cwd=folder, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(240):
        if process.poll() is not None:
            raise RuntimeError("the app ended at once")
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).read()
            return
        except OSError:
            time.sleep(0.25)
    raise RuntimeError("the app did not start within a minute")
