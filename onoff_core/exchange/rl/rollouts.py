"""Responses as token ids with log-probabilities and verdicts: what a trainer needs of a rollout that is there already.

Columns have the names of the plain format that `onoff import` reads, so that what is written here can be read back.
`input_ids` and `loss_mask` (verl's names for supervised training) are for trainers that want a sequence with a mask.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from onoff_core.errors import ExchangeError
from onoff_core.exchange.rl.responses import responses_by_problem
from onoff_core.exchange.rl.sources import Source
from onoff_core.store.provenance import SamplesProvenance

Row = dict[str, Any]

_IDS, _FLOATS = pa.list_(pa.int32()), pa.list_(pa.float32())
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("problem_id", "dataset", "model")),
        ("sample_index", pa.int32()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("prompt", pa.string()),
        ("response", pa.string()),
        ("prompt_token_ids", _IDS),
        ("token_ids", _IDS),
        ("rollout_logprobs", _FLOATS),
        ("trainer_logprobs", _FLOATS),
        ("temperature", pa.float64()),
        ("input_ids", _IDS),
        ("loss_mask", pa.list_(pa.int8())),
        ("answer_start", pa.int32()),
        ("finish_reason", pa.string()),
        ("reward", pa.float64()),
        ("status", pa.string()),
        ("extracted_answer", pa.string()),
        *((name, pa.float64()) for name in ("pass_rate", "pass_rate_low", "pass_rate_high")),
        ("samples", pa.string()),
        ("rewards", pa.string()),
    ]
)
MEANINGS = {
    "problem_id": "unique within the data set",
    "dataset": "its name in the study",
    "model": "whose response it is",
    "sample_index": "which response of the problem it is",
    "question": "as the data set has it",
    "answer": "the gold answer, LaTeX",
    "prompt": "the text the model was given",
    "response": "token_ids decoded, without a stop token at the end",
    "prompt_token_ids": "as the model was given them",
    "token_ids": "as sampled, a stop token at the end included",
    "rollout_logprobs": "nats, one a token of token_ids, by the engine that drew it, at `temperature`; null: not known",
    "trainer_logprobs": "nats, by the trainer of an imported response; null: not imported",
    "temperature": "that the log-probabilities are at, 1: the model as it is; null: there are none",
    "input_ids": "prompt_token_ids, then token_ids",
    "loss_mask": "one a token of input_ids: 0 of the prompt and of what was put in, 1 of what the model drew",
    "answer_start": "position in token_ids of the first token after the thinking; null: none was closed",
    "finish_reason": "stop, stop_string; length, length_in_thinking: cut off at max_length; unknown: imported",
    "reward": "1 right, 0 not; null: the gold answer cannot be read",
    "status": "correct, wrong, no_answer, gold_unparsed or timeout",
    "extracted_answer": "LaTeX; null: the response gives none",
    "pass_rate": "share of right responses among the problem's with a verdict, of this model",
    "pass_rate_low": "95 % interval (Clopper-Pearson), this problem drawn again",
    "pass_rate_high": "95 % interval (Clopper-Pearson), this problem drawn again",
    "samples": "the results that the response is of",
    "rewards": "the results that the verdict is of",
}
_OF_SAMPLES = (
    *("problem_id", "sample_index", "prompt", "response", "prompt_token_ids", "token_ids", "token_logprobs"),
    *("finish_reason", "rollout_logprobs", "trainer_logprobs", "forced_positions", "answer_start"),
)


@dataclass(frozen=True)
class RolloutRows:
    """Rows of every response of problems, model by model."""

    dataset: str
    sources: Sequence[Source]
    problems: Mapping[str, Mapping[str, Any]]  # rows of the table `problems`, by id

    def rows(self, problem_ids: Sequence[str], split: str) -> Iterator[Row]:
        for source in self.sources:
            provenance = SamplesProvenance.of(source.samples.manifest())
            if provenance.ids_from_text:
                raise ExchangeError(
                    f"{source.model} was sampled through an API that returns no token ids (ids: from text), so its "
                    "responses are no rollouts; sample through a server that returns token ids, such as vLLM"
                )
            for problem_id, responses in responses_by_problem(source, problem_ids, _OF_SAMPLES):
                for response in responses:
                    yield self._row(source, provenance, self.problems[problem_id], response)

    def _row(self, source: Source, provenance: SamplesProvenance, problem: Mapping[str, Any], response: Row) -> Row:
        rate = source.pass_rates[problem["problem_id"]]
        prompt, tokens = response["prompt_token_ids"], response["token_ids"]
        forced = set(response["forced_positions"] or ())
        # Ours are of the model as it is; those that came with an imported response are at their own temperature.
        logprobs = response["token_logprobs"] or response["rollout_logprobs"]
        temperature = 1.0 if response["token_logprobs"] else provenance.logprobs_temperature
        return {
            **{name: response[name] for name in SCHEMA.names if name in response},
            "dataset": self.dataset,
            "model": source.model,
            "question": problem["question"],
            "answer": problem["answer"],
            "rollout_logprobs": logprobs,
            "temperature": temperature if logprobs or response["trainer_logprobs"] else None,
            "input_ids": [*prompt, *tokens],
            "loss_mask": [*([0] * len(prompt)), *(int(at not in forced) for at in range(len(tokens)))],
            "reward": None if response["reward"] is None else float(response["reward"]),
            "pass_rate": rate.share,
            "pass_rate_low": rate.low,
            "pass_rate_high": rate.high,
            "samples": source.samples.fingerprint,
            "rewards": source.rewards.fingerprint,
        }
