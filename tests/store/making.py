"""Small made-up results: every asset of one partition, in two fragments, without a model."""

from typing import Any

import pyarrow as pa

from onoff_core.store import Generation, Store
from onoff_core.tables import SCHEMAS

PROBLEMS, SAMPLES, TOKENS = 4, 3, 5  # problems of a partition, responses of each, tokens of each


def filled(asset: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows of an asset's schema; what they leave out is a plain value of the column's type."""
    schema = SCHEMAS[asset]
    plain = {field.name: None if field.nullable else _plain(field.type) for field in schema}
    return pa.Table.from_pylist([{**plain, **row} for row in rows], schema=schema)


def _plain(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return []
    return "" if pa.types.is_string(kind) else b"" if pa.types.is_binary(kind) else 0


def response_rows(fragment: int, tag: str = "") -> list[dict[str, Any]]:
    """The responses of one of the two fragments: half of the problems."""
    half = PROBLEMS // 2
    return [
        {
            "problem_id": f"p{fragment * half + problem}",
            "sample_index": sample,
            "response": f"{tag} answer {problem} {sample}",
            "token_ids": list(range(TOKENS)),
            "num_tokens": TOKENS,
            "finish_reason": "stop",
        }
        for problem in range(half)
        for sample in range(SAMPLES)
    ]


def fragment_table(asset: str, fragment: int, tag: str = "") -> pa.Table:
    """One fragment of samples, rewards or token_distributions."""
    keys = [(row["problem_id"], row["sample_index"]) for row in response_rows(fragment)]
    if asset == "samples":
        return filled(asset, response_rows(fragment, tag))
    if asset == "rewards":
        rows = [
            {"problem_id": problem, "sample_index": sample, "reward": sample % 2, "status": "correct"}
            for problem, sample in keys
        ]
        return filled(asset, rows)
    rows = [
        {
            "problem_id": problem,
            "sample_index": sample,
            "position": position,
            "token_id": position,
            "entropy": 0.5,
            "topk_ids": [position],
            "topk_logprobs": [-0.1],
        }
        for problem, sample in keys
        for position in range(TOKENS)
    ]
    return filled(asset, rows)


def make_generation(
    store: Store,
    asset: str,
    partition: tuple[str, ...],
    fingerprint: str,
    inputs: dict[str, str] | None = None,
    tag: str = "",
) -> Generation:
    """A complete and current generation, not published."""
    generation = store.generation(asset, partition, fingerprint)
    with store.writing(generation):
        if not generation.is_complete:
            for number, table in enumerate(_fragments(asset, tag)):
                generation.write_fragment(number, [table])
            generation.complete(inputs or {}, {"tag": tag}, {})
        store.make_current(generation)
    return generation


def _fragments(asset: str, tag: str) -> list[pa.Table]:
    if asset == "problems":
        rows = [{"problem_id": f"p{i}", "question": f"what is {i}?", "answer": str(i)} for i in range(PROBLEMS)]
        return [filled(asset, rows)]
    if asset == "vocabulary":
        return [filled(asset, [{"token_id": i, "piece": bytes([0x80 + i]), "special": False} for i in range(TOKENS)])]
    if asset == "statistics":
        return [filled(asset, [{"num_problems": PROBLEMS, "num_samples": PROBLEMS * SAMPLES, "accuracy": 1 / 3}])]
    return [fragment_table(asset, 0, tag), fragment_table(asset, 1, tag)]


def make_partition(store: Store, dataset: str = "d1", model: str = "m1", version: str = "1") -> None:
    """All assets of a partition, each made from the one before."""
    problems, samples, rewards = f"aaaa{version}", f"bbbb{version}", f"cccc{version}"
    key = (dataset, model)
    make_generation(store, "problems", (dataset,), problems)
    make_generation(store, "vocabulary", (model,), "0000")
    make_generation(store, "samples", key, samples, {"problems": problems}, tag=f"{dataset} {model} {version}")
    make_generation(store, "rewards", key, rewards, {"samples": samples, "problems": problems})
    make_generation(store, "statistics", key, f"dddd{version}", {"rewards": rewards, "samples": samples})
    make_generation(store, "token_distributions", key, f"eeee{version}", {"samples": samples})
