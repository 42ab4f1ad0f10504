"""Two responses beside each other, and one text as two models see it: which, and from where they part."""

import json

import numpy as np
import pytest

from benchmarks.synthetic import encode
from onoff_assets.browser import filters
from onoff_assets.browser.branching import as_payload, branching_of
from onoff_assets.browser.components.token_view import payload
from onoff_assets.browser.conditions import conditions_of
from onoff_assets.browser.filters import matching, walk_over, walk_over_problems
from onoff_assets.browser.pieces import Piece
from onoff_assets.browser.problem_rows import COLUMNS as PROBLEM_COLUMNS
from onoff_assets.browser.queries import read_query
from onoff_assets.browser.reading import Overlay, Reader
from onoff_assets.browser.response_rows import COLUMNS, numbers_job
from onoff_assets.browser.scope import keys_over
from onoff_assets.browser.side import Side, choose_samples, common_tokens, pair_payload, references_of, same_text
from onoff_core.store import Store
from tests.browser import jobs_store
from tests.browser.jobs_store import GOOD, PARTING, TRIED


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(jobs_store.make(tmp_path_factory.mktemp("side")))


def side(reader: Reader, model: str, sample: int) -> Side:
    responses = reader.responses(("d", model))
    found = reader.sample(responses, "p0", sample)
    vocabulary, distributions = reader.vocabulary(model), reader.distributions(responses)
    assert vocabulary is not None
    overlay = reader.overlay(distributions, responses, found)
    conditions = conditions_of(reader, responses, distributions)
    return Side(("d", model), responses, found, vocabulary, distributions, overlay, conditions)


def test_they_part_at_the_first_token_that_is_spelled_otherwise(reader: Reader) -> None:
    left, right = side(reader, "m", 0), side(reader, "other", 0)
    assert common_tokens(left, right) == PARTING
    assert common_tokens(left, side(reader, "m", 1)) == len(left.sample.token_ids)
    pieces = tuple(one.vocabulary.pieces_of(one.sample.token_ids) for one in (left, right))
    content = pair_payload(left, right, (pieces[0], pieces[1]), PARTING)
    for name, one in (("left", left), ("right", right)):
        text = "".join(content["shared"]["text"] + content[name]["text"])
        assert text == one.sample.response
        assert len(content["shared"]["values"] + content[name]["values"]) == len(one.sample.token_ids)


@pytest.mark.parametrize(
    ("left", "right", "wanted", "same", "chosen"),
    [
        ([(0, 0), (1, 1)], [(0, 0), (1, 1)], None, False, (0, 1)),
        ([(0, 0), (1, 1)], [(0, 0), (1, 1)], 1, False, (1, 0)),
        ([(0, 1), (1, 1)], [(0, 1), (1, 1)], 0, True, (0, 1)),
        ([(0, None)], [(0, None), (1, 1)], None, False, (0, 0)),
        ([(4, 1)], [(4, 1)], 4, True, (4, 4)),
    ],
)
def test_a_right_and_a_wrong_one_are_chosen_where_there_are_such(
    left: list[tuple[int, int | None]],
    right: list[tuple[int, int | None]],
    wanted: int | None,
    same: bool,
    chosen: tuple[int, int],
) -> None:
    assert choose_samples(left, right, wanted, same) == chosen


def test_one_text_has_the_divergence_of_each_token(reader: Reader) -> None:
    responses = reader.responses(("d", "m"))
    assert references_of(reader, responses) == ["other"]
    found = same_text(reader, responses, reader.sample(responses, "p0", 0), "other")
    assert found is not None
    measure, values = found.measures[0]
    assert (measure.label, values[PARTING], values[0]) == ("KL divergence", pytest.approx(1.61), pytest.approx(0.01))
    bounds = [{**row, "kl": None, "kl_lower": 0.5} for row in found.rows]
    measure, values = type(found)("other", bounds).measures[0]
    assert (measure.label, values[0]) == ("KL divergence, at least", 0.5)
    others = reader.responses(("d", "other"))
    assert references_of(reader, others) == []
    assert same_text(reader, others, reader.sample(others, "p0", 0), "m") is None


def test_scores_and_branches_of_former_samples_are_not_shown(reader: Reader) -> None:
    responses = reader.responses(("d", "m"))
    store = Store(str(reader.store.root))
    assert branching_of(reader, responses) is not None
    try:
        former = store.generation("samples", ("d", "m"), "0" * 16)
        former.write_fragment(0, [store.require("samples", ("d", "m")).read()])
        former.complete(responses.samples.manifest().inputs, {}, {})
        store.make_current(former)
        now = reader.responses(("d", "m"))
        assert references_of(reader, now) == []
        assert branching_of(reader, now) is None
    finally:
        store.make_current(responses.samples)


