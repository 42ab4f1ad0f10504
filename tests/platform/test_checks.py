"""Each check, by breaking the data it guards: on the tables, and once each through Dagster."""

import hashlib
import json
import math
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.synthetic import SAMPLES_FACTS, SAMPLES_SETTINGS
from onoff_core.checks import Evidence
from onoff_core.checks import rewards as of_rewards
from onoff_core.checks import samples as of_samples
from onoff_core.checks import token_distributions as of_distributions
from onoff_core.checks.counting import add_fragment, count_distributions
from onoff_core.checks.counts import DistributionCounts
from onoff_core.store import Generation, Store
from onoff_core.tables import SCHEMAS
from tests.conftest import write_study
from tests.platform.conftest import Platform, at

PIECES = [b"<end>", b"a", b"b", "é".encode()[:1], "é".encode()[1:]]
SPECIAL = [True, False, False, False, False]


def samples(**columns: list[object]) -> pa.Table:
    rows = {
        "problem_id": ["p", "p", "q", "q"],
        "sample_index": [0, 1, 0, 1],
        "prompt": ["x"] * 4,
        "prompt_token_ids": [[1]] * 4,
        "response": ["ab", "é", "a", "b"],
        "token_ids": [[1, 2, 0], [3, 4, 0], [1], [2, 0]],
        "token_logprobs": [[-1.0, -2.0, -0.5], [-1.0, -1.0, -1.0], [-0.25], [-0.5, -0.5]],
        "finish_reason": ["stop", "stop", "length", "stop"],
        "num_tokens": [3, 3, 1, 2],
        **columns,
    }
    return pa.table(rows, schema=pa.schema([SCHEMAS["samples"].field(name) for name in rows]))


def rewards(**columns: list[object]) -> pa.Table:
    rows = {
        "problem_id": ["p", "p", "q", "q"],
        "sample_index": [0, 1, 0, 1],
        "extracted_answer": ["1", None, "2", "2"],
        "reward": [1, 0, 0, None],
        "status": ["correct", "no_answer", "wrong", "gold_unparsed"],
        **columns,
    }
    return pa.table(rows, schema=pa.schema([SCHEMAS["rewards"].field(name) for name in rows]))


def distributions(table: pa.Table) -> pa.Table:
    """What a scorer that agrees with the sampler finds, over five tokens."""
    rows = [
        {
            "problem_id": row["problem_id"],
            "sample_index": row["sample_index"],
            "position": position,
            "token_id": token,
            "logprob": logprob,
            "rank": 1,
            "entropy": 1.0,
            "varentropy": 0.0,
            "logsumexp": 0.0,
            "tail_mass": 0.5,
            "topk_ids": [1, 2],
            "topk_logprobs": [-1.0, -2.0],
        }
        for row in table.to_pylist()
        for position, (token, logprob) in enumerate(zip(row["token_ids"], row["token_logprobs"], strict=True))
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMAS["token_distributions"])


def with_value(table: pa.Table, column: str, row: int, value: object) -> pa.Table:
    values = table[column].to_pylist()
    values[row] = value
    field = table.schema.field(column)
    return table.set_column(table.schema.get_field_index(column), field, pa.array(values, field.type))


def found(table: pa.Table, scored: pa.Table, **changes: bool) -> DistributionCounts:
    counts = DistributionCounts(
        **{"vocab_size": 5, "comparable": True, "full_precision": True, **changes}  # type: ignore[arg-type]
    )
    add_fragment(counts, table, scored.to_batches(max_chunksize=2))  # so that responses are split
    return counts


def test_every_problem_has_its_samples() -> None:
    assert of_samples.every_problem_has_its_samples(samples(), ["p", "q"], 2).holds
    assert of_samples.every_problem_has_its_samples(samples(), ["p", "q", "not imported"], None).holds
    short = of_samples.every_problem_has_its_samples(samples(), ["p", "q", "r"], 2)
    assert (short.holds, short.facts["missing"], short.facts["for example"]) == (False, 2, "r sample 0, r sample 1")
    assert not of_samples.every_problem_has_its_samples(samples(), ["p"], 2).holds
    twice = samples(sample_index=[0, 0, 0, 1])
    assert of_samples.every_problem_has_its_samples(twice, ["p", "q"], 2).facts["repeated"] == 1


