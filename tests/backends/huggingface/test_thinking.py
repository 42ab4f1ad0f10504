"""Thinking on models of transformers: template arguments, tags, and tokens that are put in, whichever loop decodes."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from onoff_core.backends.drafts import uniform_stream
from onoff_core.backends.huggingface import cpu, decoding
from onoff_core.backends.huggingface.drawing import draw
from onoff_core.backends.huggingface.generate import generate_batches
from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.backends.huggingface.scoring import score
from onoff_core.backends.huggingface.templates import arguments_of, variables_of
from onoff_core.backends.huggingface.trying import plain_logits
from onoff_core.backends.requests import Request, Response
from onoff_core.cli.main import main
from onoff_core.errors import ModelError
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import materialize_samples
from onoff_core.sampling import resolve_tags, thinking_plan
from onoff_core.study import DistributionSettings, Example, SamplingSettings, TaskSettings, ThinkingTags, load_study
from onoff_core.tasks import render_prompt
from tests.conftest import write_study

# As Qwen3's does it: a switch, and no thinking in former turns.
QWEN3 = """\
{%- set ns = namespace(last=messages|length - 1) %}
{%- for m in messages %}
    {%- if m.role == 'assistant' %}
        {%- set content = m.content %}
        {%- if '</think>' in content %}{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}
        {{- '<|im_start|>assistant\\n' + content + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""
MODEL = TaskSettings(template_type="model")
SAMPLING = SamplingSettings(max_length=24, num_samples=3, thinking_budget=6)
TAGS = ThinkingTags(open="<think>", close="</think>")


@pytest.fixture
def qwen3(tiny_loaded: LoadedModel) -> Iterator[LoadedModel]:
    kept, tiny_loaded.tokenizer.chat_template = tiny_loaded.tokenizer.chat_template, QWEN3
    yield tiny_loaded
    tiny_loaded.tokenizer.chat_template = kept


def test_arguments_reach_the_template(qwen3: LoadedModel) -> None:
    def ends(**arguments: Any) -> str:
        task = MODEL.model_copy(update={"chat_template": arguments or None})
        return render_prompt("1?", task, qwen3.chat_template).text.rpartition("assistant\n")[2]

    assert ends() == ends(enable_thinking=True) == ""
    assert ends(enable_thinking=False) == "<think>\n\n</think>\n\n"


def test_an_argument_that_the_template_does_not_know_is_an_error(qwen3: LoadedModel) -> None:
    task = MODEL.model_copy(update={"chat_template": {"enable_thinking": True, "thinking": True}})
    with pytest.raises(ModelError, match=r"has no argument thinking; it has: enable_thinking\. Take it out"):
        render_prompt("1?", task, qwen3.chat_template)


@pytest.mark.parametrize(
    ("template", "arguments"),
    [
        ("{% if x is defined and x is false %}a{% endif %}{{ messages[0].content }}", ["x"]),
        ("{% if x is not defined %}{% set x = true %}{% endif %}{{ x }}", ["x"]),
        ("{% set x = x | default(true) %}{{ x }}", ["x"]),
        ("{% set x = true %}{{ x }}", []),  # what is given is not looked at
        ("{# x #}{{ ns.x }}{% for x in messages %}{{ x }}{% endfor %}", ["ns"]),
        ("{% generation %}{{ x }}{% endgeneration %}{% for m in tools %}{% break %}{% endfor %}", ["tools", "x"]),
        ("{{ strftime_now('%d') }}{{ bos_token }}{{ raise_exception('x') }}{{ range(3) }}", []),
        ("{% for m in messages %}{% set x = m.x %}{% if x %}{% set x = 1 %}{% endif %}{{ x }}{% endfor %}", []),
        ("{% for t in y %}{% if t.f %}{% set t = t.f %}{% endif %}{{ t }}{% endfor %}", ["y"]),
        ("{% set x %}{{ z }}{% endset %}{{ x }}", ["z"]),
        ("{% set y = x if x is defined and x in ['low'] else 'max' %}{{ y }}", ["x"]),
        ("{% if not x is defined %}{% if y is defined %}{% set x = y %}{% endif %}{% endif %}{{ x }}", ["x", "y"]),
        ("{% if y %}{% set x = 1 %}{% endif %}{{ x }}", ["y"]),
        ("{% macro m(x) %}{{ x }}{{ y }}{% endmacro %}{{ m(1) }}", ["y"]),
    ],
)
def test_arguments_are_the_variables_that_a_template_looks_up(template: str, arguments: list[str]) -> None:
    assert arguments_of(template) == arguments
    assert set(arguments) <= variables_of(template)


def test_auto_takes_the_tags_of_the_template(qwen3: LoadedModel) -> None:
    assert resolve_tags("auto", qwen3) == TAGS
    qwen3.tokenizer.chat_template = "{{ '[THINK]' }}{{ '[/THINK]' }}"
    assert resolve_tags("auto", qwen3) == ThinkingTags(open="[THINK]", close="[/THINK]")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ messages }}", "names no tags around thinking that are known"),
        ("</think></thinking>", "names several tags around thinking: <think> </think>, <thinking> </thinking>"),
        (None, "names no tags"),
    ],
)
def test_auto_says_where_a_template_does_not_tell(qwen3: LoadedModel, template: str | None, said: str) -> None:
    qwen3.tokenizer.chat_template = template
    with pytest.raises(ModelError, match=rf"task\.thinking: auto: .*{said}"):
        resolve_tags("auto", qwen3)


