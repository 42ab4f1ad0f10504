"""One server: what is asked of it and what it answers, checked. No key is ever part of an error, a log or a fact."""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from onoff_core.backends.openai.answers import Completion, parsed, read_completion
from onoff_core.backends.openai.deadline import TimedTransport, within
from onoff_core.errors import ModelError, SettingsError
from onoff_core.study import BackendOptions, SamplingSettings

_CONNECT_SECONDS = 10.0
_SHOWN = 300
_TOO_MANY, _WAITS = 429, 6  # so often a server that asks for patience gets it, longer each time
_LONGEST_WAIT_SECONDS = 60.0
# What an answer may weigh, so that a server that goes on for ever does not fill the memory. A token comes with its id,
# its text and its log-probability, some 100 bytes.
_BYTES_AN_ANSWER, _BYTES_A_TOKEN = 4 * 1024 * 1024, 1024
logging.getLogger("httpx2").setLevel(logging.WARNING)  # it would log a line a response


class EndpointFailed(ConnectionError):
    """A server did not answer as a working one does; another one may."""


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def api_key(name: str, options: BackendOptions) -> str | None:
    """The key in the variable that the settings name."""
    if options.api_key_env is None:
        return None
    key = os.environ.get(options.api_key_env)
    if not key:
        raise SettingsError(
            f"models.{name}: backend_specific.api_key_env names {options.api_key_env}, which is not set; "
            f"export {options.api_key_env}=... where this runs"
        )
    return key


