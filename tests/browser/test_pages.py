"""Each page by itself, with Streamlit's own test runner."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.synthetic import STOP, MadeUp, MadeUpProblem, encode, write_partition
from onoff_assets.browser.links import side_by_side
from onoff_assets.browser.numbers import signed
from onoff_core.grid.materialize import materialize_rewards, materialize_samples, materialize_statistics
from onoff_core.statistics import paired_difference
from onoff_core.store import Store, publish_catalog
from onoff_core.study import load_study
from tests.browser.conftest import RIGHT, RUN, Page
from tests.conftest import ROOT, MakeProject

PAGES = (
    *("grid", "problems", "responses", "response", "problem", "compare", "tokens", "opinions", "rollouts"),
    *("side_by_side", "notes"),
)


def texts(test: Any) -> str:
    """What is written on the page, and the line over a response's tokens."""
    shown = [element.value for kind in ("markdown", "info", "warning") for element in getattr(test, kind)]
    views = [one.proto for one in test.get("bidi_component") if one.proto.component_name == "onoff_token_view"]
    heads = [json.loads(proto.bytes.split(b"\n")[0]) for proto in views]
    return "\n".join([*shown, *(str(head["verdict"]) for head in heads)])


def components(test: Any) -> list[str]:
    return [element.proto.component_name for element in test.get("bidi_component")]


@pytest.mark.parametrize("name", PAGES)
def test_every_page_shows_without_an_exception(page: Page, name: str) -> None:
    test = page(name, dataset="d", model="m")
    assert not test.exception
    assert not test.warning
    assert components(test)


@pytest.mark.parametrize("name", PAGES)
def test_an_empty_store_says_what_to_run(page: Page, tmp_path: Path, name: str) -> None:
    test = page(name, store=Store(str(tmp_path / "none")))
    assert not test.exception
    assert len(test.code) == 1
    assert "--partition 'arithmetic|smollm2-135m'" in test.code[0].value
    assert "results" in test.info[0].value


