"""Servers that are none, or mean harm: each is a sentence, soon, and in little memory."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from onoff_core.backends import open_sampler
from onoff_core.backends.openai.engine import ServedModel
from onoff_core.errors import ModelError, OnoffError
from tests.backends.openai.server import KEY, Server, serving
from tests.backends.openai.test_served import PROBES, asked, drawn, settings

Say = Callable[[bytes], None]


@contextmanager
def scripted(script: Callable[[Say], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A port at which every request is answered by a script; its address, and what was asked."""
    heard: list[bytes] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = door.accept()
                with connection, suppress(OSError):
                    heard.append(connection.recv(65536))
                    script(connection.sendall)

    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}/v1", heard
        door.shutdown(socket.SHUT_RDWR)


def http(body: bytes, status: str = "200 OK", *headers: str) -> Callable[[Say], None]:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers))
    return lambda say: say(head.encode() + b"\r\n" + body)


def models(*served: dict[str, Any]) -> bytes:
    return json.dumps({"data": served}).encode()


def endless(say: Say) -> None:
    say(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"data": [')
    while True:
        say(b'{"id": "tiny"},' * 4096)


def slow_head(say: Say) -> None:
    say(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(400):
        say(b"a")
        time.sleep(0.05)


def slow_body(say: Say) -> None:
    say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(400):
        say(b" ")
        time.sleep(0.05)


def bomb() -> bytes:
    return gzip.compress(b" " * 100_000_000)


PAGE = b"<!DOCTYPE html><html><body><h1>It works!</h1></body></html>"
NO_SERVER = {
    "another protocol": (lambda say: say(b"SSH-2.0-OpenSSH_9.2\r\n"), "no server answers.*RemoteProtocolError"),
    "nothing at all": (lambda say: None, "no server answers"),
    "a page": (http(PAGE, "200 OK", "Content-Type: text/html"), r"answers no JSON .*It works!.*such as http://127"),
    "a page of an error": (http(PAGE, "404 Not Found"), "/models answers HTTP 404"),
    "a page of a proxy": (http(PAGE, "502 Bad Gateway"), "no server answers.*HTTP 502"),
    "a redirection": (http(b"", "302 Found", "Location: http://127.0.0.9:1/v1/models"), "sends us on to http://127"),
    "one that keeps the way of asking": (http(b"", "308 Permanent Redirect", "Location: /v2"), "sends us on to /v2"),
    "a bomb": (http(bomb(), "200 OK", "Content-Encoding: gzip"), r"an answer is packed \(gzip\)"),
    "no end": (endless, "goes on beyond 4 MiB"),
    "a head without end": (slow_head, "no server answers.*no whole answer within 1 s"),
    "a body that drips": (slow_body, "no server answers.*no whole answer within 1 s"),
    "nested without end": (http(b"[" * 1_000_000), "answers no JSON"),
    "a number without end": (http(b'{"data": ' + b"9" * 100_000 + b"}"), "answers no JSON"),
    "no text": (http(b'{"data": "\xff\xfe"}'), "answers no JSON"),
    "no object": (http(b"[]"), "lists no models"),
    "no models": (http(b'{"data": [7]}'), "lists no models"),
    "no model": (http(models()), "no model is served as 'tiny' there; it has: none"),
    "many models": (http(models(*({"id": f"m{n}"} for n in range(9999)))), r"it has: m0, m1.*\.\.\."),
    "one name for two": (http(models({"id": "tiny", "root": "a"}, {"id": "tiny", "root": "b"})), "2 models are served"),
    "a name that commands a terminal": (http(models({"id": "\x1b[31mred\u202e"})), r"it has: \\x1b\[31mred\\u202e"),
    "no length": (http(models({"id": "tiny", "max_model_len": -1})), "takes -1 tokens"),
}


@pytest.mark.parametrize("case", NO_SERVER)
def test_what_is_no_server_of_models(tiny_folder: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script, words = NO_SERVER[case]
    monkeypatch.setenv("MY_KEY", KEY)
    before, began = psutil.Process().memory_info().rss, time.monotonic()
    with scripted(script) as (url, heard), pytest.raises(OnoffError, match=words) as refused:
        open_sampler("m", settings(tiny_folder, url, timeout_seconds=1.0, api_key_env="MY_KEY"), Path())
    assert time.monotonic() - began < 15
    assert psutil.Process().memory_info().rss - before < 200_000_000
    assert len(str(refused.value)) < 1000
    assert str(refused.value).isprintable()
    assert KEY not in str(refused.value)
    assert all(one.startswith(b"GET /v1/models ") for one in heard)


@pytest.fixture(scope="module")
def server(tiny_folder: Path) -> Iterator[Server]:
    with serving(tiny_folder, then="spoil") as running:
        yield running


def choice(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content["choices"][0].update(changes)


def logprob(value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content["choices"][0]["logprobs"]["token_logprobs"].__setitem__(0, value)


def one_token(token: Any) -> Callable[[dict[str, Any]], Any]:
    return choice(token_ids=[token], logprobs={"token_logprobs": [-1.0]}, finish_reason="stop")


SPOILT = {
    "negative id": (one_token(-1), "token_ids is no list of token ids"),
    "id beyond the vocabulary": (one_token(10**30), "has the token id 1000"),
    "id that is none": (one_token("7"), "token_ids is no list"),
    "id that is true": (one_token(True), "token_ids is no list"),
    "ids that are one": (choice(token_ids=7), "token_ids is no list"),
    "no ids": (choice(token_ids=[]), "without token ids"),
    "above 0": (logprob(2.5), "a log-probability is 2.5, which is above 0"),
    "infinite": (logprob(float("inf")), "is no number"),
    "not a number": (logprob(float("nan")), "is no number"),
    "too large for a float": (logprob(-(10**400)), "is no number"),
    "a text": (logprob("-1"), "is no number"),
    "missing one": (logprob(None), "is no number"),
    "more than tokens": (lambda said: said["choices"][0]["logprobs"]["token_logprobs"].append(-1.0), "log-probabilit"),
    "log-probabilities of another form": (choice(logprobs=[-1.0]), "logprobs is no object"),
    "no finish_reason": (choice(finish_reason=None), "ended without finish_reason"),
    "filtered": (choice(finish_reason="content_filter"), "ended as 'content_filter'"),
    "a reason of another form": (choice(finish_reason=["stop"]), "finish_reason is no text"),
    "another prompt": (choice(prompt_token_ids=[40, 3]), "the server changed the prompt"),
    "a prompt that is none": (choice(prompt_token_ids=5), "prompt_token_ids is no list"),
    "two choices": (lambda said: said["choices"].append(said["choices"][0]), "2 choices where one was asked for"),
    "no choice": (lambda said: said["choices"].clear(), "0 choices where one"),
    "a choice of another form": (lambda said: said.update(choices=["text"]), "its choice is no object"),
    "an error with 200": (
        lambda said: (said.clear(), said.update(error="CUDA error")),
        "no choices in it; it answers: .*CUDA error",
    ),
    "too much": (choice(text="x" * 6_000_000), "goes on beyond 4 MiB"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_an_answer_that_cannot_be(server: Server, tiny_folder: Path, case: str) -> None:
    """After answers that were right."""
    server.behaviour.seen.clear()
    server.behaviour.after, (server.behaviour.spoil, words) = PROBES + 1, SPOILT[case]
    with pytest.raises(ModelError, match=words) as refused:
        drawn(settings(tiny_folder, server, max_concurrency=1), asked(1, 3))
    assert len(str(refused.value)) < 1000
    assert len(server.behaviour.seen) == PROBES + 2


AT_ONCE = {
    **{name: SPOILT[name][1] for name in SPOILT if "form" in name or "choice" in name or "prompt" in name},
    "no ids": "returns no token ids",
    "no finish_reason": "came without finish_reason",
    "an error with 200": "there are no choices in it",
    "negative id": "token_ids is no list of token ids",
}


@pytest.mark.parametrize("case", AT_ONCE)
def test_an_answer_that_cannot_be_before_the_first_response(server: Server, tiny_folder: Path, case: str) -> None:
    server.behaviour.seen.clear()
    server.behaviour.after, server.behaviour.spoil = 0, SPOILT[case][0]
    with pytest.raises(ModelError, match=AT_ONCE[case]):
        open_sampler("m", settings(tiny_folder, server), Path())
    assert len(server.behaviour.seen) == 1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (choice(finish_reason=None), "ended without finish_reason"),
        (choice(finish_reason="content_filter"), "ended as 'content_filter'"),
        (choice(text=None), "without text"),
        (choice(text=["a"]), "text or finish_reason is no text"),
    ],
)
def test_an_answer_in_text_that_cannot_be(server: Server, tiny_folder: Path, spoil: Any, words: str) -> None:
    server.behaviour.seen.clear()
    server.behaviour.after, server.behaviour.spoil = 1, spoil
    server.behaviour.no_ids = True
    try:
        with pytest.raises(ModelError, match=words):
            drawn(settings(tiny_folder, server, engine="other", max_concurrency=1), asked(1, 3))
        server.behaviour.spoil = choice(text="half a \ud83d character")
        [response] = drawn(settings(tiny_folder, server, engine="other", max_concurrency=1), asked(1, 1))
        assert response.text == "half a ? character"
    finally:
        server.behaviour.no_ids = False


def test_a_server_of_another_tokenizer_is_another_model(server: Server, tiny_folder: Path) -> None:
    server.behaviour.seen.clear()
    server.behaviour.spoil = lambda said: (
        said["choices"][0]["prompt_token_ids"].reverse() if len(said["choices"][0]["prompt_token_ids"]) > 8 else None
    )
    server.behaviour.after = 0
    with pytest.raises(ModelError, match=r"splits a text into other tokens .* so it serves another model"):
        open_sampler("m", settings(tiny_folder, server), Path())


def test_a_server_that_is_named_twice_is_one_and_has_no_replicas(server: Server, tiny_folder: Path) -> None:
    """`num_process` is of the model that scores."""
    server.behaviour.after = 10**9
    sampler = open_sampler("m", settings(tiny_folder, server, server.url, num_process=2), Path())
    assert sampler.info.device == "1 server"
    assert isinstance(sampler, ServedModel)