class Endpoint:
    """A server's address, and a client that keeps connections to it."""

    def __init__(self, url: str, key: str | None, options: BackendOptions) -> None:
        self.url, self._key, self._seconds = url, key, options.timeout_seconds
        most = options.max_concurrency
        self.client = httpx2.Client(
            # an answer that is packed may unpack into any size
            headers={"Accept-Encoding": "identity", **({} if key is None else {"Authorization": f"Bearer {key}"})},
            timeout=httpx2.Timeout(options.timeout_seconds, connect=min(_CONNECT_SECONDS, options.timeout_seconds)),
            transport=TimedTransport(httpx2.Limits(max_connections=most, max_keepalive_connections=most)),
            trust_env=False,
        )

    def close(self) -> None:
        self.client.close()

    def get(self, path: str) -> Any:
        """An answer in JSON; the path starts at the address."""
        return self._content(self._send("GET", f"{self.url}{path}"), path)

    def version(self, engine: str) -> str | None:
        """The engine's version, where it says one."""
        path = {"vllm": "/version", "sglang": "/get_server_info"}.get(engine)
        if path is None:
            return None
        answer = self._send("GET", f"{self.url.removesuffix('/v1')}{path}")
        if answer.status != 200:
            return None
        found = self._content(answer, path)
        return self.shown(str(found["version"])) if isinstance(found, dict) and "version" in found else None

    def complete(self, payload: Mapping[str, Any]) -> Completion:
        """One response. Raises `EndpointFailed` where another server may do better, else `ModelError`."""
        answer = self._send_patiently(f"{self.url}/completions", payload)
        content = self._content(answer, "/completions")
        try:
            completion = read_completion(content)
        except ValueError as error:
            raise ModelError(
                f"{self.url}: /completions answers in another form than the protocol's: {error}; it answers: "
                f"{self._shown_body(answer)}"
            ) from error
        prompt, seen = payload["prompt"], completion.prompt_token_ids
        if seen is not None and not isinstance(prompt, str) and seen != list(prompt):
            raise ModelError(f"{self.url}: the server changed the prompt ({len(prompt)} tokens became {len(seen)})")
        return completion

    def shown(self, text: str) -> str:
        """Text of a server for a message: short, without the key, which some servers repeat, and without characters
        that would command a terminal.
        """
        plain = text if self._key is None else text.replace(self._key, "...")
        one_line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(plain.split()))
        return one_line if len(one_line) <= _SHOWN else f"{one_line[:_SHOWN]}..."

    def _shown_body(self, answer: _Answer) -> str:
        return repr(self.shown(answer.body[: 100 * _SHOWN].decode("utf-8", "replace")))

    def _send_patiently(self, url: str, payload: Mapping[str, Any]) -> _Answer:
        for number in range(_WAITS):
            answer = self._send("POST", url, payload)
            if answer.status != _TOO_MANY:
                break
            said = answer.headers.get("retry-after", "")
            time.sleep(min(_LONGEST_WAIT_SECONDS, float(said) if said.isdecimal() else 2.0**number))
        return answer

    def _send(self, method: str, url: str, payload: Mapping[str, Any] | None = None) -> _Answer:
        most = _BYTES_AN_ANSWER
        if payload is not None:
            most += _BYTES_A_TOKEN * (len(payload["prompt"]) + int(payload["max_tokens"]))
        try:
            with (
                within(self._seconds),
                self.client.stream(method, url, json=None if payload is None else dict(payload)) as response,
            ):
                return _Answer(response.status_code, response.headers, self._body(response, most))
        except (httpx2.ReadTimeout, httpx2.WriteTimeout, httpx2.PoolTimeout) as error:
            raise EndpointFailed(
                f"{self.url}: no whole answer within {self._seconds:g} s (backend_specific.timeout_seconds)"
            ) from error
        except httpx2.TransportError as error:
            raise EndpointFailed(f"{self.url}: {type(error).__name__}: {self.shown(str(error))}") from error

    def _body(self, response: httpx2.Response, most: int) -> bytes:
        packed = response.headers.get("content-encoding", "identity")
        if packed.lower() != "identity":
            raise ModelError(
                f"{self.url}: an answer is packed ({self.shown(packed)}), which was not asked for; whatever stands "
                "before the server has to let answers through as they are"
            )
        body = bytearray()
        for part in response.iter_raw():
            body += part
            if len(body) > most:
                raise ModelError(
                    f"{self.url}: an answer goes on beyond {most // 2**20} MiB, which no answer to what was asked "
                    "needs; is this the address of a server of models?"
                )
        return bytes(body)

    def _content(self, answer: _Answer, path: str) -> Any:
        """What an answer of success holds; each other one as its error."""
        status = answer.status
        if status in (401, 403):
            raise SettingsError(
                f"{self.url}: the server wants a key that it knows (HTTP {status}); put it into a variable of the "
                "environment and name that in backend_specific.api_key_env"
            )
        if status >= 500 or status in (408, _TOO_MANY):
            raise EndpointFailed(f"{self.url}: HTTP {status}: {self._shown_body(answer)}")
        if 300 <= status < 400:
            place = self.shown(answer.headers.get("location", "nowhere"))
            raise ModelError(
                f"{self.url}: {path} sends us on to {place} (HTTP {status}), which is not followed: prompts and keys "
                "go to the addresses in backend_specific.endpoints only; name the server's own there"
            )
        if status != 200:
            raise ModelError(f"{self.url}: {path} answers HTTP {status}: {self._shown_body(answer)}")
        try:
            return parsed(answer.body)
        except ValueError as error:
            raise ModelError(
                f"{self.url}: {path} answers no JSON ({self._shown_body(answer)}); is this the address of a server of "
                "models, such as http://127.0.0.1:8000/v1?"
            ) from error


def sampling_payload(sampling: SamplingSettings) -> dict[str, Any]:
    """Every parameter that changes what is drawn, said: what is not, servers fill from the model's own defaults."""
    greedy = sampling.greedy
    return {
        "n": 1,
        "temperature": 0.0 if greedy else sampling.temperature,
        "top_p": 1.0 if greedy else sampling.top_p,
        **({"stop": list(sampling.stop_strings)} if sampling.stop_strings else {}),
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "stream": False,
    }


def ids_payload(sampling: SamplingSettings, stop_token_ids: Sequence[int]) -> dict[str, Any]:
    """The same for servers that take and return token ids."""
    return {
        **sampling_payload(sampling),
        "top_k": -1 if sampling.greedy or sampling.top_k is None else sampling.top_k,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "min_tokens": 0,
        "ignore_eos": False,
        "logprobs": 0,
        "return_token_ids": True,
        "skip_special_tokens": False,
        "stop_token_ids": list(stop_token_ids),
    }
