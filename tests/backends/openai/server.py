"""A server of completions on loopback, over our own decode loop and a small random Llama, which can misbehave."""

import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from onoff_core.backends.huggingface.decoding import decode
from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.backends.huggingface.scoring import score
from onoff_core.backends.requests import Request
from onoff_core.study import DistributionSettings, SamplingSettings

KEY = "sk-very-secret"
_lock = threading.Lock()  # one model, one thread


@dataclass
class Behaviour:
    """What the server does. `after`: so many completions go well before `then` happens to each."""

    served: str = "tiny"
    root: str = "/models/tiny"
    version: str = "9.9"
    max_model_len: int | None = 512
    key: str | None = None
    no_ids: bool = False
    seed_ignored: bool = False
    one_seed: bool = False
    scaled_logprobs: bool = False
    strict: bool = False  # refuses parameters that OpenAI's own API does not know
    after: int = 10**9
    then: str = "500"  # 500, cut, stall, nan, no_ids, no_logprobs, early, abort, busy
    spoil: Callable[[dict[str, Any]], Any] | None = None  # changes an answer in its place, instead of `then`
    seen: list[dict[str, Any]] = field(default_factory=list)
    most_at_once: int = 0
    now: int = 0


class Server:
    """Running on a port of its own."""

    def __init__(self, loaded: LoadedModel, behaviour: Behaviour) -> None:
        self.behaviour, self.loaded = behaviour, loaded
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"server_of": self}))
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def complete(self, asked: dict[str, Any]) -> dict[str, Any]:
        told, ids_in = self.behaviour, asked["prompt"]
        if isinstance(ids_in, str):
            ids_in = self.loaded.tokenizer(ids_in, add_special_tokens=False)["input_ids"]
        seed = 5 if told.one_seed else time.time_ns() if told.seed_ignored else asked["seed"]
        top_k = asked.get("top_k", -1)
        sampling = SamplingSettings(
            max_length=asked["max_tokens"],
            temperature=asked["temperature"],
            top_p=asked["top_p"],
            top_k=None if top_k == -1 else top_k,
            stop_strings=tuple(asked.get("stop") or ()),
        )
        with _lock:
            (response,) = decode(self.loaded, [Request("", 0, tuple(ids_in))], sampling, seed % 2**63)
            scores = next(score(self.loaded, ids_in, [response.token_ids], DistributionSettings(top_k=1)))
        ids, scale = response.token_ids, 1.0
        if told.scaled_logprobs and asked["temperature"]:
            scale = 1 / asked["temperature"]
        logprobs = [value * scale for value in response.logprobs]
        text = self.loaded.decode(ids)
        for stop in asked.get("stop") or ():
            text = text.partition(stop)[0]
        top = {"tokens": ["?"], "token_logprobs": logprobs}
        if asked.get("logprobs"):
            top["top_logprobs"] = [{"?": float(value[0]) * scale} for value in scores["topk_logprobs"]]
        choice = {
            "index": 0,
            "text": text,
            "finish_reason": "length" if response.finish_reason == "length" else "stop",
            "logprobs": top if "logprobs" in asked else None,
        }
        if asked.get("return_token_ids") and not told.no_ids:
            choice |= {"token_ids": ids, "prompt_token_ids": list(ids_in)}
        return {"choices": [choice], "usage": {"completion_tokens": len(ids)}}


class _Handler(BaseHTTPRequestHandler):
    server_of: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait for an acknowledgement, 40 ms

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def answer(self, status: int, content: Any) -> None:
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body)

    def allowed(self) -> bool:
        key = self.server_of.behaviour.key
        if key is None or self.headers.get("Authorization") == f"Bearer {key}":
            return True
        self.answer(401, {"error": f"wrong key: {self.headers.get('Authorization')}"})
        return False

    def do_GET(self) -> None:
        told = self.server_of.behaviour
        if not self.allowed():
            return
        if self.path == "/v1/models":
            model = {"id": told.served, "root": told.root, "max_model_len": told.max_model_len}
            self.answer(200, {"object": "list", "data": [model]})
        elif self.path == "/version":
            self.answer(200, {"version": told.version})
        else:
            self.answer(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        told = self.server_of.behaviour
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allowed():
            return
        told.seen.append(asked)
        if told.strict and (unknown := set(asked) & {"return_token_ids", "top_k", "stop_token_ids"}):
            self.answer(400, {"error": f"Unrecognized request arguments: {sorted(unknown)}"})
            return
        if told.max_model_len is not None and len(asked["prompt"]) + asked["max_tokens"] > told.max_model_len:
            self.answer(400, {"error": "maximum context length"})
            return
        told.now += 1
        told.most_at_once = max(told.most_at_once, told.now)
        try:
            self.misbehave(told, asked) if len(told.seen) > told.after else self.answer(
                200, self.server_of.complete(asked)
            )
        finally:
            told.now -= 1

    def misbehave(self, told: Behaviour, asked: dict[str, Any]) -> None:
        if told.then == "500":
            self.answer(500, {"error": "EngineDeadError"})
        elif told.then == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"choices": [{"te')
            self.close_connection = True
        elif told.then == "stall":
            time.sleep(30)
        elif told.then == "busy":
            told.after = 10**9
            self.answer(429, {"error": "slow down"})
        else:
            content = self.server_of.complete(asked)
            told.spoil(content) if told.spoil is not None else spoilt(content, told.then)
            self.answer(200, content)

    do_PUT = do_POST


def spoilt(content: dict[str, Any], how: str) -> None:
    choice = content["choices"][0]
    if how == "nan":
        choice["logprobs"]["token_logprobs"][0] = -9999.0
    elif how == "no_ids":
        del choice["token_ids"]
    elif how == "no_logprobs":
        choice["logprobs"] = None
    elif how == "early":
        choice |= {"token_ids": [40], "finish_reason": "stop"}
        choice["logprobs"]["token_logprobs"] = [-1.0]
    elif how == "abort":
        choice["finish_reason"] = "abort"
    elif how == "foreign":
        choice["token_ids"] = [50_000]
        choice["logprobs"]["token_logprobs"] = [-1.0]
    elif how == "prompt":
        choice["prompt_token_ids"] = [1, *choice["prompt_token_ids"]]


@contextmanager
def serving(folder: Path, **behaviour: Any) -> Iterator[Server]:
    """A server over the model in a folder; its behaviour may be changed while it runs."""
    from onoff_core.backends.huggingface.loading import load_model
    from onoff_core.study import BackendOptions, ModelSettings

    loaded = load_model(
        "tiny", ModelSettings(model_name=str(folder), backend_specific=BackendOptions(device="cpu")), folder
    )
    server = Server(dataclasses.replace(loaded), Behaviour(**behaviour))
    thread = threading.Thread(target=server.http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()