def test_a_branch_says_how_many_are_right_and_gives_the_texts(reader: Reader) -> None:
    responses = reader.responses(("d", "m"))
    found, vocabulary = branching_of(reader, responses), reader.vocabulary("m")
    assert found is not None
    assert vocabulary is not None
    assert [row["position"] for row in found.of_response("p0", 0)] == [2, PARTING, PARTING + 4]
    assert found.of_response("p1", 0) == []
    rows = found.at("p0", 0, PARTING)
    assert [row["is_sampled"] for row in rows] == [True, False]
    tried = rows[1]["token_id"]
    shown = as_payload(rows, vocabulary.label, vocabulary.text_of, PARTING, tried, found.continued(rows[1]))
    assert (shown["rows"][1]["correct"], shown["rows"][1]["count"], len(shown["texts"])) == (GOOD, TRIED, TRIED)
    assert shown["texts"][0] == {
        "reward": 1,
        "answer": "2",
        "end": "x = 2, so the answer is 2<|end|>",
        "text": " x = 2, so the answer is 2<|end|>",
    }


def test_the_tokens_tell_thinking_and_what_was_put_in() -> None:
    ids = encode(" so x")
    overlay = Overlay([-0.1] * len(ids), None, None)
    content = json.loads(payload([Piece(" so"), Piece(" x")], overlay, (), 1, (0,)))
    assert (content["answer"], content["forced"], content["branches"]) == (1, [0], [])


@pytest.mark.parametrize(
    ("address", "rows"),
    [
        ({}, list(range(16))),
        ({"status": "correct", "tokens": "10-", "problem_id": "p0"}, [3]),
        ({"ending": "length"}, []),
        ({"text": "LET x", "problem_id": "p3"}, [13, 15]),
        ({"text": "l.t", "regex": "1", "problem_id": "p3"}, [13, 15]),
        ({"sort": "-tokens", "problem_id": "p0"}, [3, 0, 1, 2]),
        ({"sort": "-pass_rate", "level": "5"}, []),  # sorted by what another page has: as they come
    ],
)
def test_walking_follows_the_address_as_the_table_does(
    reader: Reader, address: dict[str, str], rows: list[int]
) -> None:
    query, _ = read_query(address, COLUMNS, searches=True)
    assert matching(reader, reader.responses(("d", "m")), query) == rows


def test_a_walk_over_several_partitions_is_the_same_from_each(reader: Reader) -> None:
    query, _ = read_query({"status": "wrong", "sort": "-tokens", "of_model": "m,other"}, COLUMNS)
    walks = [walk_over(reader, keys_over(reader, ("d", model), "all"), query, ("d", model)) for model in ("m", "other")]
    assert walks[0].order == walks[1].order
    assert walks[0].rows.table == walks[1].rows.table
    assert {walks[0].rows.keys[part] for part in walks[0].rows.table["part"].take(walks[0].order).to_pylist()} == {
        ("d", "m"), ("d", "other"),
    }  # fmt: skip
    alone = walk_over(reader, [("d", "m")], read_query({"of_model": "other"}, COLUMNS)[0])
    assert len(alone.order) == 16  # as in the table, which has no such column then


def test_problems_are_walked_as_their_table_has_them(reader: Reader) -> None:
    responses = reader.responses(("d", "m"))

    def walked(**address: str) -> list[str]:
        ids, order = walk_over_problems(reader, responses, read_query(address, PROBLEM_COLUMNS)[0])
        return [ids[row] for row in order]

    assert walked() == ["p0", "p1", "p2", "p3"]
    assert walked(sort="pass_rate") == ["p2", "p0", "p3", "p1"]
    assert sorted(walked(sort="-mean_entropy", pass_rate="0.1-")) == ["p0", "p1", "p3"]
    assert walked(num_starred="1-") == []


def test_walking_reads_tokens_only_where_they_are_asked_for(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(filters, "numbers_job", lambda *of: asked.append(of) or numbers_job(*of))
    responses = reader.responses(("d", "m"))
    matching(reader, responses, read_query({"status": "wrong"}, COLUMNS)[0])
    assert asked == []
    found = matching(reader, responses, read_query({"sort": "-entropy"}, COLUMNS)[0])
    assert len(asked) == 1
    entropies = [float(np.mean(side(reader, "m", i).overlay.entropy or [])) for i in range(4)]
    assert [row for row in found if row < 4] == sorted(range(4), key=lambda i: -entropies[i])
