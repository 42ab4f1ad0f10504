"""What has to hold of a partition's tables, and the evidence for or against it. Tables in, evidence out.

The platform shows these as asset checks; a script can call them as well. Each names the invariant it guards. Functions
over token distributions take them a batch at a time, for those of a fragment may be larger than memory.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

_SHOWN = 5  # offenders named in the evidence
ENTROPY_SLACK = 1e-3  # nats; float32 sums over a whole vocabulary
LOGPROB_SLACK = 1e-3  # nats, above 0
TIMEOUT_LIMIT = 0.01  # of the responses; a verdict of `timeout` counts as wrong, so more would bend the accuracy


SAMPLE_COLUMNS = ("problem_id", "sample_index", "token_ids", "token_logprobs")
DISTRIBUTION_COLUMNS = (
    "problem_id", "sample_index", "position", "token_id", "logprob", "entropy", "tail_mass", "topk_logprobs",
)  # fmt: skip

_Key = tuple[str, int]  # problem_id, sample_index


@dataclass(frozen=True)
class Evidence:
    """Whether an invariant holds, and on what that rests."""

    holds: bool
    says: str
    facts: dict[str, Any] = field(default_factory=dict)


def every_problem_has_its_samples(samples: pa.Table, problem_ids: Sequence[str], num_samples: int) -> Evidence:
    """Each problem has samples 0 to num_samples - 1, each once, and there is no other row."""
    expected = {(problem, index) for problem in problem_ids for index in range(num_samples)}
    rows = Counter(_keys(samples))
    missing, foreign = sorted(expected - rows.keys()), sorted(rows.keys() - expected)
    repeated = sorted(key for key, count in rows.items() if count > 1)
    wrong = [*missing, *foreign, *repeated]
    facts = {
        "expected": len(expected),
        "found": samples.num_rows,
        "missing": len(missing),
        "not asked for": len(foreign),
        "repeated": len(repeated),
        **_examples(wrong),
    }
    return Evidence(not wrong, f"{len(expected) - len(missing)} of {len(expected)} responses are there", facts)


def token_ids_decode_to_response(
    samples: pa.Table, pieces: Sequence[bytes], special: Sequence[bool], vocabulary: str
) -> Evidence:
    """The pieces of `token_ids` concatenate to `response`; a special token at the very end may be left out of it."""
    wrong = []
    for row in samples.select(["problem_id", "sample_index", "token_ids", "response"]).to_pylist():
        ids = row["token_ids"]
        readings = [_text(ids, pieces)]
        if ids and special[ids[-1]]:
            readings.append(_text(ids[:-1], pieces))
        readings += [text.removeprefix(" ") for text in readings]  # SentencePiece decoders drop the first space
        if row["response"] not in readings:
            wrong.append((row["problem_id"], row["sample_index"]))
    facts = {"responses": samples.num_rows, "different": len(wrong), "vocabulary": vocabulary, **_examples(wrong)}
    return Evidence(not wrong, f"{samples.num_rows - len(wrong)} of {samples.num_rows} responses agree", facts)


def few_responses_are_truncated(samples: pa.Table, limit: float) -> Evidence:
    """The share of responses that `max_length` ended is at most `limit`."""
    truncated = samples["finish_reason"].to_pylist().count("length")
    share = truncated / samples.num_rows if samples.num_rows else 0.0
    facts = {"truncated": truncated, "responses": samples.num_rows, "share": round(share, 4), "limit": limit}
    advice = "" if share <= limit else "; raise sampling.max_length, or automation.max_truncated_share if this is meant"
    return Evidence(share <= limit, f"{share:.1%} of the responses reached max_length{advice}", facts)


def each_response_has_one_verdict(samples: pa.Table, rewards: pa.Table) -> Evidence:
    """Each response is graded once, nothing else is, and the reward is what the status says."""
    responses, verdicts = set(_keys(samples)), Counter(_keys(rewards))
    missing, foreign = sorted(responses - verdicts.keys()), sorted(verdicts.keys() - responses)
    repeated = sorted(key for key, count in verdicts.items() if count > 1)
    expected = {"correct": 1, "gold_unparsed": None}
    statuses, values = rewards["status"].to_pylist(), rewards["reward"].to_pylist()
    against = [
        key
        for key, status, reward in zip(_keys(rewards), statuses, values, strict=True)
        if reward != expected.get(status, 0)
    ]
    wrong = [*missing, *foreign, *repeated, *against]
    facts = {
        "responses": samples.num_rows,
        "verdicts": rewards.num_rows,
        "without a verdict": len(missing),
        "without a response": len(foreign),
        "repeated": len(repeated),
        "reward against status": len(against),
        **_examples(wrong),
    }
    return Evidence(not wrong, f"{rewards.num_rows} verdicts for {samples.num_rows} responses", facts)


def no_gold_is_unparsed(rewards: pa.Table) -> Evidence:
    """Every gold answer could be read; a problem whose gold answer cannot be read counts for nothing."""
    unread = _with_status(rewards, "gold_unparsed")
    problems = sorted({problem for problem, _ in unread})
    facts: dict[str, Any] = {"responses": len(unread), "problems": len(problems)}
    if problems:
        facts["for example"] = ", ".join(problems[:_SHOWN])
    return Evidence(not unread, f"{len(problems)} problems have a gold answer that cannot be parsed", facts)


def few_responses_time_out(rewards: pa.Table) -> Evidence:
    """The share of responses whose grading ran out of time is under `TIMEOUT_LIMIT`."""
    out = _with_status(rewards, "timeout")
    share = len(out) / rewards.num_rows if rewards.num_rows else 0.0
    facts = {"timeouts": len(out), "responses": rewards.num_rows, "share": round(share, 4), "limit": TIMEOUT_LIMIT}
    says = f"{len(out)} of {rewards.num_rows} responses ran out of time"
    return Evidence(share < TIMEOUT_LIMIT, says, {**facts, **_examples(out)})


@dataclass
class DistributionEvidence:
    """Reads token distributions once, batch by batch, for all three invariants of them; keeps counts and offenders."""

    vocab_size: int
    comparable: bool  # scored at temperature 1, as the sampler's log-probabilities are
    full_precision: bool
    tokens: int = 0
    uncovered: list[_Key] = field(default_factory=list)
    impossible: dict[_Key, None] = field(default_factory=dict)  # in the order of the rows
    highest_entropy: float = -math.inf
    lowest_entropy: float = math.inf
    highest_logprob: float = -math.inf
    compared: int = 0  # tokens, as the next two
    largest_difference: float = 0.0
    sum_of_differences: float = 0.0

    def add(self, samples: pa.Table, distributions: Iterable[pa.RecordBatch]) -> None:
        """One fragment of samples, and the distributions that were made from it.

        Of a response that is split between batches, only how many of its tokens were read is kept.
        """
        rows = samples.select(SAMPLE_COLUMNS).to_pylist()
        drawn = {(row["problem_id"], row["sample_index"]): row for row in rows}
        read, wrong = dict.fromkeys(drawn, 0), dict[_Key, None]()
        for batch in distributions:
            for key, part in _by_response(batch):
                self._bounds(key, part)
                begin = read.get(key, 0)
                end = read[key] = begin + part.num_rows
                if key not in drawn or not _follows(part, drawn[key]["token_ids"][begin:end], begin):
                    wrong[key] = None
                elif key not in wrong and drawn[key]["token_logprobs"]:  # imported samples have none
                    self._differences(part, drawn[key]["token_logprobs"][begin:end])
        self.tokens += sum(len(row["token_ids"]) for row in rows)
        short = (key for key, row in drawn.items() if read[key] != len(row["token_ids"]))
        self.uncovered += dict.fromkeys([*short, *wrong])

    def _differences(self, part: pa.RecordBatch, sampled: Sequence[float]) -> None:
        found = np.abs(part["logprob"].to_numpy() - np.array(sampled))
        self.compared += len(found)
        self.largest_difference = float(np.maximum(self.largest_difference, found.max()))  # NaN where one is
        self.sum_of_differences += float(found.sum())

    def _bounds(self, key: _Key, part: pa.RecordBatch) -> None:
        entropy, logprob = part["entropy"].to_numpy(), part["logprob"].to_numpy()
        kept = part["topk_logprobs"].flatten().to_numpy(zero_copy_only=False)
        tail = part["tail_mass"].to_numpy()
        logprobs = np.concatenate([logprob, kept])
        possible = (
            np.isfinite(entropy).all()
            and (entropy >= -ENTROPY_SLACK).all()
            and (entropy <= math.log(self.vocab_size) + ENTROPY_SLACK).all()
            and not np.isnan(logprobs).any()
            and (logprobs <= LOGPROB_SLACK).all()
            and ((tail >= -LOGPROB_SLACK) & (tail <= 1 + LOGPROB_SLACK)).all()
        )
        if not possible:
            self.impossible[key] = None
        self.highest_entropy = float(np.fmax.reduce(entropy, initial=self.highest_entropy))  # whatever is a number
        self.lowest_entropy = float(np.fmin.reduce(entropy, initial=self.lowest_entropy))
        self.highest_logprob = float(np.fmax.reduce(logprobs, initial=self.highest_logprob))

    def distributions_cover_every_token(self) -> Evidence:
        """Every sampled token has its distribution, in order, and there is no other."""
        facts = {"tokens": self.tokens, "responses not covered": len(self.uncovered), **_examples(self.uncovered)}
        return Evidence(not self.uncovered, f"{self.tokens} tokens, {len(self.uncovered)} responses not covered", facts)

    def entropies_and_probabilities_are_possible(self) -> Evidence:
        """Entropies are finite and within [0, ln V]; probabilities and masses are at most 1."""
        facts: dict[str, Any] = {"responses with an impossible value": len(self.impossible)}
        if math.isfinite(self.highest_entropy):
            facts |= {
                "lowest entropy (nats)": round(self.lowest_entropy, 6),
                "highest entropy (nats)": round(self.highest_entropy, 6),
                "ln V (nats)": round(math.log(self.vocab_size), 6),
                "highest probability": round(math.exp(min(self.highest_logprob, 700.0)), 6),
            }
        facts |= _examples(self.impossible)
        return Evidence(not self.impossible, f"{len(self.impossible)} responses hold an impossible value", facts)

    def scorer_agrees_with_sampler(self) -> Evidence:
        """The log-probability a token was sampled with is the one it is scored with.

        In full precision to within 0.01 nats everywhere; in half precision, where batches round differently, to within
        0.05 nats on average. At another temperature than 1 the two are not the same number, so nothing is compared.
        """
        if not self.comparable:
            return Evidence(True, "not compared: distribution.temperature is not 1", {"tokens compared": 0})
        if not self.compared:
            return Evidence(True, "not compared: the samples have no log-probabilities", {"tokens compared": 0})
        highest, mean = self.largest_difference, self.sum_of_differences / self.compared
        holds = highest <= 0.01 if self.full_precision else mean <= 0.05  # false for NaN too
        facts = {
            "tokens compared": self.compared,
            "largest difference (nats)": round(highest, 6) if math.isfinite(highest) else str(highest),
            "mean difference (nats)": round(mean, 6) if math.isfinite(mean) else str(mean),
        }
        return Evidence(holds, f"differences of {mean:.2g} nats on average, {highest:.2g} at most", facts)


def _keys(table: pa.Table | pa.RecordBatch) -> list[tuple[str, int]]:
    return list(zip(table["problem_id"].to_pylist(), table["sample_index"].to_pylist(), strict=True))


def _with_status(rewards: pa.Table, wanted: str) -> list[tuple[str, int]]:
    statuses = rewards["status"].to_pylist()
    return [key for key, status in zip(_keys(rewards), statuses, strict=True) if status == wanted]


def _examples(keys: Iterable[tuple[str, int]]) -> dict[str, str]:
    shown = [f"{problem} sample {index}" for problem, index in list(keys)[:_SHOWN]]
    return {"for example": ", ".join(shown)} if shown else {}


def _text(ids: Sequence[int], pieces: Sequence[bytes]) -> str:
    return b"".join(pieces[i] for i in ids).decode("utf-8", errors="replace")


def _follows(part: pa.RecordBatch, token_ids: Sequence[int], begin: int) -> bool:
    """Whether the rows are those of these tokens, the first at position `begin`."""
    positions = list(range(begin, begin + part.num_rows))
    return part["token_id"].to_pylist() == list(token_ids) and part["position"].to_pylist() == positions


def _by_response(batch: pa.RecordBatch) -> Iterator[tuple[_Key, pa.RecordBatch]]:
    """The rows of each response that stand together."""
    keys, begin = _keys(batch), 0
    for end in range(1, len(keys) + 1):
        if end == len(keys) or keys[end] != keys[begin]:
            yield keys[begin], batch.slice(begin, end - begin)
            begin = end
