"""The shape that the research scripts write and read, entry by entry: their keys, in their order.

    results.json        results[i]: example_id, question, reference_answer, prompt, samples[j]: sample_id, response,
                        extracted_answer, reward, response_length (characters); statistics
    distributions.json  results[i]: example_id, question, prompt, samples[j]: sample_id, response, token_ids,
                        token_strings, distribution_index, distribution_shape, top_k, num_tokens, per_token_entropy;
                        statistics, distributions_file, num_distributions
    distributions.npz   dist_{distribution_index}_indices, _values, _vocab_size, _top_k

What we do not know is null: settings of imported samples, and the reward of a response whose gold answer cannot be
parsed, which the scripts counted as 0.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from onoff_core.store import Manifest
from onoff_core.store.provenance import RewardsProvenance, SamplesProvenance, ScoresProvenance
from onoff_core.study import SamplingSettings

Row = dict[str, Any]

_SAMPLING_KEYS = ("max_length", "temperature", "top_k", "top_p", "do_sample", "num_samples")


def result_entry(number: int, problem: Mapping[str, Any], rows: Sequence[Row]) -> Row:
    """One question of `results.json`; `rows` are its responses with their verdicts."""
    return {
        "example_id": number,
        "question": problem["question"],
        "reference_answer": problem["answer"],
        "prompt": rows[0]["prompt"],
        "samples": [
            {
                "sample_id": row["sample_index"],
                "response": row["response"],
                "extracted_answer": row["extracted_answer"],
                "reward": None if row["reward"] is None else float(row["reward"]),
                "response_length": len(row["response"]),
            }
            for row in rows
        ],
    }


class ResultsStatistics:
    """The `statistics` of `results.json`, summed up problem by problem."""

    def __init__(self, key: tuple[str, str], split: str | None, samples: Manifest, rewards: Manifest) -> None:
        self.dataset = key[0] if split is None else f"{key[0]} ({split})"
        self.samples, self.rewards = samples, rewards
        self.counts: list[int] = []
        self.num_characters = 0
        self.graded: list[int] = []  # rewards that are not null

    def add(self, rows: Sequence[Row]) -> None:
        self.counts.append(len(rows))
        self.num_characters += sum(len(row["response"]) for row in rows)
        self.graded += [row["reward"] for row in rows if row["reward"] is not None]

    def totals(self) -> Row:
        how, graded = SamplesProvenance.of(self.samples), RewardsProvenance.of(self.rewards)
        accuracy = sum(self.graded) / len(self.graded) if self.graded else None
        return {
            "dataset": self.dataset,
            "model": how.model_name,
            "backend": how.backend_type,
            "task_config_path": "direct_config",
            "num_examples": len(self.counts),
            "num_samples_per_example": self.counts[0] if len(set(self.counts)) == 1 else None,
            "total_samples": sum(self.counts),
            "overall_accuracy": accuracy,
            "accuracy_rate": accuracy,
            "average_response_length": self.num_characters / sum(self.counts) if self.counts else None,
            "sampling_config": None if how.sampling is None else _sampling(how.sampling),
            "task_config": {
                "template_type": how.template_type,
                "format_type": graded.format_type,
                "reward_type": graded.reward_type,
            },
        }


def _sampling(sampling: SamplingSettings) -> Row:
    """How many responses ran side by side is no part of a result, and is not recorded."""
    return {**{name: getattr(sampling, name) for name in _SAMPLING_KEYS}, "batch_size": None}


def distribution_entry(
    row: Row, token_strings: list[str], entropies: list[float], index: int, vocab_size: int, top_k: int
) -> Row:
    """One response of `distributions.json`; its arrays are `dist_{index}_...`."""
    num_tokens = len(row["token_ids"])
    return {
        "sample_id": row["sample_index"],
        "response": row["response"],
        "token_ids": row["token_ids"],
        "token_strings": token_strings,
        "distribution_index": index,
        "distribution_shape": [num_tokens, vocab_size],
        "top_k": top_k,
        "num_tokens": num_tokens,
        "per_token_entropy": entropies,
    }


class DistributionStatistics:
    """The `statistics` of `distributions.json`, summed up response by response."""

    def __init__(self) -> None:
        self.num_examples = self.num_samples = self.num_tokens = 0

    def add(self, num_tokens: int) -> None:
        self.num_samples += 1
        self.num_tokens += num_tokens

    def totals(self, how: SamplesProvenance, scores: ScoresProvenance, logits: bool, input_file: str | None) -> Row:
        return {
            "num_examples": self.num_examples,
            "total_samples": self.num_samples,
            "total_tokens": self.num_tokens,
            "average_tokens_per_sample": self.num_tokens / self.num_samples if self.num_samples else None,
            "distribution_type": "logits" if logits else "probabilities",
            "temperature": scores.temperature,
            "top_k": scores.top_k,
            "backend": {"backend_type": how.backend_type, "model_name": how.model_name},
            "input_file": input_file,
        }
