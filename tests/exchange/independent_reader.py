"""Reads the research scripts' files by the keys they have, and by nothing of onoff: what a notebook would do."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Response:
    """One sample of `results.json`."""

    example_id: int
    sample_id: int
    question: str
    reference_answer: str
    prompt: str
    response: str
    extracted_answer: str | None
    reward: float
    response_length: int


@dataclass(frozen=True)
class Distribution:
    """One sample of `distributions.json`, with its arrays."""

    response: str
    token_ids: list[int]
    token_strings: list[str]
    per_token_entropy: list[float]
    probabilities: np.ndarray  # (num_tokens, vocab_size)


def read_responses(folder: Path) -> tuple[list[Response], dict[str, Any]]:
    """(samples, statistics) of a folder of `00-sample`."""
    content = json.loads((folder / "results.json").read_text("utf-8"))
    statistics = json.loads((folder / "statistics.json").read_text("utf-8"))
    for name in ("overall_accuracy", "average_response_length", "num_examples", "num_samples_per_example"):
        assert content["statistics"][name] == statistics[name]
    names = ("sample_id", "response", "extracted_answer", "reward", "response_length")
    return [
        Response(
            example_id=entry["example_id"],
            question=entry["question"],
            reference_answer=entry["reference_answer"],
            prompt=entry["prompt"],
            **{name: sample[name] for name in names},
        )
        for entry in content["results"]
        for sample in entry["samples"]
    ], statistics


def read_distributions(folder: Path) -> list[Distribution]:
    """Samples of a folder of `01-dist`."""
    content = json.loads((folder / "distributions.json").read_text("utf-8"))
    found = []
    with np.load(folder / content["distributions_file"], allow_pickle=False) as arrays:
        for entry in content["results"]:
            for sample in entry["samples"]:
                if "error" in sample:
                    continue
                key = f"dist_{sample['distribution_index']}"
                (vocab_size,), (top_k,) = arrays[f"{key}_vocab_size"], arrays[f"{key}_top_k"]
                indices, values = arrays[f"{key}_indices"], arrays[f"{key}_values"]
                assert indices.dtype == np.int32
                assert values.dtype == np.float32
                assert indices.shape == values.shape == (sample["distribution_shape"][0], top_k)
                assert sample["distribution_shape"][1] == vocab_size
                dense = np.zeros((len(indices), vocab_size), np.float32)
                np.put_along_axis(dense, indices.astype(np.int64), values, axis=1)
                found.append(
                    Distribution(
                        sample["response"],
                        sample["token_ids"],
                        sample["token_strings"],
                        sample["per_token_entropy"],
                        dense,
                    )
                )
    assert len(found) <= content["num_distributions"]
    return found
