"""The whole path over a chain of two states, whose values are known: from samples to tables."""

import math
from typing import Any

import pytest

from onoff_core.checks import check_branches
from onoff_core.errors import SettingsError
from onoff_core.grid import branches
from onoff_core.grid.status import partition_status
from onoff_core.store import connect_catalog, publish_catalog
from onoff_core.tables import BRANCH_TABLES
from tests.branches import chain
from tests.branches.conftest import BRANCHES, KEY, MakeChain, Project

CONTINUATION = ("problem_id", "sample_index", "position", "token_id", "continuation_index")


def written(project: Project) -> dict[tuple[str, int], list[int]]:
    """The token ids of each response."""
    return {(row["problem_id"], row["sample_index"]): row["token_ids"] for row in project.rows("samples")}


def continuations(project: Project) -> dict[tuple[object, ...], list[object]]:
    columns = ("token_ids", "token_logprobs", "response", "finish_reason", "reward")
    return {
        tuple(row[name] for name in CONTINUATION): [row[name] for name in columns]
        for row in project.rows("continuations")
    }


def test_values_are_those_of_the_chain_within_monte_carlo_error(make_chain: MakeChain) -> None:
    project = make_chain()
    project.branch(continuations=100)
    responses, scores = written(project), []
    rows = project.rows("branches")
    assert len(rows) == 2 * 2 * (chain.STEPS * 2)  # problems, responses, positions, both letters
    for row in rows:
        prefix = responses[row["problem_id"], row["sample_index"]][: row["position"]]
        exact = chain.value([*prefix, row["token_id"]])
        assert row["probability"] == pytest.approx(chain.next_token(prefix)[row["token_id"]], rel=2e-3)
        assert row["num_continuations"] == 100
        assert row["value"] == row["num_correct"] / 100
        assert row["mean_num_tokens"] == chain.STEPS + len(chain.ANSWERS[chain.GOOD]) + 1
        deviation = math.sqrt(max(exact * (1 - exact), 1e-9) / 100)
        scores.append((row["value"] - exact) / deviation if 0 < exact < 1 else 100 * (row["value"] - exact))
    assert max(map(abs, scores)) < 4.5
    assert sum(score**2 for score in scores) / len(scores) < 1.8  # about 1 where the error is that of drawing
    covered = sum(
        row["value_low"]
        <= chain.value([*responses[row["problem_id"], row["sample_index"]][: row["position"]], row["token_id"]])
        <= row["value_high"]
        for row in rows
    )
    assert covered >= 0.9 * len(rows)


def test_values_before_tokens_and_advantages_are_those_of_the_chain(make_chain: MakeChain) -> None:
    project = make_chain()
    project.branch(continuations=100)
    responses = written(project)
    before = {(r["problem_id"], r["sample_index"], r["position"]): r for r in project.rows("branch_positions")}
    for row in project.rows("branches"):
        place = (row["problem_id"], row["sample_index"], row["position"])
        prefix = responses[place[0], place[1]][: row["position"]]
        exact = chain.value(prefix)
        assert before[place]["value"] == pytest.approx(exact, abs=0.2)
        assert before[place]["coverage"] == pytest.approx(1, abs=2e-3)
        assert row["advantage"] == pytest.approx(row["value"] - before[place]["value"], abs=1e-9)
        assert row["advantage_low"] <= row["advantage"] <= row["advantage_high"]
        if row["is_sampled"]:
            assert before[place]["value_after"] == row["value"]
            assert before[place]["drop"] == pytest.approx(-row["advantage"], abs=1e-9)


def test_a_wrong_response_was_lost_where_its_value_fell_most(make_chain: MakeChain) -> None:
    project = make_chain(problems=4)
    project.branch(continuations=60, responses={"per_problem": 6, "status": "wrong"})
    responses = written(project)
    lost = {(r["problem_id"], r["sample_index"]): r for r in project.rows("branch_positions") if r["is_lost_here"]}
    assert len(lost) >= 3
    assert dict.fromkeys(lost, 0) == {
        (r["problem_id"], r["sample_index"]): r["reward"]
        for r in project.rows("rewards")
        if (r["problem_id"], r["sample_index"]) in lost
    }
    for key, row in lost.items():
        ids = responses[key][: chain.STEPS]
        drops = [chain.value(ids[:at]) - chain.value(ids[: at + 1]) for at in range(chain.STEPS)]
        assert drops[row["position"]] > max(drops) - 0.15
        assert row["drop"] == pytest.approx(drops[row["position"]], abs=0.25)
        effects = [
            r["effect"]
            for r in project.rows("branches")
            if (r["problem_id"], r["sample_index"], r["position"]) == (*key, row["position"]) and not r["is_sampled"]
        ]
        assert effects == ["gained"]


