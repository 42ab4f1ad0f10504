"""A server that samples, over a small real model: it draws what it says, and whatever it does wrong is said."""

import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onoff_core.backends import open_sampler, scorer_kind
from onoff_core.backends.openai.engine import request_seed
from onoff_core.backends.requests import Request, Response
from onoff_core.errors import ModelError, SettingsError
from onoff_core.study import BackendOptions, ModelSettings, SamplingSettings
from tests.backends.openai.server import KEY, Server, serving

SAMPLING = SamplingSettings(max_length=20, temperature=0.8, top_p=0.95, top_k=40)
PROBES = 6  # completions that are asked for before the first response
QUIET: Callable[[int], None] = lambda tokens: None  # noqa: E731
Rows = dict[tuple[str, int], tuple[list[int], list[float], str]]


def settings(folder: Path, *servers: Server | str, **options: Any) -> ModelSettings:
    endpoints = tuple(one if isinstance(one, str) else one.url for one in servers)
    specific = BackendOptions.model_validate({"endpoints": endpoints, "served_model_name": "tiny", **options})
    return ModelSettings(backend_type="openai", model_name=str(folder), backend_specific=specific)


def asked(problems: int = 4, samples: int = 3) -> list[Request]:
    return [Request(f"p{n}", s, (40, 50 + n)) for n in range(problems) for s in range(samples)]


def drawn(model: ModelSettings, requests: list[Request] | None = None, **changes: Any) -> list[Response]:
    sampler = open_sampler("m", model, Path())
    try:
        work = asked() if requests is None else requests
        return list(sampler.sample(work, SAMPLING.model_copy(update=changes), 3, QUIET))
    finally:
        sampler.close()


def rows(responses: list[Response]) -> Rows:
    assert len({(r.request.problem_id, r.request.sample_index) for r in responses}) == len(responses)
    return {
        (r.request.problem_id, r.request.sample_index): (r.token_ids, r.logprobs, r.finish_reason) for r in responses
    }


def test_every_parameter_is_said_and_ids_are_kept(tiny_folder: Path) -> None:
    with serving(tiny_folder) as server:
        found = drawn(settings(tiny_folder, server))
        said = server.behaviour.seen[PROBES:]
    assert len(found) == len(said) == 12
    by_seed = {one["seed"]: one for one in said}
    assert len(by_seed) == 12
    for response in found:
        request = response.request
        one = by_seed[request_seed(3, request.problem_id, request.sample_index)]
        assert one["prompt"] == list(request.prompt_ids)
        assert {name: one[name] for name in ("n", "temperature", "top_p", "top_k", "max_tokens", "logprobs")} == {
            "n": 1,
            "temperature": 0.8,
            "top_p": 0.95,
            "top_k": 40,
            "max_tokens": 20,
            "logprobs": 0,
        }
        assert (one["return_token_ids"], one["skip_special_tokens"], one["min_p"]) == (True, False, 0.0)
        assert (one["repetition_penalty"], one["presence_penalty"], one["frequency_penalty"]) == (1.0, 0.0, 0.0)
        assert one["stop_token_ids"] == [2]
        assert len(response.token_ids) == len(response.logprobs) <= 20
        assert response.text is None


def test_the_same_whatever_the_order_concurrency_and_server(tiny_folder: Path) -> None:
    with serving(tiny_folder) as one, serving(tiny_folder) as two:
        first = rows(drawn(settings(tiny_folder, one, max_concurrency=1)))
        assert one.behaviour.most_at_once == 1
        assert rows(drawn(settings(tiny_folder, one, two), asked()[::-1])) == first
        assert len(two.behaviour.seen) > PROBES


def test_greedy_and_lengths(tiny_folder: Path) -> None:
    with serving(tiny_folder, max_model_len=16) as server:
        found = drawn(settings(tiny_folder, server), do_sample=False)
        said = server.behaviour.seen[PROBES:]
    assert {(one["temperature"], one["top_k"], one["top_p"]) for one in said} == {(0.0, -1, 1.0)}
    assert {one["max_tokens"] for one in said} == {14}  # two tokens of prompt
    assert all(len(response.token_ids) <= 14 for response in found)