def test_what_to_run_is_of_the_study_that_is_there(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty, own = Store(str(tmp_path / "none")), tmp_path / "own.yaml"
    monkeypatch.setenv("ONOFF_CONFIG", str(own))
    assert page("response", store=empty).code[0].value == "make demo"
    own.write_text("{datasets: {mine: {path: mine.csv}}, models: {small: {model_name: owner/name}}}")
    assert "--partition 'mine|small'" in page("response", store=empty).code[0].value


def cells(test: Any, caption: str) -> list[list[dict[str, Any]]]:
    """The rows of the table with this caption."""
    tables = [json.loads(element.proto.bytes) for element in test.get("bidi_component")]
    return next(table["rows"] for table in tables if table.get("caption") == caption)


def test_the_grid_leads_to_the_run_and_the_partition_in_dagster(page: Page) -> None:
    test = page("grid", dataset="d", model="m")
    for asset, state, run, partition in cells(test, "State of each asset"):
        assert state["text"] == "● complete"
        assert run["href"] == f"http://127.0.0.1:3000/runs/{RUN}"
        wanted = f"http://127.0.0.1:3000/assets/{asset['text']}?view=partitions&partition=d%7Cm"
        assert partition["href"] == wanted
    assert not test.code


def test_the_grid_says_how_to_fill_what_is_not_complete(page: Page) -> None:
    test = page("grid", dataset="d", model="bare")
    assert [row[2]["text"] for row in cells(test, "State of each asset")] == ["–"] * 4  # made outside Dagster
    assert "--select token_distributions --partition 'd|bare'" in test.code[0].value


def test_the_grid_follows_its_link_and_makes_one(page: Page) -> None:
    test = page("grid", dataset="d", model="another")
    assert test.selectbox[0].format_func(test.selectbox[0].value) == "d|another"
    test.selectbox[0].select_index(2).run()
    assert test.query_params["model"] == test.selectbox[0].options[2].split("|")[1]
    assert "no partition 'd|gone'" in page("grid", dataset="d", model="gone").warning[0].value.replace("\\", "")


def test_a_link_opens_the_same_token(page: Page) -> None:
    test = page("response", dataset="d", model="m", problem="p0", sample=1, token=3)
    assert test.query_params["token"] == "3"
    assert "onoff_bar_view" in components(test)
    assert not test.warning


def test_bad_values_in_a_link_fall_back_with_messages(page: Page) -> None:
    test = page("response", dataset="nope", model="x", problem="p99", sample="-1", token=99999)
    assert not test.exception
    shown = " ".join(element.value for element in test.warning)
    for part in ("no data set 'nope'", "no model 'x'", "no problem 'p99'", "sample '\\-1' is not a number"):
        assert part.replace("-", "-") in shown.replace("\\'", "'"), part
    assert test.query_params["dataset"] == "d"  # the link is mended, so that it can be passed on


def test_a_link_made_on_former_responses_says_so(page: Page) -> None:
    former = page("response", dataset="d", model="m", problem="p0", sample=1, token=3, samples="0123abcd")
    assert "made on other responses \\(0123abcd\\)" in former.warning[0].value
    assert former.query_params["samples"] == "a" * 8  # of those that are shown
    assert not former.run().warning
    other = next(box for box in former.selectbox if box.label == "Model").select("another").run()
    assert not other.warning
    assert other.query_params["samples"] == "b" * 8


def test_without_a_token_none_is_opened(page: Page) -> None:
    test = page("response", dataset="d", model="m")
    assert "onoff_token_view" in components(test)
    assert "onoff_bar_view" not in components(test)
    assert "Click a token" in texts(test)


def test_an_empty_response_is_shown_as_such(page: Page) -> None:
    test = page("response", dataset="d", model="m", problem="p0", sample=3)
    assert not test.exception
    assert "no answer" in texts(test)
    assert "0 tokens" in texts(test)
    assert "nothing to click" in texts(test)
    assert "Click a token" not in texts(test)


def test_a_partition_without_distributions_says_what_to_run_and_shows_the_text(page: Page) -> None:
    test = page("response", dataset="d", model="bare", problem="p0", sample=0)
    assert "onoff_token_view" in components(test)
    for shown in (test, page("tokens", dataset="d", model="bare")):
        assert "--select token_distributions" in shown.code[0].value  # to be copied


@pytest.mark.parametrize("name", [name for name in PAGES if name not in ("grid", "compare", "notes")])
def test_a_partition_that_was_not_run_yet_says_how(page: Page, name: str) -> None:
    test = page(name, dataset="arithmetic", model="smollm2-135m")
    assert not test.exception
    assert not test.warning
    assert "was not run yet" in texts(test)
    assert "--partition 'arithmetic|smollm2-135m'" in test.code[0].value
    assert (test.query_params["dataset"], test.query_params["model"]) == ("arithmetic", "smollm2-135m")


def test_a_half_finished_generation_says_what_to_run(page: Page) -> None:
    shown = page("response", dataset="d", model="begun")
    assert "Samples of d" in texts(shown).replace("\\", "")
    assert "materialize" in shown.code[0].value


def test_changing_the_problem_changes_the_link(page: Page) -> None:
    test = page("response", dataset="d", model="m", problem="p0", sample=2, token=1)
    next(box for box in test.selectbox if box.label == "Problem").select("p1").run()
    assert test.query_params["problem"] == "p1"
    assert test.query_params["sample"] == "0"
    assert "token" not in test.query_params


def test_next_walks_through_what_the_filter_lets_through(page: Page) -> None:
    test = page("response", dataset="d", model="m", problem="p0", sample=0)
    next(box for box in test.multiselect if box.label == "Status").set_value(["correct"]).run()
    assert "response 1 of 2 that match" in texts(test)
    next(button for button in test.button if "next" in button.label).click().run()
    assert test.query_params["sample"] == "2"
    assert next(button for button in test.button if "next" in button.label).disabled


def test_a_random_wrong_one(page: Page) -> None:
    test = page("response", dataset="d", model="m", problem="p0", sample=0)
    next(button for button in test.button if "wrong" in button.label).click().run()
    assert "✗" in texts(test)


def test_the_lens_opens_with_the_settings_of_the_samples(page: Page) -> None:
    test = page("response", dataset="d", model="m", problem="p0", sample=0, token=2)
    test.toggle[0].set_value(True).run()
    values = {box.label: box.value for box in test.number_input}
    assert (values["Temperature"], values["Top-p"]) == (0.6, 0.95)
    assert any(word in texts(test) for word in ("Draws from", "stored top"))


def test_what_is_cut_off_on_the_problems_page_says_so(page: Page, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "cut"))
    bytewise = [1 + byte for byte in ("é" * 200).encode()]  # two tokens a character
    ends = [encode(" 2"), encode(" 3")]
    made = [MadeUp([*bytewise, *end], right, str(right)) for end, right in zip(ends, (1, 0), strict=True)]
    whole = [MadeUp([*encode("x" * 160), *end], 0, "3") for end in ends]
    write_partition(store, "d", "m", [MadeUpProblem("p0", made), MadeUpProblem("p1", whole)])
    test = page("problem", store=store, dataset="d", model="m", problem="p0")
    assert [row[0]["text"] for row in cells(test, "Prefix tree")] == ["é" * 159 + "…", " 2 ■", " 3 ■"]
    assert cells(test, "Samples")[0][3]["text"] == "…" + "é" * 138 + " 2"
    test = page("problem", store=store, dataset="d", model="m", problem="p1")
    assert cells(test, "Prefix tree")[0][0]["text"] == "x" * 160
    assert cells(test, "Samples")[0][3]["text"] == "…" + "x" * 138 + " 2"
    assert "Every graded response to this problem is wrong" in texts(test)
    shutil.rmtree(tmp_path / "cut" / "rewards")
    assert "No response to this problem is graded yet" in texts(page("problem", store=store, dataset="d", model="m"))


