"""Files as the programs write them, over the built-in problems and the fake engine, whose tokens are bytes."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from onoff_core.backends.fake import STOP
from onoff_core.problems import Problem, load_problems
from onoff_core.store import Store
from onoff_core.study import Partition, load_study
from tests.conftest import MakeProject

TEXTS = ("It is \\boxed{4}.", "No idea.")


def project(make_project: MakeProject, **sections: Any) -> tuple[Partition, Store, tuple[Problem, ...]]:
    folder = make_project(**sections)
    study = load_study(folder / "onoff.yaml")
    partition = study.partition("arithmetic|tiny")
    problems = load_problems("arithmetic", partition.dataset_settings, partition.base_dir)
    return partition, Store(study.store_path), problems


def ids_of(text: str) -> list[int]:
    """A response's, with the stop token."""
    return [*text.encode(), STOP]


def logprobs_of(text: str, value: float = -1.0) -> list[float]:
    return [value] * len(ids_of(text))


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def plain_rows(problems: tuple[Problem, ...], **more: Any) -> list[dict[str, Any]]:
    """Two responses a problem, in the plain format."""
    return [
        {
            "problem_id": problem.problem_id,
            "prompt_token_ids": list(f"Q: {problem.question}\nA:".encode()),
            "token_ids": ids_of(text),
            "rollout_logprobs": logprobs_of(text),
            "trainer_logprobs": logprobs_of(text, -1.5),
            "reward": 0.0,
            "step": 12,
            **more,
        }
        for problem in problems
        for text in TEXTS
    ]


def verl_dump(problems: tuple[Problem, ...], step: int) -> list[dict[str, Any]]:
    """As `_write_generations` of verl 0.9.1 (ray_trainer.py) writes a line."""
    return [
        {
            "input": f"system\nYou are helpful.\nuser\n{problem.question} Let's think step by step.\nassistant\n",
            "output": text,
            "gts": problem.answer,
            "score": 1.0,
            "step": step,
            "acc": True,
        }
        for problem in problems
        for text in TEXTS
    ]


def verl_batch(problem: Problem, text: str, pad: int = 3) -> dict[str, Any]:
    """A row of verl's training batch with its tensors, padded as they are there."""
    prompt, ids = list(f"Q: {problem.question}\nA:".encode()), ids_of(text)
    values = logprobs_of(text)
    return {
        "prompts": [STOP] * pad + prompt,
        "responses": ids + [STOP] * pad,
        "attention_mask": [0] * pad + [1] * (len(prompt) + len(ids)) + [0] * pad,
        "response_mask": [1] * len(ids) + [0] * pad,
        "rollout_log_probs": values + [0.0] * pad,
        "old_log_probs": [value - 0.1 for value in values] + [0.0] * pad,
    }


def trl_completions(problems: tuple[Problem, ...], step: int) -> list[dict[str, Any]]:
    """As GRPOTrainer of TRL 1.16 writes a row of completions_00012.parquet."""
    return [
        {
            "step": step,
            "prompt": [{"role": "user", "content": problem.question}],
            "completion": [{"role": "assistant", "content": text}],
            "accuracy_reward": 1.0,
            "advantage": 0.5,
        }
        for problem in problems
        for text in TEXTS
    ]


def trace(problem: Problem, text: str, **more: Any) -> dict[str, Any]:
    """As `Trace.to_record` of verifiers 0.4 (what prime-rl's traces.jsonl holds), with the fields that are read."""
    question, ids = f"{problem.question}\n", ids_of(text)
    return {
        "version": 1,
        "id": "0",
        "task": {"type": "Task", "data": {"idx": 0, "prompt": problem.question, "answer": problem.answer}},
        "nodes": [
            {
                "parent": None,
                "message": {"role": "user", "content": problem.question},
                "sampled": False,
                "token_ids": list(question.encode()),
                "mask": [False] * len(question.encode()),
                "logprobs": [],
            },
            {
                "parent": 0,
                "message": {"role": "assistant", "content": text},
                "sampled": True,
                "token_ids": [*b"A:", *ids],
                "mask": [False] * 2 + [True] * len(ids),
                "logprobs": logprobs_of(text),
                "trainer_logprobs": logprobs_of(text, -1.25),
            },
        ],
        "rewards": {"correct": {"score": 1.0, "weight": 1.0}, "format": {"score": 1.0, "weight": 0.5}},
        "errors": [],
        **more,
    }


def inspect_sample(problem: Problem, text: str, epoch: int, **more: Any) -> dict[str, Any]:
    """As an EvalSample of Inspect 0.3.285, with the fields that are read."""
    content = [{"token": chr(byte), "logprob": -1.0, "bytes": [byte]} for byte in text.encode()]
    return {
        "id": problem.problem_id,
        "epoch": epoch,
        "input": problem.question,
        "target": problem.answer,
        "output": {
            "model": "vllm/x",
            "choices": [
                {
                    "message": {"role": "assistant", "content": text},
                    "stop_reason": "stop",
                    "logprobs": {"content": content},
                }
            ],
        },
        "scores": {"match": {"value": "C", "answer": "4"}},
        "attachments": {},
        **more,
    }


def write_eval(path: Path, samples: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({"version": 2, "eval": {}}))
        for sample in samples:
            archive.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
    return path


def vllm_completion(problem: Problem, text: str, **more: Any) -> dict[str, Any]:
    """A body of vLLM's /v1/completions with return_token_ids, as an answer of a batch."""
    ids = ids_of(text)
    choice = {
        "index": 0,
        "text": text,
        "token_ids": ids,
        "prompt_token_ids": list(f"Q: {problem.question}\nA:".encode()),
        "logprobs": {"tokens": ["x"] * len(ids), "token_logprobs": logprobs_of(text), "top_logprobs": None},
        "finish_reason": "stop",
    }
    body = {"id": "cmpl-1", "object": "text_completion", "model": "m", "choices": [{**choice, **more}]}
    return {"id": "vllm-1", "custom_id": "request-1", "response": {"status_code": 200, "body": body}, "error": None}


def vllm_chat(problem: Problem, text: str) -> dict[str, Any]:
    """A request beside its answer, of /v1/chat/completions with return_tokens_as_token_ids."""
    content = [{"token": f"token_id:{token}", "logprob": -1.0, "bytes": None} for token in ids_of(text)]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "logprobs": {"content": content},
        "finish_reason": "stop",
    }
    return {
        "request": {"model": "m", "messages": [{"role": "user", "content": problem.question}]},
        "response": {"object": "chat.completion", "choices": [choice]},
    }
