"""The measures of a response against their definitions, written out token by token."""

import math
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from onoff_core.confidence.measures import (
    MEASURES,
    TokenSeries,
    falling_windows,
    response_measures,
    token_confidence,
    window_confidences,
)
from onoff_core.confidence.responses import NO_VOCABULARY, Windows, response_rows
from onoff_core.confidence.semantic import class_entropy, problem_row

V = 40


def distributions(n: int, seed: int = 0) -> np.ndarray:
    """(n, V) log-probabilities."""
    logits = np.random.default_rng(seed).normal(0, 2, (n, V))
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def batch(logp: np.ndarray, key: tuple[str, int] = ("p", 0), k: int | None = 5, vocabulary: bool = True) -> pa.Table:
    """Rows of token_distributions; the token drawn at each position is 3."""
    n = len(logp)
    kept = logp if k is None else -np.sort(-logp, axis=1)[:, :k]
    columns = {
        "problem_id": [key[0]] * n,
        "sample_index": pa.array([key[1]] * n, pa.int32()),
        "position": pa.array(range(n), pa.int32()),
        "logprob": logp[:, 3],
        "entropy": -(np.exp(logp) * np.maximum(logp, -1e9)).sum(axis=1),
        "topk_logprobs": pa.array([row.astype(np.float32) for row in kept], pa.list_(pa.float32())),
    }
    return pa.table({**columns, **({"mean_log_prob_vocabulary": logp.mean(axis=1)} if vocabulary else {})})


def windows(window: int = 4, tail: int = 3, top_k: int = 5, ordered: bool = True) -> Windows:
    return Windows(window, tail, top_k, V, ordered)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 60])
def test_every_measure_is_its_definition(n: int) -> None:
    logp = distributions(n, n)
    [row] = response_rows(batch(logp).to_batches(), windows(), {})
    chosen = [float(one[3]) for one in logp]
    confidence = [-sum(sorted(map(float, one), reverse=True)[:5]) / 5 for one in logp]
    entropies = [-sum(math.exp(x) * x for x in map(float, one)) for one in logp]
    groups = [sum(confidence[i : i + 4]) / 4 for i in range(n - 3)] if n >= 4 else [sum(confidence) / n]
    lowest = sorted(groups)[: max(1, int(len(groups) * 0.1))]
    uniform = [sum(math.log(1 / V) - float(x) for x in one) / V for one in logp]  # KL(uniform || model), term by term
    wanted = {
        "mean_log_prob": sum(chosen) / n,
        "perplexity": math.prod(math.exp(-x) ** (1 / n) for x in chosen),
        "mean_confidence": sum(confidence) / n,
        "lowest_window_confidence": min(groups),
        "bottom_window_confidence": sum(lowest) / len(lowest),
        "tail_confidence": sum(confidence[-3:]) / min(3, n),
        "mean_entropy": sum(entropies) / n,
        "maximum_entropy": max(entropies),
        "tail_entropy": sum(entropies[-3:]) / min(3, n),
        "self_certainty": sum(uniform) / n,
    }
    assert {name: row[name] for name in wanted} == pytest.approx(wanted, rel=1e-5)
    assert {measure.name for measure in MEASURES} == set(wanted)
    assert (row["num_tokens"], row["reason"]) == (n, None)
    below = [i for i, value in enumerate(groups) if all(value < before for before in groups[:i])]
    assert row["falling_positions"] == [i + min(4, n) - 1 for i in below]
    assert row["falling_confidences"][-1] == row["lowest_window_confidence"]


def test_a_response_may_come_in_parts_and_the_next_begins_in_the_same_batch() -> None:
    first, second = distributions(10, 1), distributions(7, 2)
    whole = [*response_rows(batch(first).to_batches(), windows(), {})]
    both = pa.concat_tables([batch(first), batch(second, ("p", 1))]).combine_chunks()
    rows = list(response_rows(both.to_batches(max_chunksize=4), windows(), {}))
    assert [(row["sample_index"], row["num_tokens"]) for row in rows] == [(0, 10), (1, 7)]
    assert rows[0] == whole[0]


def test_of_a_whole_vocabulary_the_most_probable_are_taken() -> None:
    logp = distributions(6)
    [some] = response_rows(batch(logp, k=5).to_batches(), windows(), {})
    [all_of] = response_rows(batch(logp, k=None).to_batches(), windows(ordered=False), {})
    assert all_of["mean_confidence"] == pytest.approx(some["mean_confidence"], rel=1e-6)
    assert token_confidence(logp, V, ordered=False) == pytest.approx(-logp.mean(axis=1))