def test_token_ids_decode_to_response() -> None:
    assert of_samples.token_ids_decode_to_response(samples(), PIECES, SPECIAL, "v").holds
    broken = of_samples.token_ids_decode_to_response(samples(response=["ab", "é", "A", "b"]), PIECES, SPECIAL, "v")
    assert (broken.holds, broken.facts["for example"]) == (False, "q sample 0")


def test_few_responses_are_truncated() -> None:
    assert of_samples.few_responses_are_truncated(samples(), 0.25).holds
    above = of_samples.few_responses_are_truncated(samples(), 0.2)
    assert (above.holds, above.facts["share"]) == (False, 0.25)
    assert "max_length" in above.says


def test_each_response_has_one_verdict() -> None:
    assert of_rewards.each_response_has_one_verdict(samples(), rewards()).holds
    assert not of_rewards.each_response_has_one_verdict(samples(), rewards().slice(0, 3)).holds
    assert not of_rewards.each_response_has_one_verdict(samples().slice(0, 3), rewards()).holds
    assert not of_rewards.each_response_has_one_verdict(samples(), rewards(sample_index=[0, 0, 0, 1])).holds
    assert not of_rewards.each_response_has_one_verdict(samples(), rewards(reward=[0, 0, 0, None])).holds


def test_no_gold_is_unparsed() -> None:
    unread = of_rewards.no_gold_is_unparsed(rewards())
    assert (unread.holds, unread.facts["for example"]) == (False, "q")
    assert of_rewards.no_gold_is_unparsed(rewards(status=["correct"] * 4)).holds


def test_few_responses_time_out() -> None:
    def of(timeouts: int, responses: int) -> Evidence:
        statuses = ["wrong"] * (responses - timeouts) + ["timeout"] * timeouts
        columns = {"problem_id": ["p"] * responses, "sample_index": range(responses), "status": statuses}
        return of_rewards.few_responses_time_out(pa.table(columns))

    assert of(0, 3).holds
    assert of(0, 0).holds
    assert of(1, 101).holds
    one_in_a_hundred = of(1, 100)
    assert (one_in_a_hundred.holds, one_in_a_hundred.facts["share"]) == (False, 0.01)
    assert one_in_a_hundred.facts["for example"] == "p sample 99"


def test_distributions_cover_every_token() -> None:
    table = samples()
    scored = distributions(table)
    assert of_distributions.distributions_cover_every_token(found(table, scored)).holds
    for broken in (
        scored.slice(1),
        scored.slice(0, scored.num_rows - 1),
        with_value(scored, "token_id", 4, 2),
        with_value(scored, "position", 1, 2),
        pa.concat_tables([scored, with_value(scored.slice(0, 1), "problem_id", 0, "nobody's")]),
        scored.slice(0, 0),
    ):
        assert not of_distributions.distributions_cover_every_token(found(table, broken)).holds


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("entropy", math.nan),
        ("entropy", math.inf),
        ("entropy", -0.1),
        ("entropy", math.log(5) + 0.01),
        ("logprob", 0.1),
        ("logprob", math.nan),
        ("tail_mass", 1.1),
        ("topk_logprobs", [0.2, -1.0]),
    ],
)
def test_entropies_and_probabilities_are_possible(column: str, value: object) -> None:
    table = samples()
    scored = distributions(table)
    assert of_distributions.entropies_and_probabilities_are_possible(found(table, scored)).holds
    broken = of_distributions.entropies_and_probabilities_are_possible(
        found(table, with_value(scored, column, 2, value))
    )
    assert (broken.holds, broken.facts["for example"]) == (False, "p sample 0")


def test_scorer_agrees_with_sampler() -> None:
    table = samples()
    scored = distributions(table)
    assert of_distributions.scorer_agrees_with_sampler(found(table, scored)).holds
    one_off = with_value(scored, "logprob", 3, -1.1)
    assert not of_distributions.scorer_agrees_with_sampler(found(table, one_off)).holds
    assert of_distributions.scorer_agrees_with_sampler(found(table, one_off, full_precision=False)).holds
    shifted = scored.set_column(4, "logprob", pa.array(scored["logprob"].to_numpy() - np.float32(0.3)))
    assert not of_distributions.scorer_agrees_with_sampler(found(table, shifted, full_precision=False)).holds
    assert of_distributions.scorer_agrees_with_sampler(found(table, shifted, comparable=False)).holds