def test_auto_takes_the_tags_that_the_format_asks_for_where_no_template_tells(tiny_loaded: LoadedModel) -> None:
    assert resolve_tags("auto", tiny_loaded, "structured") == TAGS


def test_examples_whose_thinking_the_template_drops_are_named(qwen3: LoadedModel) -> None:
    shown = (
        Example(question="1 + 1?", response="<think>\none and one\n</think>\n\n2"),
        Example(question="2 + 2?", response="4"),
    )
    plan = thinking_plan(qwen3, MODEL.model_copy(update={"examples": shown}), SamplingSettings())
    assert plan.dropped == (0,)
    assert plan.facts == {"examples_without_thinking": [0]}
    assert "leaves out the thinking of number 1" in plan.warnings[0]
    chatml = TaskSettings(examples=shown)
    assert thinking_plan(qwen3, chatml, SamplingSettings()).warnings == ()


def test_a_budget_that_leaves_no_token_for_an_answer_is_an_error(qwen3: LoadedModel) -> None:
    task = MODEL.model_copy(update={"thinking": "auto"})
    fits = SamplingSettings(max_length=14, thinking_budget=6)  # the closing tag is seven tokens here
    assert len(thinking_plan(qwen3, task, fits).closing) == 7
    with pytest.raises(ModelError, match=r"6 tokens of thinking and the 7 of </think> leave none of max_length \(13\)"):
        thinking_plan(qwen3, task, fits.model_copy(update={"max_length": 13}))


def requests(loaded: LoadedModel, budget: int | None) -> list[Request]:
    """Three responses each to two prompts that open the thinking, and to one that does not."""
    sampling = SAMPLING.model_copy(update={"thinking_budget": budget})
    plan = thinking_plan(loaded, TaskSettings(thinking=TAGS), sampling)
    found = []
    for name, prompt in (("a", "one <think>"), ("b", "two and two <think>\n"), ("c", "three")):
        ids = tuple(loaded.tokenizer(prompt)["input_ids"])
        found += [Request(name, index, ids, forcing=plan.forcing(prompt)) for index in range(3)]
    return found


def by_loop(loaded: LoadedModel, asked: list[Request], sampling: SamplingSettings) -> list[Response]:
    return list(cpu.decode(loaded, asked, sampling, 5, 4, lambda tokens: None))


def by_generate(loaded: LoadedModel, asked: list[Request], sampling: SamplingSettings) -> list[Response]:
    return list(generate_batches(loaded, asked, sampling, 5, 4, lambda tokens: None))


def _name(response: Response) -> tuple[str, int]:
    return response.request.problem_id, response.request.sample_index


@pytest.mark.parametrize("decoder", [by_loop, by_generate])
def test_tokens_are_put_in_and_others_are_drawn_by_their_own_numbers(tiny_loaded: LoadedModel, decoder: Any) -> None:
    closing = list(thinking_plan(tiny_loaded, TaskSettings(thinking=TAGS), SAMPLING).closing)
    end = 6 + len(closing)
    free = {_name(one): one.token_ids for one in decoder(tiny_loaded, requests(tiny_loaded, None), SAMPLING)}
    cut = 0
    for response in decoder(tiny_loaded, requests(tiny_loaded, 6), SAMPLING):
        request, tokens = response.request, response.token_ids
        before = free[_name(response)]
        assert response.forced_positions is not None
        assert len(response.logprobs) == len(tokens)
        if not response.forced_positions:
            assert tokens == before
            assert request.problem_id == "c" or len(tokens) <= 6  # ended before
            continue
        cut += 1
        assert response.forced_positions == list(range(6, end))
        assert tokens[:6] == before[:6]
        assert tokens[6:end] == closing
        logits = plain_logits(tiny_loaded, [*request.prompt_ids, *tokens])[len(request.prompt_ids) - 1 : -1].float()
        numbers = torch.tensor(uniform_stream(5, request.problem_id, request.sample_index).random(len(tokens)))
        drawn, _ = draw(logits, numbers, SAMPLING)
        assert drawn.tolist()[end:] == tokens[end:]
        own = logits.log_softmax(-1).gather(-1, torch.tensor(tokens)[:, None])[:, 0]
        assert torch.allclose(own, torch.tensor(response.logprobs), atol=1e-4)
    assert cut >= 4