def test_more_continuations_are_added_to_those_that_there_are(make_chain: MakeChain) -> None:
    project = make_chain()
    project.branch(continuations=4)
    first, count = continuations(project), len(chain.drawn)
    assert count == 2 * 2 * chain.STEPS * 2 * 4
    chain.drawn.clear()
    made = project.branch(continuations=8)
    assert len(chain.drawn) == count  # as many again, and no one twice
    assert made.manifest.facts["drawn_now"] == count
    assert f"({count} are there already)" in "".join(project.said)
    after = continuations(project)
    assert len(after) == 2 * count
    assert {key: after[key] for key in first} == first
    chain.drawn.clear()
    project.branch(continuations=2)  # fewer: nothing is drawn
    assert chain.drawn == []
    assert continuations(project) == {key: row for key, row in after.items() if key[4] < 2}


def test_what_is_made_at_once_is_what_is_made_in_parts(make_chain: MakeChain) -> None:
    """Some positions first, others later, other tokens later still: the rows are those of one run over all."""
    project = make_chain()
    project.branch(positions={"how": "at", "at": [1, 3]}, alternatives={"top_k": 0})
    project.branch(positions={"how": "at", "at": [0, 3, 5]})
    project.branch()
    in_parts = {table: project.rows(table) for table in ("continuations", "branches", "branch_positions")}
    drawn = {(request.problem_id, request.sample_index) for request in chain.drawn}
    assert len(drawn) == len(chain.drawn)  # nothing was drawn twice
    project.write(store={"path": "another"})
    project = make_chain(store={"path": "another"})
    project.branch()
    assert {table: project.rows(table) for table in in_parts} == in_parts


def test_all_are_drawn_again_on_demand(make_chain: MakeChain) -> None:
    from onoff_core.grid.branches import materialize_branches

    project = make_chain()
    project.branch()
    before, count = continuations(project), len(chain.drawn)
    chain.drawn.clear()
    assert not materialize_branches(project.partition, project.store).computed
    assert chain.drawn == []
    assert materialize_branches(project.partition, project.store, again=True).computed
    assert len(chain.drawn) == count
    assert continuations(project) == before


def test_the_cost_is_said_before_and_max_tokens_holds(make_chain: MakeChain) -> None:
    project = make_chain(problems=4)
    whole = project.branch().manifest.facts
    assert whole["left_out_branches"] == 0
    assert whole["expected_tokens"] == pytest.approx(whole["tokens"], rel=0.05)  # all responses are of one length
    assert whole["tokens"] == sum(row["num_tokens"] for row in project.rows("continuations"))
    assert f"about {whole['expected_tokens']:,} tokens" in project.said[0]
    everything = project.rows("branches")
    limit = whole["tokens"] // 2
    made = project.branch(max_tokens=limit)
    facts, kept = made.manifest.facts, project.rows("branches")
    assert facts["tokens"] <= limit
    assert facts["tokens"] > 0.5 * limit
    assert kept == everything[: len(kept)]  # the first ones, in the order of the samples
    assert facts["left_out_branches"] == len(everything) - len(kept) > 0
    assert f"max_tokens left out {facts['left_out_branches']} branches" in project.said[-1]
    assert all(evidence.holds for evidence in check_branches(project.store, KEY).values())
    with pytest.raises(SettingsError, match=r"branches.max_tokens: 10 is less than the first \d+ continuations"):
        project.branch(max_tokens=10)


def test_max_tokens_keeps_the_same_whatever_was_there_before(make_chain: MakeChain) -> None:
    project = make_chain(problems=4)
    limit = 1500
    project.branch(max_tokens=limit)
    alone = project.rows("branches")
    project = make_chain(problems=4, store={"path": "another"})
    project.branch()  # so all that follows is known
    project.branch(max_tokens=limit)
    assert project.rows("branches") == alone


