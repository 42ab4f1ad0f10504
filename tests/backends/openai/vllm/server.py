"""A real vLLM on this machine's CPU, in an environment of its own, serving the embedded model."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

KEY = "sk-of-a-real-server"
SERVED = "smollm2-135m"
_START_SECONDS = 420.0


class RealVllm:
    """A server of vLLM's own; `port` stays its port when it is started again."""

    def __init__(self, environment: Path, model: Path, log: Path, *options: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._log = log
        self._command = [
            *(str(environment / "bin" / "vllm"), "serve", str(model), "--served-model-name", SERVED),
            *("--host", "127.0.0.1", "--port", str(self.port), "--api-key", KEY),
            *("--dtype", "float32", "--max-model-len", "1024", "--max-num-seqs", "8", "--enforce-eager"),
            *("--generation-config", "vllm", *options),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        environment = {
            **os.environ,
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_USE_AOT_COMPILE": "0",
            "HF_HUB_OFFLINE": "1",
            "OMP_WAIT_POLICY": "passive",
        }
        environment.pop("PYTHONPATH", None)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=environment)
        for _ in range(int(_START_SECONDS)):
            assert self._process.poll() is None, self._log.read_text()[-3000:]
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(1.0)
        raise AssertionError(f"it does not answer: {self._log.read_text()[-3000:]}")

    def kill_worker(self) -> None:
        """kill -9 of the process that has the model."""
        assert self._process is not None
        workers = psutil.Process(self._process.pid).children()
        named = [one for one in workers if "EngineCore" in " ".join([one.name(), *one.cmdline()])]
        os.kill((named or workers)[0].pid, signal.SIGKILL)

    def stop(self) -> None:
        """End it and all that it started."""
        if self._process is None:
            return
        started = [psutil.Process(self._process.pid)] if self._process.poll() is None else []
        started += [child for one in started for child in one.children(recursive=True)]
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for one in started:
            if one.is_running():
                one.kill()
        self._process = None


@contextmanager
def real_vllm(environment: Path, model: Path, log: Path, *options: str) -> Iterator[RealVllm]:
    server = RealVllm(environment, model, log, *options)
    try:
        server.start()
        yield server
    finally:
        server.stop()