def test_a_sure_token_has_more_confidence_than_an_unsure_one() -> None:
    """DeepConf's has the sign that surprises: the k most probable tokens are improbable where one has everything."""
    sure = np.log(np.array([[0.97, 0.01, 0.01, 0.01]]))
    assert token_confidence(sure, 4, ordered=True) > token_confidence(np.log(np.full((1, 4), 0.25)), 4, ordered=True)


def test_tokens_that_were_put_in_are_left_out() -> None:
    logp = distributions(9)
    drawn = [0, 1, 2, 5, 6, 7, 8]
    [row] = response_rows(batch(logp).to_batches(), windows(), {("p", 0): [3, 4], ("p", 1): [0]})
    [alone] = response_rows(batch(logp[drawn]).to_batches(), windows(), {})
    places = {"falling_positions", "reason"}
    assert {k: v for k, v in row.items() if k not in places} == {k: v for k, v in alone.items() if k not in places}
    assert row["falling_positions"] == [drawn[i] for i in alone["falling_positions"]]  # as the response counts them
    [nothing] = response_rows(batch(logp).to_batches(), windows(), {("p", 0): range(9)})
    assert nothing["num_tokens"] == 0
    assert all(nothing[measure.name] is None for measure in MEASURES)
    assert "put in" in nothing["reason"]


def test_what_is_not_known_is_null_and_says_why() -> None:
    [row] = response_rows(batch(distributions(5), vocabulary=False).to_batches(), windows(), {})
    assert row["self_certainty"] is None
    assert row["reason"] == NO_VOCABULARY
    assert None not in [row[measure.name] for measure in MEASURES[:-1]]
    nulls = batch(distributions(5)).drop_columns("mean_log_prob_vocabulary")
    nulls = nulls.append_column("mean_log_prob_vocabulary", pa.nulls(5, pa.float32()))
    assert next(response_rows(nulls.to_batches(), windows(), {})) == row
    impossible = distributions(5)
    impossible[2, 3] = -np.inf
    [row] = response_rows(batch(impossible, k=2).to_batches(), windows(top_k=2), {})
    assert row["mean_log_prob"] is row["perplexity"] is None
    assert "mean_log_prob, perplexity" in row["reason"]


def series(confidence: list[float]) -> TokenSeries:
    zeros = np.zeros(len(confidence))
    return TokenSeries(np.arange(len(confidence)), zeros, zeros, np.array(confidence), zeros)


def test_windows_that_fall() -> None:
    tokens = series([5, 5, 1, 5, 5, 0, 3])
    assert window_confidences(tokens.confidence, 2) == pytest.approx([5, 3, 3, 5, 2.5, 1.5])
    positions, values = falling_windows(tokens, 2)
    assert positions.tolist() == [1, 2, 5, 6]
    assert values.tolist() == [5, 3, 2.5, 1.5]
    positions, values = falling_windows(tokens, 100)  # a response that no window fits into is one
    assert positions.tolist() == [6]
    assert values == pytest.approx([24 / 7])


def test_perplexity_of_what_is_next_to_impossible_is_no_number() -> None:
    tokens = TokenSeries(np.arange(1), np.array([-1e4]), np.zeros(1), np.zeros(1), np.zeros(1))
    assert response_measures(tokens, 1, 1, V)["perplexity"] is None


def subsets_by_hand(classes: list[int | None], weights: list[float]) -> Iterator[float]:
    for one in {c for c in classes if c is not None}:
        yield sum(w for c, w in zip(classes, weights, strict=True) if c == one)


def test_semantic_entropy() -> None:
    classes, weights = [0, 1, 1, None, 2, 0], [0.5, 0.2, 0.1, 9.0, 0.1, 0.1]
    sums = list(subsets_by_hand(classes, weights))
    wanted = -sum(s / sum(sums) * math.log(s / sum(sums)) for s in sums)
    assert class_entropy(classes, np.array(weights)) == pytest.approx(wanted)
    assert class_entropy([None, None], np.ones(2)) is None
    assert class_entropy([4, 4, None], np.ones(3)) == 0
    row = problem_row("p", classes, [math.log(w) for w in weights])
    assert row["semantic_entropy"] == pytest.approx(wanted)
    assert row["discrete_semantic_entropy"] == pytest.approx(-(0.4 * math.log(0.4) * 2 + 0.2 * math.log(0.2)))
    assert (row["num_samples"], row["num_answered"], row["num_classes"], row["reason"]) == (6, 5, 3, None)
    nothing = problem_row("p", [None], [-1.0])
    assert nothing["semantic_entropy"] is nothing["discrete_semantic_entropy"] is None
    assert nothing["reason"] == "no response has an answer with a class"
