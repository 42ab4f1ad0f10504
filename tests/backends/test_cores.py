"""Cores that may be used, and those that other processes leave free."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from onoff_core.backends.cores import FreeCores, quota, usable_cores, usable_threads


def test_threads_are_what_the_user_or_the_system_allows() -> None:
    assert usable_threads({"OMP_NUM_THREADS": "6,2"}) == 6
    assert usable_threads({"OMP_NUM_THREADS": "many"}) == usable_threads({}) == usable_cores() >= 1


def _write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        ("0::/", {"cpu.max": "150000 100000\n"}, 1.5),  # in a container
        ("0::/", {"cpu.max": "max 100000\n"}, None),
        ("0::/", {}, None),  # the machine's own root
        (
            "0::/pods/a/b",
            {"pods/a/b/cpu.max": "max 100000", "pods/a/cpu.max": "400000 100000", "pods/cpu.max": "8 1"},
            4,
        ),
        ("4:memory:/x\n1:cpu:/x", {"cpu/x/cpu.cfs_quota_us": "50000", "cpu/x/cpu.cfs_period_us": "100000"}, 0.5),
        (
            "2:cpu,cpuacct:/x",
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "-1", "cpu,cpuacct/x/cpu.cfs_period_us": "100000"},
            None,
        ),
        # the group's name is the host's, and the container sees itself as the root
        ("3:cpu,cpuacct:/docker/ab", {"cpu/cpu.cfs_quota_us": "3000", "cpu/cpu.cfs_period_us": "1000"}, 3),
        ("3:cpuset:/x\n0::/", {"cpuset/x/cpu.cfs_quota_us": "1", "cpuset/x/cpu.cfs_period_us": "1"}, None),
    ],
)
def test_a_containers_share_of_time(
    tmp_path: Path, membership: str, files: dict[str, str], cores: float | None
) -> None:
    _write(tmp_path, {"self": membership, **{f"groups/{name}": text for name, text in files.items()}})
    assert quota(tmp_path / "self", tmp_path / "groups") == cores
    assert quota(tmp_path / "missing", tmp_path / "groups") is None


def test_a_real_control_group_halves_the_threads() -> None:
    """What a container's limit does, by the kernel itself, where this user may set one."""
    legacy, unified = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
    group = (legacy if legacy.is_dir() else unified) / f"onoff-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        if (group / "cpu.cfs_quota_us").is_file():
            (group / "cpu.cfs_quota_us").write_text("100000")
        else:
            (group / "cpu.max").write_text("100000 100000")
    except OSError as error:
        group.rmdir()
        pytest.skip(f"no share of time can be set here: {error}")
    code = f"""
import os
open({str(group / "cgroup.procs")!r}, "w").write(str(os.getpid()))
from onoff_core.backends.huggingface.threads import settle_threads
import torch
print(os.environ["OMP_NUM_THREADS"], torch.get_num_threads())
"""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    try:
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    finally:
        group.rmdir()
    assert done.stdout.split() == ["1", "1"]


def test_what_others_use_is_not_free_and_what_this_process_uses_is() -> None:
    cores, looked = FreeCores(interval=0.6), time.monotonic()
    assert cores.look() is None
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        own = time.process_time()
        while (free := cores.look()) is None:
            pass  # busy itself
        elapsed, own = time.monotonic() - looked, time.process_time() - own
        times = psutil.Process(other.pid).cpu_times()
        other.kill()
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    assert free <= processors - (times.user + times.system) / elapsed + 0.1  # however busy the machine is besides
    assert free >= own / elapsed - 0.1
    assert cores.look() is None