def test_notes_show_what_one_cannot_see_and_long_answers_are_wrapped(page: Page, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "odd"))
    made = MadeUp([*encode(RIGHT), STOP], 1, "2" * 5000)
    write_partition(store, "d", "m", [MadeUpProblem("p\u202e\n\n\tq", [made])])
    for name in ("response", "problem"):
        test = page(name, store=store, dataset="d", model="m")
        assert "problem p⟨U+202E⟩↵↵→q" in texts(test).replace("\\", "")
        assert all(code.proto.wrap_lines for code in test.code)


def test_compare_states_the_paired_difference_and_the_flips(page: Page) -> None:
    test = page("compare", dataset="d", model="m", other="another")
    # p0: 0.5 against 0, p1: 0 against 1
    paired = paired_difference({"p0": 0.5, "p1": 0.0}, {"p0": 0.0, "p1": 1.0})
    assert paired is not None
    assert paired.interval is not None
    low, high = (signed(100 * bound, 1) for bound in paired.interval)
    shown = texts(test).replace("\\", "")
    assert f"m minus another: -25.0 points over 2 problems, 95 % interval [{low}, {high}]" in shown
    assert "m 25.0 %, another 50.0 %" in shown
    assert test.subheader[0].value == "They differ on 2 of 2 problems; 2 flip"
    rows = cells(test, "Problems by difference")
    assert [[cell["text"] for cell in row] for row in rows] == [
        ["p1", "0.00", "1.00", "-1.00"],
        ["p0", "0.50", "0.00", "+0.50"],
    ]
    assert [cell["note"] for cell in rows[1][:3]] == ["⇄ flips", "2 of 4", "0 of 4"]
    assert rows[1][0]["query"] == side_by_side(("d", "m"), "p0", None, "another")