def test_a_response_that_another_budget_began_goes_on_as_if_drawn_at_once(tiny_loaded: LoadedModel) -> None:
    """Its first six tokens were drawn without a budget; each engine puts the rest of a budget of six behind them."""
    asked = requests(tiny_loaded, 6)[:6]
    whole = {_name(one): one for one in by_loop(tiny_loaded, asked, SAMPLING) if one.forced_positions}
    begun = [
        replace(one.request, prompt_ids=(*one.request.prompt_ids, *one.token_ids[:6]), begun=6, resumed=True)
        for one in whole.values()
    ]
    assert len(begun) >= 4
    for decoder in (by_loop, by_generate):
        for rest in decoder(tiny_loaded, begun, SAMPLING):
            assert rest.token_ids == whole[_name(rest)].token_ids[6:]
            assert rest.forced_positions == list(range(len(rest.request.forcing.closing)))  # type: ignore[union-attr]


def test_the_scorer_agrees_with_the_sampler_on_forced_tokens_too(tiny_loaded: LoadedModel) -> None:
    for response in by_loop(tiny_loaded, requests(tiny_loaded, 6)[:3], SAMPLING):
        (scores,) = score(tiny_loaded, response.request.prompt_ids, [response.token_ids], DistributionSettings())
        assert scores["logprob"] == pytest.approx(response.logprobs, abs=1e-4)


def test_a_budget_is_never_left_to_continuous_batching(
    tiny_loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU it comes first where there is flash attention; its thread cannot be told to put a token in."""
    chosen: list[str] = []
    on_gpu = SimpleNamespace(
        device=torch.device("cuda"),
        name="m",
        learnt=tiny_loaded.learnt,
        model=SimpleNamespace(
            config=SimpleNamespace(get_text_config=lambda: SimpleNamespace(_attn_implementation="flash_attention_2"))
        ),
    )
    monkeypatch.setattr(decoding.continuous, "supports", lambda loaded: None)
    monkeypatch.setattr(decoding.cpu, "supports", lambda loaded: None)
    monkeypatch.setattr(decoding.continuous, "continuous_batches", lambda *given: iter(chosen.append("library") or ()))
    monkeypatch.setattr(decoding.cpu, "decode", lambda *given: iter(chosen.append("ours") or ()))
    for budget in (None, 6):
        list(decoding._decoder(on_gpu, requests(tiny_loaded, budget), SAMPLING, 0, 4, lambda tokens: None))
    assert chosen == ["library", "ours"]


def test_a_run_keeps_the_arguments_and_tells_of_examples_whose_thinking_is_dropped(
    tiny_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    (folder / "chat_template.jinja").write_text(QWEN3)
    shown = [{"question": "1 + 1?", "response": "<think>\none and one\n</think>\n\n2"}]
    arguments = {"enable_thinking": False}
    task = {"template_type": "model", "thinking": "auto", "examples": shown, "chat_template": arguments}
    sampling = {"max_length": 6, "num_samples": 1}
    write_study(tmp_path, folder, task=task, sampling=sampling, datasets={"arithmetic": {"num_examples": 1}})
    study = load_study(tmp_path / "onoff.yaml")
    said: list[str] = []
    made = materialize_samples(study.partition("arithmetic|tiny"), open_store(study), said.append)
    assert any("leaves out the thinking of all of them" in line for line in said)
    assert made.manifest.facts["examples_without_thinking"] == [0]
    assert made.manifest.facts["thinking"] == {**TAGS.model_dump(), "auto": True}
    assert made.manifest.settings["task"]["chat_template"] == arguments
    (row,) = made.generation.read().to_pylist()
    assert row["prompt"].endswith("<think>\n\n</think>\n\n")
    assert row["answer_start"] is None


def test_check_tells_of_it_before_anything_runs(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    (folder / "chat_template.jinja").write_text(QWEN3)
    monkeypatch.chdir(tmp_path)
    shown = [{"question": "1 + 1?", "response": "<think>one and one</think>2"}]
    task = {"template_type": "model", "examples": shown}
    write_study(tmp_path, folder, task=task)
    assert main(["check"]) == 0
    assert "model tiny: task.examples: the model's chat template leaves out the thinking" in capsys.readouterr().out
    write_study(tmp_path, folder, task={**task, "chat_template": {"reasoning_effort": "high"}})
    assert main(["check"]) == 1
    assert "chat template has no argument reasoning_effort; it has: enable_thinking" in capsys.readouterr().err
