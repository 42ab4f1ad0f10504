"""Parts of `onoff bench gpu` that need no model of a real one's shape, and the limit that each part has."""

import logging
import os
import signal
import statistics
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

import torch

from onoff_core.backends.huggingface import gpu
from onoff_core.backends.huggingface.decoding import decode
from onoff_core.backends.huggingface.loading import load_model
from onoff_core.backends.huggingface.token_statistics import block_statistics
from onoff_core.backends.huggingface.tokenizer import load_tokenizer
from onoff_core.backends.replicas.dealing import Dealer
from onoff_core.backends.replicas.engine import ReplicatedSampler
from onoff_core.backends.replicas.messages import Open
from onoff_core.backends.replicas.places import ProcessReplica
from onoff_core.backends.replicas.shares import Share
from onoff_core.backends.requests import Request, Response
from onoff_core.study import BackendOptions, DistributionSettings, ModelSettings, SamplingSettings

Result = dict[str, Any]


class _TimeIsUp(BaseException):
    """Not an `Exception`, so that nothing takes it for a failure of its own."""


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise _TimeIsUp

    usual = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)


def limited(part: Callable[[], Result], seconds: float) -> Result:
    """What a part finds, or the error that ended it; after so many seconds it is ended."""
    try:
        with _alarm(seconds):
            return part()
    except (Exception, _TimeIsUp) as error:
        late = f"it was ended after {seconds:.0f} s: " if isinstance(error, _TimeIsUp) else ""
        return {"error": late + traceback.format_exc(limit=-6)}


def median_seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """The median of some calls, the device's queue emptied, after one that warms up."""
    taken = []
    for _ in range(repeats + 1):
        torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def busiest(work: Callable[[], object], count: int = 12) -> Result:
    """Milliseconds of the device by kernel, of one call: the busiest, all together, and by the clock. A profiler that
    does not work here takes no other figure with it.
    """
    try:
        return _busiest(work, count)
    except Exception:
        return {"error": traceback.format_exc(limit=-3)}


def _busiest(work: Callable[[], object], count: int) -> Result:
    torch.cuda.synchronize()
    began = time.perf_counter()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        work()
        torch.cuda.synchronize()
    clock = time.perf_counter() - began
    kernels = {event.key[:90]: event.self_device_time_total / 1e3 for event in profiler.key_averages()}
    largest = sorted(kernels.items(), key=lambda item: -item[1])[:count]
    return {"by the clock": round(1e3 * clock, 2), "all": round(sum(kernels.values()), 2)} | {
        name: round(value, 2) for name, value in largest
    }


def one_pass() -> Result:
    """The kernel for statistics beside the usual operators: how far apart they are, and milliseconds of each."""
    device = torch.device("cuda", torch.cuda.current_device())
    found: Result = {}
    for dtype in (torch.float32, torch.bfloat16):
        found[f"reason_against_{dtype}"] = gpu.reason_against(device, dtype)
    if any(found.values()):
        found["trace"] = _trace(device)
    for rows, vocab, dtype in (
        (512, 151_936, torch.bfloat16),
        (1024, 49_152, torch.bfloat16),
        (64, 50_257, torch.float32),
    ):
        for k in (20, 1000):
            found[f"{rows} x {vocab}, {dtype}, k = {k}"] = compared(rows, vocab, dtype, k, device)
    return found


def _trace(device: torch.device) -> str:
    try:
        gpu._error(device, torch.bfloat16)
    except Exception:
        return traceback.format_exc()[-4000:]
    return "no error"


@torch.inference_mode()
def compared(rows: int, vocab: int, dtype: torch.dtype, k: int, device: torch.device) -> Result:
    """Statistics of some rows both ways. On a CPU only how far apart they are."""
    torch.manual_seed(0)
    logits = (torch.randn((rows, vocab), device=device) * 3).to(dtype)
    targets, settings = torch.randint(0, vocab, (rows,), device=device), DistributionSettings(top_k=k)
    ways: dict[str, Callable[[], dict[str, torch.Tensor]]] = {
        "ours": lambda: block_statistics(logits, targets, settings)
    }
    ours = ways["ours"]()
    with patch.object(gpu, "can_run", lambda *arguments: False):
        usual = block_statistics(logits, targets, settings)
        found: Result = (
            {
                "milliseconds": {
                    "usual": 1e3 * median_seconds(lambda: block_statistics(logits, targets, settings), 5),
                    "torch_topk_alone": 1e3 * median_seconds(lambda: torch.topk(logits.float(), k), 5),
                }
            }
            if device.type == "cuda"
            else {}
        )
    if device.type == "cuda":
        found["milliseconds"]["ours"] = 1e3 * median_seconds(ways["ours"], 5)
    # Ids of equal logits may differ, so what they stand for is compared.
    values = [logits.float().gather(-1, way["topk_ids"].long()) for way in (ours, usual)]
    found["worst_of_topk_logits"] = float((values[0] - values[1]).abs().max())
    found["ids_twice"] = int((ours["topk_ids"].sort(-1).values.diff(dim=-1) == 0).sum())
    for name in usual.keys() - {"topk_ids"}:
        found[f"worst_of_{name}"] = float((ours[name].double() - usual[name].double()).abs().max())
    return found


class _Lines(logging.Handler):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def killed_replica(device: str) -> Result:
    """Two replicas on one GPU, one of them killed in the middle: every response, as one process draws it."""
    from tests.tiny import save_tiny_llama

    with tempfile.TemporaryDirectory() as name:
        folder = save_tiny_llama(Path(name))
        options = BackendOptions(device=device, torch_dtype="float32")
        settings = ModelSettings(model_name=str(folder), backend_specific=options)
        sampling = SamplingSettings(max_length=300, batch_size=8)
        requests = [Request(f"p{n}", sample, (65, 3 + n)) for n in range(16) for sample in range(8)]
        alone = _by_request(list(decode(load_model("tiny", settings, folder), requests, sampling, 0)))
        share = Share(gpus=("0",) if device == "cuda" else (), num_threads=1)
        began = time.monotonic()
        dealer = Dealer(Open("sampler", "tiny", settings, folder), [partial(ProcessReplica, share)] * 2, 60.0)
        said, logger = _Lines(), logging.getLogger("onoff_core")
        logger.addHandler(said)
        try:
            sampler = ReplicatedSampler(dealer, load_tokenizer("tiny", settings, folder))
            started, found, killed = time.monotonic(), [], 0
            for response in sampler.sample(requests, sampling, 0, lambda count: None):
                found.append(response)
                if len(found) == 3:
                    victim = dealer.replicas[0]
                    assert isinstance(victim, ProcessReplica)
                    killed = victim.process_id
                    os.kill(killed, signal.SIGKILL)
            ended = time.monotonic()
            after = [one.process_id for one in dealer.replicas if isinstance(one, ProcessReplica)]
        finally:
            logger.removeHandler(said)
            dealer.close()
    drawn = _by_request(found)
    return {
        "replicas": sampler.info.device,
        "responses": len(found),
        "asked": len(requests),
        "each_once": len(drawn) == len(found) == len(requests),
        "equal_to_one_process": sum(drawn[request] == alone[request] for request in alone),
        "killed_is_gone": killed not in after,
        "said": said.lines[:3],
        "seconds_to_open": round(started - began, 1),
        "seconds_to_draw": round(ended - started, 1),
    }


def _by_request(responses: list[Response]) -> dict[Request, list[int]]:
    return {response.request: response.token_ids for response in responses}
