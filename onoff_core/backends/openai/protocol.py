"""One server: what is asked of it and what it answers, checked. No key is ever part of an error, a log or a fact."""

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from onoff_core.errors import ModelError, SettingsError
from onoff_core.study import BackendOptions, SamplingSettings

_CONNECT_SECONDS = 10.0
_NO_NUMBER = -9999.0  # how vLLM writes NaN and -inf
_SHOWN = 300
_TOO_MANY, _WAITS = 429, 6  # so often a server that asks for patience gets it, longer each time
_LONGEST_WAIT_SECONDS = 60.0
logging.getLogger("httpx2").setLevel(logging.WARNING)  # it would log a line a response


class EndpointFailed(ConnectionError):
    """A server did not answer as a working one does; another one may."""


@dataclass(frozen=True)
class Completion:
    """What a server said of one response."""

    token_ids: list[int] | None  # None: it says text only
    logprobs: list[float] | None  # nats, one a token
    most_probable: float | None  # of the first token's alternatives, where they were asked for
    text: str
    finish_reason: str | None


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
        self.url, self._key = url, key
        self.client = httpx2.Client(
            headers={} if key is None else {"Authorization": f"Bearer {key}"},
            timeout=httpx2.Timeout(options.timeout_seconds, connect=min(_CONNECT_SECONDS, options.timeout_seconds)),
            limits=httpx2.Limits(
                max_connections=options.max_concurrency, max_keepalive_connections=options.max_concurrency
            ),
            trust_env=False,  # a proxy for the web is none for a server on this network
        )

    def close(self) -> None:
        self.client.close()

    def get(self, path: str) -> Any:
        """An answer in JSON; the path starts at the address."""
        return self._json(self._send("GET", f"{self.url}{path}"), path)

    def version(self, engine: str) -> str | None:
        """The engine's version, where it says one."""
        path = {"vllm": "/version", "sglang": "/get_server_info"}.get(engine)
        if path is None:
            return None
        response = self._send("GET", f"{self.url.removesuffix('/v1')}{path}")
        if response.status_code != 200:
            return None
        found = self._json(response, path)
        return str(found["version"]) if isinstance(found, dict) and "version" in found else None

    def complete(self, payload: Mapping[str, Any]) -> Completion:
        """One response. Raises `EndpointFailed` where another server may do better, else `ModelError`."""
        response = self._send_patiently(f"{self.url}/completions", payload)
        found = self._json(response, "/completions")
        try:
            (choice,) = found["choices"]
            text, reason = choice["text"], choice.get("finish_reason")
            logprobs = choice.get("logprobs") or {}
            alternatives = logprobs.get("top_logprobs") or []
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"{self.url}: /completions answers in another form than the protocol's: {error}"
            ) from error
        prompt = payload["prompt"]
        seen = choice.get("prompt_token_ids")
        if seen is not None and not isinstance(prompt, str) and list(seen) != list(prompt):
            raise ModelError(f"{self.url}: the server changed the prompt ({len(prompt)} tokens became {len(seen)})")
        return Completion(
            token_ids=choice.get("token_ids"),
            logprobs=logprobs.get("token_logprobs"),
            most_probable=max(alternatives[0].values()) if alternatives and alternatives[0] else None,
            text=text,
            finish_reason=reason,
        )

    def _send_patiently(self, url: str, payload: Mapping[str, Any]) -> httpx2.Response:
        for number in range(_WAITS):
            response = self._send("POST", url, payload)
            if response.status_code != _TOO_MANY:
                break
            said = response.headers.get("retry-after", "")
            time.sleep(min(_LONGEST_WAIT_SECONDS, float(said) if said.isdecimal() else 2.0**number))
        return response

    def _send(self, method: str, url: str, payload: Mapping[str, Any] | None = None) -> httpx2.Response:
        try:
            return self.client.request(method, url, json=None if payload is None else dict(payload))
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise EndpointFailed(f"{self.url}: {type(error).__name__}: {self._shown(str(error))}") from error

    def _json(self, response: httpx2.Response, path: str) -> Any:
        status, body = response.status_code, self._shown(response.text)
        if status in (401, 403):
            raise SettingsError(
                f"{self.url}: the server wants a key that it knows (HTTP {status}); put it into a variable of the "
                "environment and name that in backend_specific.api_key_env"
            )
        if status >= 500 or status in (408, _TOO_MANY):
            raise EndpointFailed(f"{self.url}: HTTP {status}: {body}")
        if status != 200:
            raise ModelError(f"{self.url}: {path} answers HTTP {status}: {body}")
        try:
            return response.json()
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ModelError(
                f"{self.url}: {path} answers no JSON ({body!r}); is this the address of a server of models, such as "
                "http://127.0.0.1:8000/v1?"
            ) from error

    def _shown(self, text: str) -> str:
        """Text of a server for a message: short, and without the key, which some servers repeat."""
        plain = text if self._key is None else text.replace(self._key, "...")
        one_line = " ".join(plain.split())
        return one_line if len(one_line) <= _SHOWN else f"{one_line[:_SHOWN]}..."


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


def checked_ids(endpoint: str, completion: Completion) -> tuple[list[int], list[float]]:
    """The ids of a response and their log-probabilities, all there and all numbers."""
    ids, logprobs = completion.token_ids, completion.logprobs
    if not ids:
        raise ModelError(f"{endpoint}: a response came without token ids, which the server had given before")
    if logprobs is None or len(logprobs) != len(ids):
        count = "no" if logprobs is None else str(len(logprobs))
        raise ModelError(f"{endpoint}: a response of {len(ids)} tokens came with {count} log-probabilities")
    if any(value is None or value <= _NO_NUMBER or value != value for value in logprobs):
        raise ModelError(
            f"{endpoint}: a log-probability is no number (-9999 is how vLLM writes NaN and -inf); the model's logits "
            "are broken there: try another precision (--dtype) or another build of the server"
        )
    return list(ids), [min(0.0, float(value)) for value in logprobs]