def test_token_distributions_are_read_in_little_memory(tmp_path: Path) -> None:
    """Four times the tokens in one fragment, or in one response: the same memory."""
    peaks = {}
    for name, responses, length in (("small", 4, 512), ("many", 16, 512), ("long", 4, 2048)):
        scored, generation, size = wide_distributions(Store(str(tmp_path / name)), responses, length)
        peaks[name] = peak_bytes(lambda s=scored, g=generation: count_distributions(s, g)) / size
    assert peaks["many"] < peaks["small"] / 2.5
    assert peaks["long"] < peaks["small"] / 2.5


def wide_distributions(store: Store, responses: int, length: int) -> tuple[Generation, Generation, int]:
    """Samples and their token distributions with 500 alternatives a token, one fragment each; bytes of the latter."""
    width, rng = 500, np.random.default_rng(0)
    key = ("d", "m")
    ids, logprobs = [[1] * length] * responses, [[-1.0] * length] * responses
    numbers = {"problem_id": ["p"] * responses, "sample_index": range(responses), "num_tokens": [length] * responses}
    texts = {"prompt": ["x"] * responses, "response": ["x"] * responses, "finish_reason": ["stop"] * responses}
    tokens = {"prompt_token_ids": [[1]] * responses, "token_ids": ids, "token_logprobs": logprobs}
    unknown = {field.name: [None] * responses for field in SCHEMAS["samples"] if field.nullable}
    columns = {**numbers, **texts, **tokens, **unknown}
    drawn = pa.table({name: columns[name] for name in SCHEMAS["samples"].names}).cast(SCHEMAS["samples"])
    scored, generation = store.generation("samples", key, "s"), store.generation("token_distributions", key, "t")
    scored.write_fragment(0, [drawn])
    scored.complete({}, SAMPLES_SETTINGS, SAMPLES_FACTS)
    schema = SCHEMAS["token_distributions"]

    def a_response(index: int) -> pa.Table:
        offsets = pa.array(np.arange(length + 1, dtype=np.int32) * width)
        kept = pa.array(rng.uniform(-9, -1, length * width).astype(np.float32))
        columns = {name: pa.array(np.ones(length)) for name in schema.names}
        columns |= {"problem_id": pa.array(["p"] * length), "sample_index": pa.array([index] * length)}
        columns |= {"position": pa.array(range(length)), "logprob": pa.array(np.full(length, -1.0))}
        columns["topk_logprobs"] = pa.ListArray.from_arrays(offsets, kept)
        columns["topk_ids"] = pa.ListArray.from_arrays(offsets, pa.array(np.ones(length * width, dtype=np.int32)))
        return pa.table(columns).cast(schema)

    generation.write_fragment(0, map(a_response, range(responses)))
    generation.complete({"samples": "s"}, {"temperature": 1.0, "top_k": width}, {"vocab_size": 1000})
    return scored, generation, responses * length * width * 4


def peak_bytes(work: Callable[[], DistributionCounts]) -> int:
    """The most that Arrow, NumPy and Python held at a time, of their own peaks each."""
    before, pool = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        found = work()
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)
    assert of_distributions.distributions_cover_every_token(found).holds
    assert found.tokens == found.compared > 0
    return held + int(pool.max_memory())


