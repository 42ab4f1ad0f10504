"""What is read, how little of it, and what it says where something is missing."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from benchmarks.synthetic import (
    PIECES,
    SCORING_FACTS,
    MadeUp,
    MadeUpProblem,
    distributions_table,
    encode,
    write_partition,
)
from onoff_assets.browser.aggregates import summarise_tokens
from onoff_assets.browser.entropy_means import EntropySums
from onoff_assets.browser.filters import matching
from onoff_assets.browser.grid_rows import grid_rows
from onoff_assets.browser.queries import read_query
from onoff_assets.browser.reading import Reader
from onoff_assets.browser.response_rows import COLUMNS
from onoff_assets.browser.unsure_tokens import UNSURE
from onoff_core.cross.statistics import ratio_interval
from onoff_core.errors import MissingInputError, StoreError
from onoff_core.statistics.distributions import student_t_quantile
from onoff_core.store import Store
from onoff_core.tables import GRID_ASSETS
from tests.browser.conftest import RUN

KEY = ("d", "m")


@pytest.fixture
def reader(made_store: Store) -> Reader:
    return Reader(made_store)


def rows_of(store: Store, problem: str, sample: int) -> list[dict[str, Any]]:
    """The token rows, read past our own code."""
    folder = store.require("token_distributions", KEY).folder
    table = pq.read_table(f"{store.root}/{folder}/00000.parquet").to_pylist()
    return [row for row in table if (row["problem_id"], row["sample_index"]) == (problem, sample)]


def test_overlay_and_distribution_are_the_stored_rows(reader: Reader) -> None:
    responses = reader.responses(KEY)
    sample = reader.sample(responses, "p0", 2)
    distributions = reader.distributions(responses)
    overlay = reader.overlay(distributions, responses, sample)
    stored = rows_of(reader.store, "p0", 2)
    assert overlay.entropy == [row["entropy"] for row in stored]
    for position in (0, len(stored) - 1):
        found = reader.distribution(distributions, responses, sample, position)
        assert list(found.topk_ids) == stored[position]["topk_ids"]
        assert found.rank == stored[position]["rank"]


def noted_row_groups(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[int], Any]]:
    """A list that grows with every reading: (row groups, columns)."""
    read: list[tuple[list[int], Any]] = []
    original = pq.ParquetFile.read_row_groups

    def noting(self: Any, groups: list[int], columns: Any = None, **more: Any) -> Any:
        read.append((groups, columns))
        return original(self, groups, columns=columns, **more)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", noting)
    return read


def test_one_response_reads_one_row_group(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    responses = reader.responses(KEY)
    sample = reader.sample(responses, "p1", 3)
    read = noted_row_groups(monkeypatch)
    fresh = Reader(Store(f"{reader.store.root}/../{reader.store.root.name}"))  # another name, so nothing is cached
    fresh.overlay(fresh.distributions(responses), responses, sample)
    assert len(read) == 1
    groups, columns = read[0]
    assert len(groups) == 1
    assert "topk_ids" not in columns


def test_a_click_reads_only_its_part_of_a_whole_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path / "whole"))
    token_ids = encode(" so the answer is 2, then x = 2")
    write_partition(store, *KEY, [MadeUpProblem("p0", [MadeUp(token_ids, 1, "2")] * 2)], with_distributions=False)
    rng = np.random.default_rng(0)
    table = pa.concat_tables([distributions_table("p0", i, token_ids, len(PIECES), rng) for i in (0, 1)])
    in_order_of_id = pa.nulls(table.num_rows, pa.list_(pa.int32()))
    table = table.set_column(table.schema.get_field_index("topk_ids"), "topk_ids", in_order_of_id)
    generation = store.generation("token_distributions", KEY, "f" * 16)
    starts = range(0, table.num_rows, len(token_ids) // 2)
    generation.write_fragment(0, [table.slice(start, len(token_ids) // 2) for start in starts])
    inputs = {"samples": store.require("samples", KEY).fingerprint}
    generation.complete(inputs, {"temperature": 1.0, "top_k": None}, SCORING_FACTS)
    store.make_current(generation)

    reader, read = Reader(store), noted_row_groups(monkeypatch)
    responses = reader.responses(KEY)
    sample, distributions = reader.sample(responses, "p0", 1), reader.distributions(responses)
    reader.overlay(distributions, responses, sample)
    read.clear()
    position = len(token_ids) - 1
    found = reader.distribution(distributions, responses, sample, position)
    assert [len(groups) for groups, _ in read] == [1]
    stored = table.to_pylist()[len(token_ids) + position]
    assert found.token_id == stored["token_id"]
    assert found.entropy == stored["entropy"]
    assert [stored["topk_logprobs"][i] for i in found.topk_ids] == list(found.topk_logprobs)
    assert list(found.topk_logprobs) == sorted(stored["topk_logprobs"], reverse=True)


def test_an_unknown_sample_is_an_error_that_names_it(reader: Reader) -> None:
    with pytest.raises(StoreError, match="no sample 9 of problem p0"):
        reader.sample(reader.responses(KEY), "p0", 9)


def test_distributions_of_older_samples_are_not_shown(made_store: Store, tmp_path: Any) -> None:
    import shutil

    copy = Store(str(shutil.copytree(made_store.root, tmp_path / "copy")))
    reader = Reader(copy)
    newer = copy.generation("samples", KEY, "f" * 16)
    table = copy.require("samples", KEY).read()
    newer.write_fragment(0, [table])
    newer.complete(copy.require("samples", KEY).manifest().inputs, {}, {})
    copy.make_current(newer)
    responses = reader.responses(KEY)
    assert responses.rewards is None
    assert responses.table["status"].null_count == responses.table.num_rows
    with pytest.raises(MissingInputError, match="older generation"):
        reader.distributions(responses)


def ends_of(rows: list[dict[str, Any]]) -> Any:
    """The interval of the mean entropy of tokens."""
    entropies = np.array([row["entropy"] for row in rows])
    found = ratio_interval([row["problem_id"] for row in rows], entropies, np.ones(len(rows)))
    return None if found is None else pytest.approx(found, rel=1e-5)


def sums_of(totals: Any, counts: Any) -> EntropySums:
    """Of (problems, 2) sums of entropies and numbers of tokens."""
    problems, kinds = np.nonzero(np.asarray(counts))
    sums = EntropySums(pa.chunked_array([pa.array([f"p{one}" for one in problems])]), kinds, 2, 1)
    for row, (problem, kind) in enumerate(zip(problems, kinds, strict=True)):
        number = counts[problem][kind]
        rows = np.full(number, row)
        sums.add(rows, np.zeros(number, np.int64), np.full(number, totals[problem][kind] / number))
    return sums


def test_what_a_problem_does_to_both_kinds_is_not_in_the_interval_of_the_difference() -> None:
    level = np.array([0.2, 1.5, 0.7, 3.1])
    alike = sums_of(np.stack([5 * (level + 0.4), 5 * level], axis=1), np.full((4, 2), 5)).difference(0, 1)
    assert alike is not None
    assert (alike.estimate, alike.num_problems) == (pytest.approx(0.4), 4)
    assert alike.interval == pytest.approx((0.4, 0.4), abs=1e-9)


def test_the_errors_of_kinds_with_problems_of_their_own_add_up() -> None:
    totals, counts = [[3, 0], [9, 0], [4, 0], [0, 8], [0, 5], [0, 1]], [[4, 0], [5, 0], [9, 0], [0, 4], [0, 7], [0, 2]]
    sums = sums_of(totals, counts)
    half = student_t_quantile(2)
    errors = [(of.interval[1] - of.mean) / half for of in sums.by_reward() if of.interval and of.mean]
    apart = sums.difference(0, 1)
    assert apart is not None
    assert apart.interval is not None
    assert (apart.interval[1] - apart.estimate) / half == pytest.approx(np.hypot(*errors))
    one_of_a_kind = sums_of(totals[:4], counts[:4]).difference(0, 1)
    assert one_of_a_kind is not None
    assert one_of_a_kind.interval is None
    assert sums_of(totals[:3], counts[:3]).difference(0, 1) is None


def test_the_summary_counts_every_token_once(reader: Reader) -> None:
    responses = reader.responses(KEY)
    distributions = reader.distributions(responses)
    stored = pq.read_table(f"{reader.store.root}/{distributions.folder}/00000.parquet")
    summary = summarise_tokens(distributions, responses)
    assert summary.num_tokens == summary.histogram.sum() == summary.position_count.sum() == stored.num_rows
    entropy = stored["entropy"].to_numpy()
    assert summary.mean_entropy == pytest.approx(entropy.mean(), rel=1e-6)
    graded = responses.table.select(["problem_id", "sample_index", "reward"]).to_pylist()
    first = [(row["reward"], rows_of(reader.store, row["problem_id"], row["sample_index"])) for row in graded]
    for reward in (0, 1):
        of_reward = [rows[0]["entropy"] for given, rows in first if given == reward and rows]
        assert summary.position_count[reward, 0] == len(of_reward)
        assert summary.position_entropy[reward, 0] == pytest.approx(sum(of_reward) / len(of_reward), rel=1e-6)
        assert summary.by_reward[reward].num_responses == sum(row["reward"] == reward for row in graded)
        tokens_of = [row for given, rows in first if given == reward for row in rows]
        assert summary.by_reward[reward].num_tokens == len(tokens_of)
        assert summary.by_reward[reward].mean == pytest.approx(np.mean([row["entropy"] for row in tokens_of]), rel=1e-6)
        assert summary.by_reward[reward].interval == ends_of(tokens_of)
        ends = (summary.position_low[reward, 0], summary.position_high[reward, 0])
        at_first = [rows[0] for given, rows in first if given == reward and rows]
        assert (None if np.isnan(ends).any() else ends) == ends_of(at_first)
    apart, means = summary.correct_minus_wrong, [of.mean for of in summary.by_reward]
    assert apart is not None
    assert apart.estimate == pytest.approx(means[1] - means[0])
    unsure = stored.filter(pc.greater_equal(stored["entropy"], UNSURE))
    tokens = summary.unsure_tokens.to_pylist()
    assert sum(token["times_unsure"] for token in tokens) == unsure.num_rows
    for token in tokens:
        own = stored.filter(pc.equal(stored["token_id"], token["token_id"]))["entropy"].to_numpy()
        assert (token["times_drawn"], token["times_unsure"]) == (len(own), (own >= UNSURE).sum())
        assert token["unsure_percent"] == pytest.approx(100 * (own >= UNSURE).mean())
        assert token["token_entropy"] == pytest.approx(own.mean())
        highest = []
        for place in token["examples"]:
            rows = rows_of(reader.store, place["problem"], place["sample"])
            row = rows[place["token"]]
            padded = [-1] * 5 + [one["token_id"] for one in rows] + [-1] * 5
            assert place["around"] == padded[place["token"] : place["token"] + 11]
            assert row["token_id"] == token["token_id"]
            highest.append(row["entropy"])
        assert highest == sorted(own[own >= UNSURE].tolist(), reverse=True)[:3]


def test_walking_sorts_by_the_responses_own_mean_entropy_and_finds_text_whatever_its_case(reader: Reader) -> None:
    responses = reader.responses(KEY)
    query, _ = read_query({"sort": "-entropy"}, COLUMNS)
    own = [[row["entropy"] for row in rows_of(reader.store, "p0", sample)] for sample in range(3)]
    wanted = sorted(range(3), key=lambda sample: -sum(own[sample]) / len(own[sample]))
    found = matching(reader, responses, query)
    assert [row for row in found if row < 3] == wanted
    assert found[-1] == 3  # the empty response has none
    query, _ = read_query({"text": "ANSWER IS 2"}, COLUMNS, searches=True)
    assert [row for row in matching(reader, responses, query) if row < 4] == [0]


def test_the_vocabulary_is_the_stored_bytes(reader: Reader) -> None:
    vocabulary = reader.vocabulary("m")
    assert vocabulary is not None
    assert len(vocabulary) == len(PIECES)
    assert vocabulary.bytes_of(100) == PIECES[100]
    assert vocabulary.bytes_of(10**9) == b""
    assert vocabulary.is_special(0)
    assert reader.vocabulary("nobody") is None


def test_the_grid_knows_every_state(made_store: Store) -> None:
    rows = {(row.dataset, row.model): row for row in grid_rows(made_store, None) if row.dataset == "d"}
    assert set(rows) == {("d", "m"), ("d", "another"), ("d", "bare"), ("d", "begun")}
    assert set(rows["d", "m"].states.values()) == {"complete"}
    assert rows["d", "bare"].states["token_distributions"] == "missing"
    assert rows["d", "begun"].states["samples"] == "partial"
    assert rows["d", "m"].num_samples == 10
    assert rows["d", "begun"].accuracy is None
    assert [key[1] for key, row in rows.items() if not row.has_responses] == ["begun"]


def test_the_grid_knows_which_run_made_what(made_store: Store) -> None:
    rows = {(row.dataset, row.model): row for row in grid_rows(made_store, None)}
    assert rows["d", "m"].runs == dict.fromkeys((*GRID_ASSETS, "second_opinions"), RUN)
    assert rows["d", "another"].runs == {}