def test_compare_has_both_intervals_at_every_k(page: Page, made_store: Store) -> None:
    rows = cells(page("compare", dataset="d", model="m", other="another"), "Both intervals at every k")
    statistics = made_store.require("statistics", ("d", "m")).read().to_pylist()[0]
    assert (rows[0][0]["text"], rows[0][1]["text"]) == ("pass@k", "1")
    assert {row[0]["text"] for row in rows} == {"pass@k", "maj@k"}
    shown = {(row[0]["text"], int(row[1]["text"])): row[2] for row in rows}
    for name, kind in (("pass@k", "pass_at_k"), ("maj@k", "maj_at_k")):
        for estimate, of in zip(statistics[kind], statistics[f"{kind}_intervals"], strict=True):
            cell = shown[name, estimate["k"]]
            if estimate["estimate"] is None:
                assert cell["text"] == "–"
                continue
            other = f"[{100 * of['other_problems_low']:.1f}, {100 * of['other_problems_high']:.1f}]"
            assert cell["text"] == f"{100 * estimate['estimate']:.1f} % {other}"
            assert (
                cell["note"]
                == f"drawn again [{100 * of['same_problems_low']:.1f}, {100 * of['same_problems_high']:.1f}]"
            )
    assert all(row[4]["text"] == "–" for row in rows)  # this store has no comparisons


def test_compare_has_paired_differences_at_every_k(page: Page, make_project: MakeProject) -> None:
    def scripted(*responses: str) -> dict[str, Any]:
        script = {"responses": list(responses)}
        return {"model_name": "fake", "backend_type": "fake", "backend_specific": {"script": script}}

    make_project(
        datasets={"arithmetic": {"num_examples": 3}},
        models={"a": scripted(r"\boxed{1}", r"\boxed{5}"), "b": scripted(r"\boxed{5}")},
        sampling={"max_length": 12, "num_samples": 2, "seed": 7},
    )
    study = load_study()
    store = Store(study.store_path)
    for partition in study.partitions.values():
        for make in (materialize_samples, materialize_rewards, materialize_statistics):
            make(partition, store)
    compared = {
        (row["statistic"], row["k"]): row for row in store.require("comparisons", ("arithmetic",)).read().to_pylist()
    }
    for model, other in (("a", "b"), ("b", "a")):
        test = page("compare", store=store, dataset="arithmetic", model=model, other=other)
        rows = cells(test, "Both intervals at every k")
        assert len(rows) == 4
        for row in rows:
            of = compared["pass_at_k" if row[0]["text"] == "pass@k" else "maj_at_k", int(row[1]["text"])]
            difference, low, high = of["difference"], of["other_problems_low"], of["other_problems_high"]
            if of["first_model"] != model:
                difference, low, high = -difference, -high, -low
            points = [signed(100 * value, 1) for value in (difference, low, high)]
            assert row[4]["text"] == "{} [{}, {}]".format(*points)


def test_compare_with_one_model_says_so(page: Page, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "one"))
    write_partition(store, "d", "m", [MadeUpProblem("p0", [MadeUp([*encode(RIGHT), STOP], 1, "2")])])
    assert "one model only" in texts(page("compare", store=store, dataset="d", model="m"))


def test_a_new_generation_is_shown_without_a_restart(page: Page, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "growing"))
    write_partition(store, "d", "m", [MadeUpProblem("p0", [MadeUp([*encode(RIGHT), STOP], 1, "2")])])
    publish_catalog(store)
    test = page("response", store=store, dataset="d", model="m")
    assert "✓ correct" in texts(test)
    newer = [MadeUpProblem("p0", [MadeUp([*encode(" x"), STOP], 0, "x")])]
    write_partition(store, "d", "m", newer, fingerprint="e" * 16)
    assert "✗ wrong" in texts(test.run())


def test_the_first_page_loads_no_more_than_it_shows(made_store: Store) -> None:
    heavy = ("pandas", "altair", "dagster", "torch", "transformers", "datasets")
    code = (
        "import sys; from streamlit.testing.v1 import AppTest; "
        "test = AppTest.from_file(sys.argv[1], default_timeout=60).run(); "
        f"print(test.title[0].value, [name for name in {heavy!r} if name in sys.modules])"
    )
    app = ROOT / "onoff_assets" / "browser" / "app.py"
    environment = {**os.environ, "ONOFF_STORE": str(made_store.root), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-c", code, str(app)]
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "Grid []"


def test_pages_never_write(page: Page, made_store: Store) -> None:
    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in Path(made_store.root).rglob("*") if path.is_file()}

    before = files()
    for name in PAGES:
        page(name, dataset="d", model="m")
    assert files() == before


