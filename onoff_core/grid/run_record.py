"""What a run leaves in its results' manifests of itself: by which code, on which machine, how long, with how much.

It decides nothing and is in no fingerprint: results made before, which lack it, stay fresh.
"""

import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import onoff_core
from onoff_core.store import Generation

# Of each asset, the packages whose version may show in its rows.
_PACKAGES = {
    "samples": ("torch", "transformers", "tokenizers"),
    "rewards": ("math-verify", "latex2sympy2_extended", "sympy"),
    "statistics": ("numpy",),
    "problem_statistics": ("numpy",),
    "thinking_budgets": ("numpy",),
    "token_distributions": ("torch", "transformers", "tokenizers"),
    "cross_scores": ("torch", "transformers", "tokenizers"),
    "branches": ("torch", "transformers", "tokenizers", "math-verify", "sympy"),
    "second_opinions": ("torch", "transformers", "tokenizers"),
    "second_opinion_statistics": ("numpy",),
    "confidence": ("numpy",),
}
RUN = "run"  # the fact that holds it


class RunRecord:
    """One attempt at one generation, from now on."""

    def __init__(self, generation: Generation) -> None:
        self._asset = generation.asset
        self._attempts = generation.count_attempt()
        self._started = time.time()

    def facts(
        self, *, tokens: int | None = None, batch_size: int | None = None, scored_at_once: int | None = None
    ) -> dict[str, Any]:
        """At its end. `tokens`: that this attempt sampled or scored; `batch_size`: the responses that it drew side by
        side in the end; `scored_at_once`: the tokens that fitted, where fewer did than is usual.
        """
        return {
            RUN: {
                "onoff_version": onoff_core.__version__,
                "onoff_commit": _commit(),
                "python": platform.python_version(),
                "packages": {name: _version(name) for name in _PACKAGES[self._asset]},
                "host": platform.node(),
                "cpus": os.cpu_count(),
                "cuda_visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
                **_accelerators(),
                "attempts": self._attempts,
                "started_at": self._started,
                "ended_at": time.time(),
                "tokens": tokens,
                "batch_size": batch_size,
                "scored_at_once": scored_at_once,
                "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT,
                "peak_child_memory_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _RSS_UNIT or None,
            }
        }


_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@cache
def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@cache
def _commit() -> str | None:
    """Of the checkout this code runs from, with `+` where files differ from it; None: there is none, or no git."""
    root = Path(onoff_core.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _accelerators() -> dict[str, Any]:
    """What torch says, where this run has loaded it; a server's machine, or a replica's, is not known here.

    A GPU's number is torch's, as in `device: cuda:1`: CUDA_VISIBLE_DEVICES, where it is set, says which are counted.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return {"threads": None, "cuda": None, "gpus": [], "gpu_numbers": [], "peak_gpu_memory_bytes": None}
    neighbours: Any = sys.modules.get("onoff_core.backends.huggingface.neighbours")
    gpus = torch.cuda.device_count() if torch.cuda.is_initialized() else 0
    peaks = [torch.cuda.max_memory_allocated(number) for number in range(gpus)]
    return {
        "threads": neighbours.most_threads() if neighbours is not None else torch.get_num_threads(),
        "cuda": torch.version.cuda,
        "gpus": [torch.cuda.get_device_name(number) for number in range(gpus)],
        "gpu_numbers": [number for number, peak in enumerate(peaks) if peak],
        "peak_gpu_memory_bytes": sum(peaks) or None,
    }
