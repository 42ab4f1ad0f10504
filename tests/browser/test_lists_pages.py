"""The pages of tables, of several models and of a series by themselves, with Streamlit's own test runner."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.synthetic import MadeUpProblem, write_partition
from onoff_assets.browser.reading import Reader
from onoff_assets.browser.views import noting
from onoff_core.grid.confidence import materialize_confidence
from onoff_core.grid.judging import open_store
from onoff_core.store import Store, publish_catalog
from onoff_core.store.notes import Notes
from onoff_core.study import load_study
from tests.browser.conftest import Page
from tests.browser.listed import problems_of
from tests.browser.test_pages import cells, components, texts
from tests.conftest import write_study

MODELS = {"a": 0.2, "b": 0.5, "c": 0.9}  # how often each is right; they are steps of a series too


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("pages")
    (folder / "d.jsonl").write_text(json.dumps({"question": "1 + 1?", "answer": "2"}))
    models = {
        name: {"model_name": "fake", "backend_type": "fake", "series": "run", "step": at}
        for at, name in enumerate(MODELS)
    }
    confidence = {"window": 4, "tail": 3, "top_k": 4, "warm_up": 2}
    write_study(folder, None, datasets={"d": {"path": "d.jsonl"}}, models=models, confidence=confidence)
    study = load_study(folder / "onoff.yaml")
    made = open_store(study)
    for at, (name, skill) in enumerate(MODELS.items()):
        write_partition(made, "d", name, problems_of("d", skill, 8, 6), seed=at, fingerprint=f"{at}" * 16)
        if name != "b":
            materialize_confidence(study.partition(f"d|{name}"), made)
    publish_catalog(made)
    return made


def table(test: Any) -> dict[str, Any]:
    [shown] = [e for e in test.get("bidi_component") if e.proto.component_name == "onoff_data_table"]
    return dict(json.loads(shown.proto.bytes))


def test_responses_go_by_confidence_where_it_is_there(page: Page, store: Store) -> None:
    shown = table(page("responses", store=store, dataset="d", model="a", status="wrong", sort="-mean_confidence"))
    names = [column["name"] for column in shown["columns"]]
    assert {"mean_confidence", "lowest_window_confidence", "mean_entropy"} <= set(names)
    assert [view["label"] for view in shown["views"] if view["active"]] == ["confidently wrong"]
    stored = store.require("confidence", ("d", "a")).read().to_pylist()
    wrong = {
        (r["problem_id"], r["sample_index"])
        for r in store.require("rewards", ("d", "a")).read().to_pylist()
        if r["status"] == "wrong"
    }
    surest = max(
        (r for r in stored if (r["problem_id"], r["sample_index"]) in wrong), key=lambda r: r["mean_confidence"]
    )
    first = shown["rows"][0]["link"]["query"]
    assert (first["problem"], first["sample"]) == (surest["problem_id"], str(surest["sample_index"]))
    assert first["status"] == "wrong"  # so that one walks on there among the wrong ones
    opened = texts(page("response", store=store, **first)).replace("\\", "")
    assert f"by confidence, largest first (here {surest['mean_confidence']:.2f})" in opened
    assert "(here" not in texts(page("response", store=store, **{**first, "sort": "status"}))


def test_unsure_tokens_are_ordered_and_filtered(page: Page, store: Store) -> None:
    shown = table(page("tokens", store=store, dataset="d", model="a", sort="-unsure_percent", times_drawn="5-"))
    names = [column["name"] for column in shown["columns"]]
    rows = [dict(zip(names, row["cells"], strict=True)) for row in shown["rows"]]
    tokens = store.require("token_distributions", ("d", "a")).read().to_pylist()
    shares = {}
    for token_id in {token["token_id"] for token in tokens}:
        entropies = [token["entropy"] for token in tokens if token["token_id"] == token_id]
        unsure = sum(entropy >= 1 for entropy in entropies)
        if len(entropies) >= 5 and unsure:
            shares[token_id] = round(100 * unsure / len(entropies))
    assert {row["token_id"]: row["unsure_percent"] for row in rows} == shares
    assert [row["unsure_percent"] for row in rows] == sorted(shares.values(), reverse=True)
    place = rows[0]["examples"][0]
    assert shown["rows"][0]["link"] == {"page": "response", "query": place["query"]}
    [own] = [
        token
        for token in tokens
        if [str(token[name]) for name in ("problem_id", "sample_index", "position")]
        == [place["query"][name] for name in ("problem", "sample", "token")]
    ]
    assert own["token_id"] == rows[0]["token_id"]
    assert f"⟦{rows[0]['piece'].replace('·', ' ')}⟧" in place["tip"].replace("·", " ")


def test_who_may_only_read_sees_stars_and_cannot_change_them(
    page: Page, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def star_column() -> list[dict[str, Any]]:
        shown = table(page("responses", store=store, dataset="d", model="c"))
        assert shown["stars"] == (not is_read_only)
        return [column for column in shown["columns"] if column["name"] == "star"]

    is_read_only = False
    assert star_column() != []
    is_read_only = True
    monkeypatch.setenv("ONOFF_READ_ONLY", "1")
    assert star_column() == []
    noting.set_star(Reader(store), ("d", "c"), "d-1", 2, True)
    noting.set_star(Reader(store), ("d", "c"), "d-1", 2, True)  # is so already
    [column] = star_column()
    assert [option[0] for option in column["options"]] == ["starred"]
    assert len(Notes(store.files).of_partition(("d", "c"))) == 1


def test_an_expression_that_cannot_be_used_is_said(page: Page, store: Store) -> None:
    test = page("responses", store=store, dataset="d", model="a", text="(", regex="1")
    assert not test.exception
    assert "no regular expression" in table(test)["search"]["fault"]  # beside the box
    assert table(test)["total"] == 48


def test_a_bad_range_is_said_and_left_out(page: Page, store: Store) -> None:
    shown = table(page("problems", store=store, dataset="d", model="a", pass_rate="many", sort="-pass_rate"))
    assert "no range" in shown["notes"][0]["text"]
    assert shown["total"] == 8
    at = [column["name"] for column in shown["columns"]].index("pass_rate")
    rates = [row["cells"][at] for row in shown["rows"]]
    assert rates == sorted(rates, reverse=True)


def test_responses_that_are_there_already_are_listed(page: Page, tmp_path: Path, store: Store) -> None:
    """Of a partition that is being sampled: no verdicts yet, and no problems' version in a manifest."""
    begun = Store(str(tmp_path / "begun"))
    write_partition(begun, "d", "done", [MadeUpProblem("p0", problems_of("d", 0.5, 1, 3)[0].responses)])
    half = begun.generation("samples", ("d", "half"), "e" * 16)
    half.begin({"seed": 0})
    half.write_fragment(0, [begun.require("samples", ("d", "done")).read()])
    for name in ("responses", "problems"):
        test = page(name, store=begun, dataset="d", model="half")
        assert not test.exception, name
        assert table(test)["total"] == (3 if name == "responses" else 1)
    # Without a verdict nothing is wrong, correct or never solved, and that is said.
    nothing = [("responses", {"status": "wrong", "sort": "-mean_log_prob"}), ("responses", {"reward": "1-"}),
               ("problems", {"num_correct": "-0"}), ("problems", {"num_no_answer": "-0"})]  # fmt: skip
    for name, query in nothing:
        shown = table(page(name, store=begun, dataset="d", model="half", **query))
        assert (shown["total"], "graded yet" in shown["empty"]) == (0, True), query
        [filtered] = shown["filters"]
        assert filtered in [column["name"] for column in shown["columns"]]  # so that it can be taken away
    several = page("responses", store=begun, dataset="d", model="done", over="models")
    assert "1 other partition is listed: not all graded: d|half" in texts(several).replace("\\", "")


