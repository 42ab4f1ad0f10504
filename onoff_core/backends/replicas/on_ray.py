"""Replicas as actors of a Ray cluster, so that one partition uses many machines.

Ray decides where an actor lives and which GPUs it sees, and nothing else: the actor connects back to this process, and
over that connection everything is as with a process of this machine. Nothing is written and no data set is moved by
Ray. Results and settings stay here; the weights have to be where the actor is: a hub model, a package, a shared
folder.
"""

import logging
import os
import secrets
import socket
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from onoff_core.backends.replicas.places import PACKAGE_ROOT, Start
from onoff_core.backends.replicas.serving import serve
from onoff_core.backends.replicas.shares import threads_environment
from onoff_core.errors import ModelError, SettingsError
from onoff_core.study import BackendOptions

_START_SECONDS = 300.0  # for a place in the cluster and a Python on it; loading the model comes after
_REACH_SECONDS = 10.0
_KEEPALIVE_SECONDS, _KEEPALIVE_TRIES = 15, 4  # a machine that lost power sends no end of connection
logger = logging.getLogger(__name__)


def ray_starts(name: str, options: BackendOptions) -> list[Start]:
    """As many actors as the settings say, all asked for at once; how each is had, and had again after a loss.

    Raises `SettingsError` where Ray is not installed or the cluster is too small, `ModelError` where it does not
    answer.
    """
    ray = _connected(name, options)
    resources = ray.cluster_resources()
    cluster_gpus, cluster_cpus = float(resources.get("GPU", 0)), int(resources.get("CPU", 1))
    gpus = options.num_gpus
    if gpus is None:
        gpus = 1.0 if cluster_gpus and options.device != "cpu" else 0.0
    count = _count(name, options, gpus, cluster_gpus)
    cpus = 1 if gpus else max(1, cluster_cpus // count)
    launch = partial(_Launched, ray, gpus, cpus)
    waiting = [launch() for _ in range(count)]
    return [partial(_start, waiting, launch) for _ in range(count)]


def _count(name: str, options: BackendOptions, gpus: float, cluster_gpus: float) -> int:
    wanted = options.num_process or 1
    if wanted * gpus <= cluster_gpus:
        return wanted
    most = int(cluster_gpus // gpus)
    what = (
        f"models.{name}: {wanted} replicas with {gpus:g} GPUs each are wanted (backend_specific.num_process and "
        f"num_gpus), but the Ray cluster has {cluster_gpus:g}"
    )
    if not options.num_process_at_most or not most:
        raise SettingsError(f"{what}; write at most {most}, or num_gpus: 0 for the CPU")
    logger.warning("%s; going on with %d", what, most)
    return most


def _connected(name: str, options: BackendOptions) -> Any:
    try:
        import ray
    except ImportError as error:
        raise SettingsError(
            f"models.{name}: backend_specific.replicas_on is ray, which is not installed; pip install 'onoff[ray]'"
        ) from error
    if not ray.is_initialized():
        address = options.ray_address or os.environ.get("RAY_ADDRESS")
        where = address or "this machine"
        _check_address(name, address)
        try:
            _reached(address)
            ray.init(address=options.ray_address, configure_logging=False, log_to_driver=False, include_dashboard=False)
        except Exception as error:  # Ray raises its own, RuntimeError, ValueError and ConnectionError for this
            raise ModelError(
                f"models.{name}: Ray does not answer at {where}: {str(error).strip().splitlines()[0]}. Start it there "
                "(ray start --head), or mend backend_specific.ray_address"
            ) from ConnectionError(str(error))
    return ray


def _check_address(name: str, address: str | None) -> None:
    """Raise a `SettingsError` for an address at which replicas cannot be had."""
    host, _, port = (address or "auto:1").rpartition(":")
    if address in ("auto", "local") or (host and "/" not in host and port.isdecimal()):
        return
    raise SettingsError(
        f"models.{name}: backend_specific.ray_address (or RAY_ADDRESS) is {address}, and the address of the cluster's "
        "head is wanted, such as head:6379, as `ray start --head` says it; not that of its client (ray://) or its "
        "dashboard (http://)"
    )


def _reached(address: str | None) -> None:
    """Raise an `OSError` where nothing listens at a head's address: Ray itself would try for minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), _REACH_SECONDS).close()


class _Actor:
    """What runs on the cluster's machine: a replica that connects back to us. `ray.remote` makes an actor of it."""

    def serve(self, address: tuple[str, int], key: bytes) -> None:
        connection = Client(address, authkey=key)
        _keep_alive(connection)
        serve(connection)

    def process_id(self) -> int:
        """For tests; an actor answers this beside `serve`, which does not return."""
        return os.getpid()


class _Launched:
    """An actor that Ray was asked for, and the socket on which we wait for its connection."""

    def __init__(self, ray: Any, gpus: float, cpus: int) -> None:
        self.ray, self.gpus = ray, gpus
        key = secrets.token_bytes(32)
        host = ray.util.get_node_ip_address()
        self.listener = Listener((host, 0), family="AF_INET", authkey=key)
        path = os.pathsep.join(filter(None, [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
        environment = {**threads_environment(cpus), "PYTHONPATH": path}
        options = {"num_gpus": gpus, "num_cpus": cpus, "max_restarts": 0, "max_concurrency": 2}
        remote: Any = ray.remote(_Actor).options(**options, runtime_env={"env_vars": environment}).remote
        self.actor = remote()
        self.served = self.actor.serve.remote(self.listener.address, key)

    def wait(self) -> "RayReplica":
        """The replica, once its connection has come. Raises `ModelError` where none comes in time."""
        heard: socket.socket = self.listener._listener._socket  # type: ignore[attr-defined]
        heard.settimeout(_START_SECONDS)
        try:
            connection = self.listener.accept()
            connected = self.listener.last_accepted
        except TimeoutError as error:
            self.ray.kill(self.actor)
            raise ModelError(
                f"Ray gave no place to a replica ({self.gpus:g} GPUs) within {_START_SECONDS:.0f} s; see `ray status`"
            ) from error
        finally:
            self.listener.close()
        assert isinstance(connected, tuple)
        _keep_alive(connection)
        return RayReplica(self, connection, f"Ray node {connected[0]}")


def _start(waiting: list[_Launched], launch: Callable[[], _Launched]) -> "RayReplica":
    return (waiting.pop() if waiting else launch()).wait()


class RayReplica:
    """An actor that has connected to us."""

    def __init__(self, launched: _Launched, connection: Connection, place: str) -> None:
        self._launched, self._connection, self.place = launched, connection, place

    @property
    def connection(self) -> Connection:
        return self._connection

    @property
    def process_id(self) -> int:
        """The actor's process id on its machine."""
        return int(self._launched.ray.get(self._launched.actor.process_id.remote()))

    def end(self) -> str:
        self._connection.close()
        ray, launched = self._launched.ray, self._launched
        ray.kill(launched.actor)
        try:
            ray.get(launched.served, timeout=10)
        except Exception as error:  # how it ended is what Ray says here
            return f"its Ray actor ended: {' '.join(str(error).split())[:200]}"
        return "its Ray actor ended"


def _keep_alive(connection: Connection) -> None:
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            ("TCP_KEEPIDLE", _KEEPALIVE_SECONDS),
            ("TCP_KEEPINTVL", _KEEPALIVE_SECONDS),
            ("TCP_KEEPCNT", _KEEPALIVE_TRIES),
        ):
            if hasattr(socket, option):  # Linux
                line.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