def test_requests_beyond_what_memory_should_hold_wait(make_chain: MakeChain, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_chain()
    project.branch()
    at_once = project.rows("continuations")
    project = make_chain(store={"path": "another"})
    calls: list[int] = []
    draw = branches.draw_chunks

    def counting(sampler: Any, chunks: Any, *rest: Any) -> Any:
        calls.append(len(chunks))
        return draw(sampler, chunks, *rest)

    monkeypatch.setattr(branches, "draw_chunks", counting)
    monkeypatch.setattr(branches, "_MOST_IDS", 1)
    project.branch()
    assert calls == [1] * len(calls)
    assert len(calls) > 1
    assert project.rows("continuations") == at_once


def test_tokens_that_end_a_response_have_the_value_of_its_end(make_chain: MakeChain) -> None:
    project = make_chain()
    last = chain.STEPS + len(chain.ANSWERS[chain.GOOD])  # the stop token's position
    project.branch(positions={"how": "at", "at": [last]})
    rewards = {(r["problem_id"], r["sample_index"]): r["reward"] for r in project.rows("rewards")}
    rows = project.rows("branches")
    assert len(rows) == 4
    for row in rows:
        reward = rewards[row["problem_id"], row["sample_index"]]
        assert (row["is_exact"], row["num_continuations"]) == (True, 1)
        assert row["value"] == row["value_low"] == row["value_high"] == reward
    assert chain.drawn == []


def test_max_length_counts_the_whole_response(make_chain: MakeChain) -> None:
    project = make_chain(sampling={"max_length": 9, "num_samples": 6, "batch_size": 8, "seed": 7})
    project.branch(responses={"per_problem": 1, "status": "wrong"}, positions={"how": "at", "at": [2, 8]})
    for row in project.rows("continuations"):
        assert row["finish_reason"] == "length"
        assert row["position"] + 1 + row["num_tokens"] == 9
    assert {row["is_exact"] for row in project.rows("branches") if row["position"] == 8} == {True}


def test_greedy_branches_are_gone_on_from_once(make_chain: MakeChain) -> None:
    project = make_chain(sampling={"max_length": 40, "num_samples": 2, "temperature": 0})
    project.branch()
    assert {row["continuation_index"] for row in project.rows("continuations")} == {0}
    rows = project.rows("branches")
    assert all(row["is_exact"] and row["value_low"] == row["value_high"] for row in rows)


def test_distributions_over_the_whole_vocabulary_do_as_well(make_chain: MakeChain) -> None:
    project = make_chain(problems=1)
    project.branch()
    before = [(row["token_id"], row["num_correct"], row["is_sampled"]) for row in project.rows("branches")]
    project = make_chain(problems=1, distribution={"top_k": None}, store={"path": "another"})
    project.branch()
    assert [(row["token_id"], row["num_correct"], row["is_sampled"]) for row in project.rows("branches")] == before


def test_steps_have_the_values_of_their_ends(make_chain: MakeChain) -> None:
    """The letters are one paragraph, the answer another; no alternative is taken."""
    project = make_chain()
    project.branch(positions={"how": "steps"})
    rewards = {(r["problem_id"], r["sample_index"]): r["reward"] for r in project.rows("rewards")}
    positions = project.rows("branch_positions")
    assert [row["step"] for row in positions] == [0, 1] * 4
    passed: dict[str, list[int]] = {}
    for (problem_id, _), reward in rewards.items():
        passed.setdefault(problem_id, []).append(reward)
    for row in positions:
        reward = rewards[row["problem_id"], row["sample_index"]]
        assert row["num_branches"] == 1
        assert row["value_after"] == reward  # the letters decide the answer
        before = sum(passed[row["problem_id"]]) / 6 if row["step"] == 0 else reward
        assert row["value"] == pytest.approx(before)
        assert row["drop"] == pytest.approx(before - reward)


def judged(project: Project) -> dict[str, tuple[bool | None, str | None]]:
    """What the catalog says of each table of branches: whether it is stale, and why."""
    publish_catalog(project.store)
    with connect_catalog(project.store) as connection:
        rows = connection.execute("SELECT asset, is_stale, stale_because FROM generations").fetchall()
    return {asset: (stale, why) for asset, stale, why in rows if asset in BRANCH_TABLES}


def test_status_follows_what_is_asked_for(make_chain: MakeChain) -> None:
    project = make_chain()
    assert "branches" not in partition_status(project.partition, None, project.store)
    project.branch()
    states = partition_status(project.partition, None, project.store)
    assert states["branches"] == "complete"
    project.write(branches={**BRANCHES, "continuations": 5})
    assert partition_status(project.partition, None, project.store)["branches"] == "stale"
    assert judged(project) == dict.fromkeys(BRANCH_TABLES, (True, "continuations is 5, was 4"))
    project.write(branches=None)
    assert judged(project) == dict.fromkeys(BRANCH_TABLES, (None, "the settings ask for none any more"))
    assert "branches" not in partition_status(project.partition, None, project.store)
    assert {name: state for name, state in states.items() if name != "branches"} == partition_status(
        project.partition, None, project.store
    )
