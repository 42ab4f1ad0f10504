"""The sampler behind servers.

One request draws one response: `n: 1` and a seed hashed from (seed, problem, sample), so a response does not depend on
what is asked for beside it, or where. The ids that come back are replayed through `Draft`, which decides here as
everywhere where a response ends; the server's text is not kept. Where a server says no ids (`engine: other`), its text
is what there is: the ids are that text tokenized, and no log-probability is kept.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from onoff_core.backends import open_tokenizer
from onoff_core.backends.contract import ModelInfo, OnTokens, Tokenizer
from onoff_core.backends.drafts import DescribedModel, Draft
from onoff_core.backends.openai.answers import Completion, checked_ids
from onoff_core.backends.openai.probing import Found, probe
from onoff_core.backends.openai.protocol import Endpoint, EndpointFailed, api_key, ids_payload, sampling_payload
from onoff_core.backends.openai.spreading import Spread, none_left
from onoff_core.backends.requests import Request, Response
from onoff_core.errors import ModelError
from onoff_core.study import ModelSettings, SamplingSettings
from onoff_core.tasks import Prompt

_MARGIN = {"sglang": 1}  # it refuses a request that may fill the model's length to the last token
logger = logging.getLogger(__name__)


def request_seed(seed: int, problem_id: str, sample_index: int) -> int:
    """The seed of one response, 63 bits."""
    digest = hashlib.sha256(f"{seed}\x1f{problem_id}\x1f{sample_index}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1


class ServedModel(DescribedModel):
    """The sampler of the contract."""

    def __init__(
        self,
        settings: ModelSettings,
        info: ModelInfo,
        tokenizer: Tokenizer,
        endpoints: Sequence[Endpoint],
        returns_ids: bool,
    ) -> None:
        self.info, self.tokenizer = info, tokenizer
        self._settings, self._endpoints, self._returns_ids = settings, list(endpoints), returns_ids
        self._model = settings.backend_specific.served_model_name or settings.model_name

    def sample(
        self, requests: Sequence[Request], sampling: SamplingSettings, seed: int, on_tokens: OnTokens
    ) -> Iterator[Response]:
        if any(request.forcing is not None for request in requests):
            raise ModelError(
                f"models.{self.info.name}: sampling.thinking_budget puts tokens in, which servers cannot; set "
                "it to null"
            )
        draw = self._draw if self._returns_ids else self._draw_text
        spread = Spread(
            self.info.name,
            self._endpoints,
            requests,
            partial(draw, sampling=sampling, seed=seed),
            self._settings.backend_specific.max_concurrency,
        )
        for response in spread.run():
            on_tokens(len(response.token_ids))
            yield response

    def close(self) -> None:
        """Let go of the connections; what is asked for still is not waited for."""
        for endpoint in self._endpoints:
            endpoint.close()

    def _draw(self, endpoint: Endpoint, request: Request, *, sampling: SamplingSettings, seed: int) -> Response:
        draft = Draft(request, self, sampling, seed)
        completion = endpoint.complete(
            {
                **ids_payload(sampling, sorted(self.stop_token_ids)),
                "model": self._model,
                "prompt": list(request.prompt_ids),
                "seed": request_seed(seed, request.problem_id, request.sample_index),
                "max_tokens": draft.max_tokens,
            }
        )
        _check_whole(endpoint, completion)
        what = f"{endpoint.url}: problem {request.problem_id}, sample {request.sample_index}"
        try:
            ids, logprobs = checked_ids(completion)
        except ValueError as error:
            raise ModelError(f"{what}: {error}") from error
        self.info.check_token_ids(ids, f"{what}: it")
        for token, logprob in zip(ids, logprobs, strict=True):
            if draft.accept(token, logprob):
                return draft.response
        raise ModelError(
            f"{what}: the server ended a response after {len(ids)} tokens, the last of them {ids[-1]}, where the model "
            f"does not end ({completion.finish_reason}). Its stop tokens are {sorted(self.stop_token_ids)}; start the "
            "server with the model's own, and without a limit on lengths of its own (vLLM: --generation-config vllm)"
        )

    def _draw_text(self, endpoint: Endpoint, request: Request, *, sampling: SamplingSettings, seed: int) -> Response:
        completion = endpoint.complete(
            {
                **sampling_payload(sampling),
                "model": self._model,
                "prompt": self.vocabulary.bytes_of(request.prompt_ids).decode("utf-8", errors="replace"),
                "seed": request_seed(seed, request.problem_id, request.sample_index),
                "max_tokens": Draft(request, self, sampling, seed).max_tokens,
            }
        )
        _check_whole(endpoint, completion)
        if completion.text is None:
            raise ModelError(f"{endpoint.url}: a response came without text")
        ids = self.tokenizer.encode(Prompt(completion.text, add_special_tokens=False))
        stop = sorted(self.stop_token_ids)[:1] if not ids else []  # an empty response is its end alone
        reason = "length" if completion.finish_reason == "length" else "stop"
        return Response(request, [*ids, *stop], [], reason, completion.text)


def _check_whole(endpoint: Endpoint, completion: Completion) -> None:
    """Raise where a response was not drawn to its end."""
    reason = completion.finish_reason
    if reason in ("stop", "length"):
        return
    if reason in ("abort", "error"):  # the server gave up
        raise EndpointFailed(f"{endpoint.url}: a response ended as {reason!r}")
    said = "without finish_reason" if reason is None else f"as {endpoint.shown(reason)!r}"
    raise ModelError(f"{endpoint.url}: a response ended {said}, so it is not what the model would have said to its end")


def open_sampler(name: str, settings: ModelSettings, base_dir: Path) -> ServedModel:
    """Ask every server what it is. One that does not answer is set aside; raises where none does, or where one is not
    what the settings say.
    """
    options = settings.backend_specific
    key = api_key(name, options)
    tokenizer = open_tokenizer(name, settings, base_dir)
    found: dict[Endpoint, Found] = {}
    failure: EndpointFailed | None = None
    for url in dict.fromkeys(options.endpoints):
        endpoint = Endpoint(url, key, options)
        try:
            found[endpoint] = probe(name, endpoint, settings, tokenizer)
        except EndpointFailed as error:
            logger.warning("models.%s: %s is set aside: %s", name, url, error)
            failure = error
            endpoint.close()
    if not found:
        assert failure is not None, "settings name at least one"
        raise none_left(name, failure)
    levels = {one.returns_ids for one in found.values()}
    if len(levels) > 1:
        raise ModelError(f"models.{name}: some of its servers return token ids and some do not; name one kind")
    returns_ids = levels.pop()
    info = _info(name, settings, tokenizer, list(found.values()), returns_ids)
    return ServedModel(settings, info, tokenizer, list(found), returns_ids)


def _info(
    name: str, settings: ModelSettings, tokenizer: Tokenizer, found: Sequence[Found], returns_ids: bool
) -> ModelInfo:
    options = settings.backend_specific
    lengths = [one.max_positions - _MARGIN.get(options.engine, 0) for one in found if one.max_positions is not None]
    versions = sorted({one.version for one in found if one.version is not None})
    broken = sorted({promise for one in found for promise in one.not_promised})
    facts = {
        "engine": " ".join([options.engine, ", ".join(versions)]).strip(),
        "model_root": sorted({one.model_root for one in found if one.model_root is not None}),
        "num_endpoints": len(found),
        **({"not_promised": broken} if broken else {}),
        **({} if returns_ids else {"ids": "from text"}),
    }
    return ModelInfo(
        name=name,
        revision=None,
        dtype=None,
        device=f"{len(found)} server{'s' * (len(found) > 1)}",
        vocab_size=len(tokenizer.vocabulary),
        max_positions=min(lengths, default=None),
        stop_token_ids=tokenizer.stop_token_ids,
        facts=facts,
    )