def test_several_models_are_compared_with_the_correction(page: Page, store: Store) -> None:
    test = page("compare", store=store, dataset="d", model="a")
    assert not test.exception
    assert test.query_params["models"] == "a,b,c"
    matrix = cells(test, "Row minus column, points")
    assert [row[0]["text"] for row in matrix] == ["a", "b", "c"]
    assert matrix[2][1]["text"].startswith("+")
    assert matrix[0][3]["text"] == matrix[2][1]["text"].replace("+", "-")
    assert matrix[2][1]["ramp"] == "w"  # significant: blue where the row is better
    assert matrix[2][1]["query"] == {"dataset": "d", "model": "c", "other": "a", "models": "a,b,c"}
    assert "all 3 pairs compared" in texts(test).replace("\\", "")
    [both, first], [second, neither] = (
        [int(cell["text"]) for cell in row[1:]] for row in cells(test, "Solved by which, of 8 problems")
    )
    assert both + first + second + neither == 8


def test_models_without_statistics_are_in_no_family(page: Page, store: Store, tmp_path: Path) -> None:
    """A run may be at them: they would lift every p-value."""
    copied = Store(str(shutil.copytree(store.root, tmp_path / "store")))
    for name in ("e", "f"):
        problems = problems_of("d", 0.5, 8, 6)
        write_partition(copied, "d", name, problems, with_distributions=False, fingerprint=name * 16)
    shutil.rmtree(tmp_path / "store" / "statistics" / "d" / "e")
    shutil.rmtree(tmp_path / "store" / "rewards" / "d" / "f")
    alone = page("compare", store=store, dataset="d", model="a", models="a,b,c")
    test = page("compare", store=copied, dataset="d", model="a", models="a,b,c,e,f")
    assert not test.exception
    found, expected = (
        [[cell.get("note") for cell in row] for row in cells(one, "Row minus column, points")] for one in (test, alone)
    )
    assert found == expected
    shown = texts(test).replace("\\", "")
    assert "all 3 pairs compared" in shown
    assert "e: it has no statistics yet; f: its responses are not graded" in shown
    assert "McNemar's mid-P" in shown


def test_what_confidence_tells_is_drawn_where_it_is_there(page: Page, store: Store) -> None:
    test = page("compare", store=store, dataset="d", model="a")
    assert "How sure they are" in [heading.value for heading in test.subheader]
    measures = next(box for box in test.selectbox if box.label == "Confidence by")
    assert measures.value == "mean_confidence"
    assert "mean_entropy" in measures.options
    pair = page("compare", store=store, dataset="d", model="b", other="b", models="b")
    assert not pair.exception


def test_a_series_is_shown_step_by_step(page: Page, store: Store) -> None:
    test = page("series", store=store)
    assert not test.exception
    rows = cells(test, "d")
    assert [(row[0]["text"], row[1]["text"]) for row in rows] == [("0", "a"), ("1", "b"), ("2", "c")]
    assert rows[1][8]["query"] == {"dataset": "d", "model": "a", "other": "b"}
    assert rows[0][8].get("page") is None
    assert "R²" in texts(test)
    assert [name for name in components(test) if name != "onoff_picture_link"] == ["onoff_link_table"]


def test_without_a_series_the_page_says_how_to_have_one(page: Page) -> None:
    test = page("series", dataset="d", model="m")
    assert "series: NAME" in test.info[0].value
