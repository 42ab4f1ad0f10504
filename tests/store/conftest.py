"""A store in each of the places one may live in: a local folder, and buckets of two S3 servers on loopback."""

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.ports import free_port
from onoff_core.store import Store

PLACES = ("local", "moto", "localbucket")
# It sends the head and the body of an answer in two writes. Without TCP_NODELAY the second waits 40 ms until the client
# acknowledges the first, and the store's tests ask thousands of times.
LOCALBUCKET = """
from socketserver import StreamRequestHandler
from localbucket import main
StreamRequestHandler.disable_nagle_algorithm = True
main()
"""


def _serve(command: list[str], port: int, log: Path) -> Iterator[str]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:  # it waits for connections that this process keeps open
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """moto's server; it keeps objects in memory."""
    port = free_port()
    log = tmp_path_factory.mktemp("moto") / "log"
    program = Path(sys.executable).with_name("moto_server")
    yield from _serve([str(program), "-H", "127.0.0.1", "-p", str(port)], port, log)


@pytest.fixture(scope="session")
def localbucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """localbucket; it keeps objects as files."""
    port = free_port()
    folder = tmp_path_factory.mktemp("localbucket")
    command = [sys.executable, "-c", LOCALBUCKET, str(folder), "--port", str(port)]
    yield from _serve(command, port, folder.parent / "localbucket.log")


@pytest.fixture
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """A new bucket's URL on a server of this kind, with the environment that leads there."""

    def make(kind: str) -> str:
        endpoint: str = request.getfixturevalue(kind)
        for name, value in {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        name = f"onoff-{uuid.uuid4().hex[:12]}"
        s3fs.S3FileSystem(use_listings_cache=False).mkdir(name)
        return f"s3://{name}"

    return make


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path, bucket: Callable[[str], str]) -> str:
    """`store.path` of a store that does not exist yet."""
    return str(tmp_path / "store") if request.param == "local" else f"{bucket(request.param)}/deep/store"


@pytest.fixture
def store(place: str) -> Store:
    """The same tests for every place."""
    return Store(place)


@pytest.fixture
def local(tmp_path: Path) -> Store:
    """A store in a local folder, for what only a folder has."""
    return Store(str(tmp_path / "store"))


def environment() -> dict[str, str]:
    """For a process of its own: this checkout's code, one thread."""
    root = str(Path(__file__).parent.parent.parent)
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