def test_a_stop_string_ends_where_our_own_engine_ends_it(tiny_folder: Path, tiny_loaded: Any) -> None:
    with serving(tiny_folder) as server:
        plain = rows(drawn(settings(tiny_folder, server), max_length=60))
        said = b"".join(tiny_loaded.vocabulary.bytes_of(ids[3:]) for ids, _, _ in plain.values())
        stop = next(chr(byte) for byte in said if 65 <= byte < 123)
        cut = rows(drawn(settings(tiny_folder, server), max_length=60, stop_strings=(stop,)))
    ended = [key for key, row in cut.items() if row[2] == "stop_string"]
    assert ended
    for key in ended:
        kept = cut[key][0]
        assert kept == plain[key][0][: len(kept)]
        assert stop.encode() in tiny_loaded.vocabulary.bytes_of(kept)
        assert stop.encode() not in tiny_loaded.vocabulary.bytes_of(kept[:-1])


@pytest.mark.parametrize(
    ("behaviour", "promise", "engine", "mend"),
    [
        ({"seed_ignored": True}, "seeds_repeat", "sglang", "--enable-deterministic-inference"),
        ({"one_seed": True}, "seeds_differ", "vllm", "different seeds draw the same"),
        ({"scaled_logprobs": True}, "raw_logprobs", "sglang", "SGLANG_RETURN_ORIGINAL_LOGPROB=1"),
        ({"scaled_logprobs": True}, "raw_logprobs", "vllm", "--logprobs-mode raw_logprobs"),
    ],
)
def test_what_a_server_cannot_promise_is_refused_or_recorded(
    tiny_folder: Path, behaviour: dict[str, Any], promise: str, engine: str, mend: str
) -> None:
    with serving(tiny_folder, **behaviour) as server:
        with pytest.raises(ModelError, match=rf"{promise}|{mend}") as refused:
            open_sampler("m", settings(tiny_folder, server, engine=engine), Path())
        assert promise in str(refused.value)
        assert mend in str(refused.value)
        sampler = open_sampler("m", settings(tiny_folder, server, engine=engine, require=[]), Path())
    assert sampler.info.facts["not_promised"] == [promise]


def test_what_ran_is_a_fact(tiny_folder: Path) -> None:
    with serving(tiny_folder, version="0.33.1") as one, serving(tiny_folder, version="0.32.0") as two:
        info = open_sampler("m", settings(tiny_folder, one, two), Path()).info
    assert info.facts == {"engine": "vllm 0.32.0, 0.33.1", "model_root": ["/models/tiny"], "num_endpoints": 2}
    assert (info.device, info.max_positions) == ("2 servers", 512)