def rewrite(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a fragment and its manifest alike: a result that is whole, and wrong."""
    [file] = folder.rglob("00000.parquet")
    pq.write_table(change(pq.read_table(file)), file)
    [manifest] = folder.rglob("manifest.json")
    content = json.loads(manifest.read_text())
    content["fragments"][0].update(
        num_rows=pq.read_metadata(file).num_rows,
        num_bytes=file.stat().st_size,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    )
    manifest.write_text(json.dumps(content))


def test_a_broken_partition_is_stopped_by_its_checks(platform: Callable[..., Platform]) -> None:
    """Blocking checks carry the partition, show evidence, and keep what follows from being made."""
    made = platform()
    whole = made.materialize("arithmetic|tiny")
    evaluations = {e.check_name: e for e in whole.get_asset_check_evaluations()}
    failed = {name for name, e in evaluations.items() if not e.passed}
    assert failed <= {"few_responses_are_truncated"}  # a random model talks until max_length
    assert len(evaluations) == 9
    assert {e.partition for e in evaluations.values()} == {"arithmetic|tiny"}
    assert evaluations["every_problem_has_its_samples"].metadata["expected"].value == 12

    rewrite(made.folder / "store" / "samples", lambda table: table.slice(0, table.num_rows - 1))
    broken = made.materialize("arithmetic|tiny", raises=False)
    assert not broken.success
    check = made.check("every_problem_has_its_samples", "arithmetic|tiny", broken)
    assert not check.passed
    assert check.blocking
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert check.metadata["missing"].value == 1
    made_assets = {event.step_key for event in broken.get_asset_materialization_events()}
    assert made_assets == {"samples"}


KEY = "arithmetic|tiny"
BLOCKING = {
    "token_ids_decode_to_response",
    "each_response_has_one_verdict",
    "distributions_cover_every_token",
    "entropies_and_probabilities_are_possible",
}
Change = Callable[[pa.Table], pa.Table]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A partition of which every check has passed in Dagster; copied for each test."""
    folder = tmp_path_factory.mktemp("checked")
    datasets = {"arithmetic": {"num_examples": 2}}
    write_study(folder, None, datasets=datasets, automation={"max_truncated_share": 0.99})
    with at(folder) as made:
        made.materialize(KEY)
        rewrite(folder / "store" / "samples", lambda table: with_value(table, "finish_reason", 0, "stop"))
        result = made.materialize(KEY)
    evaluations = result.get_asset_check_evaluations()
    assert len(evaluations) == 9
    assert [one.check_name for one in evaluations if not one.passed] == []
    return folder


def changed(column: str, row: int, value: object) -> Change:
    return lambda table: with_value(table, column, row, value)


def all_truncated(table: pa.Table) -> pa.Table:
    values = pa.array(["length"] * table.num_rows)
    return table.set_column(table.schema.get_field_index("finish_reason"), table.schema.field("finish_reason"), values)


def reward_turned(table: pa.Table) -> pa.Table:
    return with_value(table, "reward", 0, 1 - table["reward"][0].as_py())


def gold_unread(table: pa.Table) -> pa.Table:
    return with_value(with_value(table, "status", 0, "gold_unparsed"), "reward", 0, None)


def timed_out(table: pa.Table) -> pa.Table:
    return with_value(with_value(table, "status", 0, "timeout"), "reward", 0, 0)


def last_token_lost(table: pa.Table) -> pa.Table:
    return table.slice(0, table.num_rows - 1)


def scored_otherwise(table: pa.Table) -> pa.Table:
    return with_value(table, "logprob", 0, table["logprob"][0].as_py() - 1.0)


@pytest.mark.parametrize(
    ("asset", "change", "name", "evidence_of", "found_to_be"),
    [
        ("samples", changed("response", 0, "other"), "token_ids_decode_to_response", "different", 1),
        ("samples", all_truncated, "few_responses_are_truncated", "truncated", 6),
        ("rewards", reward_turned, "each_response_has_one_verdict", "reward against status", 1),
        ("rewards", gold_unread, "no_gold_is_unparsed", "problems", 1),
        ("rewards", timed_out, "few_responses_time_out", "timeouts", 1),
        ("token_distributions", last_token_lost, "distributions_cover_every_token", "responses not covered", 1),
        (
            "token_distributions",
            changed("entropy", 0, math.nan),
            "entropies_and_probabilities_are_possible",
            "responses with an impossible value",
            1,
        ),
        ("token_distributions", scored_otherwise, "scorer_agrees_with_sampler", "largest difference (nats)", 1.0),
    ],
)
def test_a_check_fails_in_dagster_on_broken_data(
    template: Path, tmp_path: Path, asset: str, change: Change, name: str, evidence_of: str, found_to_be: float
) -> None:
    """It alone, for this partition, with its evidence; what is made from the asset only where the check lets it be."""
    warns = name == "few_responses_are_truncated"
    assets = {"samples": ("samples", "rewards"), "rewards": ("rewards", "statistics")}.get(asset, (asset,))
    with at(shutil.copytree(template, tmp_path / "broken")) as broken:
        rewrite(broken.folder / "store" / asset, change)
        result = broken.materialize(KEY, *assets, raises=False)
        evaluations = result.get_asset_check_evaluations()
        assert [one.check_name for one in evaluations if not one.passed] == [name]
        check = broken.check(name, KEY, result)
        assert check.partition == KEY
        assert check.metadata[evidence_of].value == pytest.approx(found_to_be, abs=0.01)
        assert check.severity is (dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR)
        stops = name in BLOCKING
        assert check.blocking is stops
        assert result.success is not stops
        assert {e.step_key for e in result.get_asset_materialization_events()} == set(assets[:1] if stops else assets)
