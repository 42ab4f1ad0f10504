"""A finished partition written by hand: known probabilities, no model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from onoff_core.store import Store
from onoff_core.tables import SCHEMAS

KEY = ("hand", "made")
# The euro sign is cut over tokens 3 and 4; 6 ends a response.
PIECES = (b"2", b" + 3", b" = 5", b"\xe2\x82", b"\xac", b"\n ", b"<|im_end|>", b"")
PROMPT = "Question: 2 + 3?\nAnswer:"


def logprobs_of(num_tokens: int, vocab_size: int) -> np.ndarray:
    """(num_tokens, vocab_size) log-probabilities: at position t, token t is the most probable, the next one half of
    it, and so on around.
    """
    weights = 0.5 ** np.arange(vocab_size)
    row = np.log(weights / weights.sum()).astype(np.float32)
    return np.stack([np.roll(row, t) for t in range(num_tokens)])


def distributions_table(
    problem_id: str, sample_index: int, token_ids: Sequence[int], logprobs: np.ndarray, top_k: int | None
) -> pa.Table:
    """Rows of `token_distributions`; logits are the log-probabilities plus the position."""
    count = len(token_ids)
    order = np.argsort(-logprobs, axis=1)[:, :top_k].astype(np.int32)
    kept = logprobs if top_k is None else np.take_along_axis(logprobs, order, axis=1)
    p = np.exp(logprobs.astype(np.float64))
    columns = {
        "problem_id": [problem_id] * count,
        "sample_index": [sample_index] * count,
        "position": np.arange(count),
        "token_id": list(token_ids),
        "logprob": logprobs[np.arange(count), list(token_ids)],
        "rank": np.ones(count),
        "entropy": -(p * np.log(p)).sum(1),
        "varentropy": np.zeros(count),
        "logsumexp": np.arange(count),
        "tail_mass": 1 - np.exp(kept).sum(1),
        "topk_ids": [None] * count if top_k is None else list(order),
        "topk_logprobs": list(kept),
        "mean_log_prob_vocabulary": logprobs.mean(1),
    }
    schema = SCHEMAS["token_distributions"]
    return pa.Table.from_arrays([pa.array(columns.get(f.name, [None] * count), f.type) for f in schema], schema=schema)


def handmade_store(folder: Path, top_k: int | None) -> Store:
    """One problem with two responses, one of which was cut off inside the euro sign."""
    store = Store(str(folder / f"store-{top_k}"))
    responses = [((0, 1, 2, 3, 4, 6), "2 + 3 = 5€", "stop"), ((2, 5, 3), " = 5\n \ufffd", "length")]
    samples = [
        {
            "problem_id": "p",
            "sample_index": index,
            "prompt": PROMPT,
            "prompt_token_ids": [0, 1],
            "response": text,
            "token_ids": list(ids),
            "token_logprobs": [-1.0] * len(ids),
            "finish_reason": finish,
            "num_tokens": len(ids),
        }
        for index, (ids, text, finish) in enumerate(responses)
    ]
    tables = [
        distributions_table("p", index, ids, logprobs_of(len(ids), len(PIECES)), top_k)
        for index, (ids, _, _) in enumerate(responses)
    ]
    write_partition(store, samples, tables, top_k)
    return store


def write_partition(
    store: Store, samples: list[dict], tables: Sequence[pa.Table], top_k: int | None, vocab_size: int = len(PIECES)
) -> None:
    """Samples, their distributions and a vocabulary, as finished generations."""
    vocabulary = [{"token_id": i, "piece": piece, "special": i == len(PIECES) - 2} for i, piece in enumerate(PIECES)]
    problem = {"problem_id": "p", "question": "2 + 3?", "answer": "5", "solution": None, "subject": None, "level": None}
    for asset, key, fragment in (
        ("problems", KEY[:1], [pa.Table.from_pylist([problem], schema=SCHEMAS["problems"])]),
        ("samples", KEY, [pa.Table.from_pylist(samples, schema=SCHEMAS["samples"])]),
        ("vocabulary", KEY[1:], [pa.Table.from_pylist(vocabulary, schema=SCHEMAS["vocabulary"])]),
        ("token_distributions", KEY, tables),
    ):
        generation = store.generation(asset, key, f"{asset}-1")
        generation.write_fragment(0, fragment)
        generation.complete(
            {"samples": "samples-1", "problems": "problems-1"},
            {
                "model": {"backend_type": "huggingface", "model_name": "hand/made"},
                "task": {"template_type": "simple"},
                "sampling": {},
                "temperature": 1.0,
                "top_k": top_k,
            },
            {"vocab_size": vocab_size, "seed": 0},
        )
        store.make_current(generation)


def uniform_store(folder: Path, num_tokens: int, vocab_size: int) -> Store:
    """One response of many tokens, each with the same distribution over a whole vocabulary."""
    store = Store(str(folder))
    row = {
        "problem_id": "p",
        "sample_index": 0,
        "prompt": PROMPT,
        "prompt_token_ids": [0],
        "response": "2" * num_tokens,
        "token_ids": [0] * num_tokens,
        "token_logprobs": [-1.0] * num_tokens,
        "finish_reason": "length",
        "num_tokens": num_tokens,
    }
    zeros, offsets = np.zeros(num_tokens), np.arange(num_tokens + 1, dtype=np.int32) * vocab_size
    logprobs = np.full(num_tokens * vocab_size, -np.log(vocab_size), dtype=np.float32)
    columns = {
        "problem_id": ["p"] * num_tokens,
        "topk_ids": [None] * num_tokens,
        "topk_logprobs": pa.ListArray.from_arrays(pa.array(offsets), pa.array(logprobs)),
    }
    schema = SCHEMAS["token_distributions"]
    arrays = [
        columns[f.name] if f.name == "topk_logprobs" else pa.array(columns.get(f.name, zeros), f.type) for f in schema
    ]
    write_partition(store, [row], [pa.Table.from_arrays(arrays, schema=schema)], None, vocab_size)
    return store