@pytest.mark.parametrize("then", ["500", "cut", "stall", "abort"])
def test_a_server_that_fails_is_set_aside_and_its_requests_go_elsewhere(
    tiny_folder: Path, then: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(tiny_folder) as well, serving(tiny_folder, after=PROBES + 2, then=then) as failing:
        expected = rows(drawn(settings(tiny_folder, well)))
        model = settings(tiny_folder, failing, well, max_concurrency=2, timeout_seconds=3.0)
        assert rows(drawn(model)) == expected
        assert f"{failing.url} is set aside" in caplog.text
        failing.behaviour.seen.clear()
        with pytest.raises(ModelError, match=r"models\.m: no server answers") as raised:
            drawn(settings(tiny_folder, failing, max_concurrency=2, timeout_seconds=3.0))
    assert isinstance(raised.value.__cause__, ConnectionError)  # which is tried again


def test_a_server_that_asks_for_patience_gets_it(tiny_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(tiny_folder, after=PROBES + 1, then="busy") as server:
        assert len(drawn(settings(tiny_folder, server, max_concurrency=1))) == 12
    assert "set aside" not in caplog.text


@pytest.mark.parametrize(
    ("then", "words"),
    [
        ("nan", "is no number"),
        ("no_ids", "without token ids"),
        ("no_logprobs", "with no log-probabilities"),
        ("early", "ended a response after 1 tokens"),
        ("foreign", "token id 50000"),
        ("prompt", "changed the prompt"),
    ],
)
def test_an_answer_that_cannot_be_is_an_error(tiny_folder: Path, then: str, words: str) -> None:
    with serving(tiny_folder, after=PROBES + 3, then=then) as server, pytest.raises(ModelError, match=words):
        drawn(settings(tiny_folder, server))


def test_bad_endpoints_are_said_before_the_first_chunk(tiny_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ModelError, match=f"no server answers.*:{port}") as raised:
        open_sampler("m", settings(tiny_folder, f"http://127.0.0.1:{port}/v1"), Path())
    assert isinstance(raised.value.__cause__, ConnectionError)
    with serving(tiny_folder) as server:
        for wrong, words in (("", "HTTP 404"), ("/v2", "HTTP 404")):
            address = server.url.replace("/v1", wrong)
            with pytest.raises(ModelError, match=words):
                open_sampler("m", settings(tiny_folder, address), Path())
        with pytest.raises(SettingsError, match="no model is served as 'other' there; it has: tiny"):
            open_sampler("m", settings(tiny_folder, server, served_model_name="other"), Path())


def test_the_wrong_model_behind_a_name(tiny_folder: Path) -> None:
    from onoff_core.backends.openai.probing import _check_root
    from onoff_core.backends.openai.protocol import Endpoint

    model = ModelSettings(
        backend_type="openai",
        model_name="Qwen/Qwen3-8B",
        backend_specific=BackendOptions(endpoints=("http://127.0.0.1:1/v1",)),
    )
    endpoint = Endpoint("http://127.0.0.1:1/v1", None, model.backend_specific)
    with pytest.raises(ModelError, match="serves Qwen/Qwen3-4B as 'q', but model_name is Qwen/Qwen3-8B"):
        _check_root("m", endpoint, model, "q", "Qwen/Qwen3-4B")
    _check_root("m", endpoint, model, "q", "qwen/qwen3-8b")
    _check_root("m", endpoint, model, "q", "/weights/qwen")


def test_keys_are_sent_and_never_shown(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(tiny_folder, key=KEY) as server:
        with pytest.raises(SettingsError, match="MY_KEY, which is not set"):
            open_sampler("m", settings(tiny_folder, server, api_key_env="MY_KEY"), Path())
        with pytest.raises(SettingsError, match=r"wants a key.*401"):
            open_sampler("m", settings(tiny_folder, server), Path())
        monkeypatch.setenv("MY_KEY", "sk-wrong-one")
        with pytest.raises(SettingsError) as refused:
            open_sampler("m", settings(tiny_folder, server, api_key_env="MY_KEY"), Path())
        assert "sk-wrong-one" not in str(refused.value)
        monkeypatch.setenv("MY_KEY", KEY)
        model = settings(tiny_folder, server, api_key_env="MY_KEY")
        sampler = open_sampler("m", model, Path())
        list(sampler.sample(asked(), SAMPLING, 3, QUIET))
        server.behaviour.after, server.behaviour.then = 0, "500"
        monkeypatch.setattr(type(server), "complete", None)
        with pytest.raises(ModelError) as failed:
            list(sampler.sample(asked(), SAMPLING, 3, QUIET))
    for text in (str(failed.value), repr(failed.value.__cause__), caplog.text, repr(sampler.info), repr(model)):
        assert KEY not in text


def test_an_api_without_ids_gives_text_marked_as_such(tiny_folder: Path, tiny_loaded: Any) -> None:
    for behaviour in ({"no_ids": True}, {"strict": True}):
        with serving(tiny_folder, **behaviour) as server:
            if "no_ids" in behaviour:
                with pytest.raises(ModelError, match="returns no token ids"):
                    open_sampler("m", settings(tiny_folder, server), Path())
            sampler = open_sampler("m", settings(tiny_folder, server, engine="other"), Path())
            found = list(sampler.sample(asked(), SAMPLING, 3, QUIET))
        assert sampler.info.facts["ids"] == "from text"
        assert len(found) == 12
        for response in found:
            assert response.text is not None
            assert response.logprobs == []
            assert response.token_ids
            assert response.finish_reason in ("stop", "length")


def test_what_decides_scoring(tiny_folder: Path) -> None:
    assert scorer_kind(settings(tiny_folder, "http://h:1/v1")) == "huggingface"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"endpoints": []}, "needs backend_specific.endpoints"),
        ({"endpoints": ["host:8000"]}, "an address such as"),
        ({"endpoints": ["http://me:secret@h/v1"]}, "holds no key and no password"),
        ({"endpoints": ["http://h/v1"], "require": ["seeds"]}, "seeds_repeat"),
        ({"endpoints": ["http://h/v1"], "engine": "tgi"}, "vllm"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ModelSettings.model_validate({"backend_type": "openai", "model_name": "a/b", "backend_specific": changes})


def test_endpoints_are_of_servers_only() -> None:
    with pytest.raises(ValueError, match="endpoints goes with backend_type: openai"):
        ModelSettings.model_validate({"model_name": "a/b", "backend_specific": {"endpoints": ["http://h/v1"]}})