def test_opinions_lists_what_differs_by_direction(page: Page) -> None:
    test = page("opinions", dataset="d", model="m")
    caption = "Responses with another second opinion"
    [row] = cells(test, caption)
    assert [cell["text"] for cell in row[:4]] == ["p1", "0", "✗ wrong", "✓ correct"]
    assert (row[4]["text"], row[5]["text"]) == ("2", "3")
    assert row[0]["query"] == {"dataset": "d", "model": "m", "problem": "p1", "sample": "0"}
    assert row[0]["page"] == "response"
    assert row[6]["text"].endswith("Verdict: True")
    said = texts(test).replace("\\", "")
    assert "The verdicts differ on 1 of 8 responses: " in said
    assert "by the judge judge" in said
    assert "1 without an answer, 1 on which the judge gave no verdict" in said
    assert "There is none." in texts(page("opinions", dataset="d", model="m", way="first"))
    assert cells(page("opinions", dataset="d", model="m", way="second"), caption) == [row]
    [unclear] = cells(page("opinions", dataset="d", model="m", way="unclear"), caption)
    assert [cell["text"] for cell in unclear[:4]] == ["p1", "1", "✗ wrong", "none"]
    assert "no way 'sideways'" in page("opinions", dataset="d", model="m", way="sideways").warning[0].value.replace(
        "\\", ""
    )


def test_the_way_of_opinions_is_in_the_address(page: Page) -> None:
    test = page("opinions", dataset="d", model="m")
    test.sidebar.selectbox[2].select("unclear").run()
    assert test.query_params["way"] in ("unclear", ["unclear"])
    assert len(cells(test, "Responses with another second opinion")) == 1


def test_without_second_opinions_the_page_says_how_to_ask(page: Page) -> None:
    test = page("opinions", dataset="d", model="bare")
    said = test.info[0].value.replace("\\", "")
    assert "There is no second opinion of d|bare: set task.second_opinion" in said
    assert "--select second_opinions --partition 'd|bare'" in test.code[0].value


def test_models_that_are_compared_change_places(page: Page) -> None:
    """Whether by the button, or by choosing as the first the one that is the second."""
    shown = page("compare", dataset="d", model="m", other="another")
    swapped = next(button for button in shown.button if "swap" in button.label).click().run()
    assert swapped.query_params == {"dataset": "d", "model": "another", "other": "m"}
    shown = page("compare", dataset="d", model="m", other="another")
    chosen = next(box for box in shown.selectbox if box.label == "Model").set_value("another").run()
    assert chosen.query_params["other"] == "m"
    assert not chosen.warning


def test_a_partition_that_is_being_made_is_begun(page: Page) -> None:
    shown = page("response", dataset="d", model="begun")
    assert any("begun and not complete" in box.value.replace("\\", "") for box in shown.info)


def test_rollouts_shows_each_pair_and_where_they_differ_most(page: Page) -> None:
    test = page("rollouts", dataset="d", model="m")
    [pair, missing] = cells(test, "Mismatch")
    assert (pair[0]["text"], missing[0]["text"]) == ("trainer to rollout", "ours to rollout")
    assert missing[0]["note"] == "at another temperature"
    worst = cells(test, "Responses by K3")
    assert [cell["text"] for cell in worst[0][:2]] == ["p1", "3"]
    assert worst[0][4]["query"] == {"dataset": "d", "model": "m", "problem": "p1", "sample": "3", "token": "0"}
    assert worst[0][5]["text"] == "-6.500"
    assert "onoff import" in page("rollouts", dataset="d", model="another").info[0].value.replace("\\", "")
