"""The strip's values: settings from manifests, stale by the study and why, what is being made, in responses."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from onoff_assets.browser.facts import Facts, Stale, Underway, facts_of
from onoff_assets.browser.grid_rows import GridRow
from onoff_assets.browser.reading import Reader
from onoff_assets.browser.views import strip
from onoff_assets.browser.views.grid_cells import complete_line, grid_cell, resting_line
from onoff_core.cli.browse import command_of
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import materialize_rewards, materialize_samples
from onoff_core.progress import Progress
from onoff_core.store import Store, publish_catalog
from onoff_core.store.life_signs import Signs
from onoff_core.study import load_study
from onoff_core.tables import CODE_VERSIONS, GRID_ASSETS
from tests.browser import jobs_store
from tests.browser.conftest import Page
from tests.browser.test_pages import components, texts
from tests.conftest import MakeProject

KEY = ("arithmetic", "tiny")


def change(folder: Path, section: str, **values: object) -> None:
    content = yaml.safe_load((folder / "onoff.yaml").read_text())
    content.setdefault(section, {}).update(values)
    (folder / "onoff.yaml").write_text(yaml.safe_dump(content))


def facts() -> Facts:
    study = load_study()
    return facts_of(Reader(Store(study.store_path)), KEY, study)


def test_facts_are_the_manifests_and_say_why_something_is_stale(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_project()
    study = load_study()
    partition, store = study.partition("|".join(KEY)), open_store(study, {"dagster_run_id": "run-1"})
    materialize_samples(partition, store)
    materialize_rewards(partition, store)
    found = facts()
    said = {fact.name: fact.value for fact in found.short}
    sampling = partition.sampling
    assert (said["model"], said["template"], said["seed"]) == ("fake", partition.task.template_type, "7")
    assert (said["max_length"], said["temperature"]) == ("12", f"{sampling.temperature:g}")
    assert (found.run, found.stale, found.underway, found.is_judged) == ("run-1", (), (), True)
    shown = [fact.name.removeprefix("sampling.") for fact in (*found.short, *found.more)]
    assert sorted(set(shown)) == sorted(shown)  # each setting once
    assert "sampling.num_samples" in [fact.name for fact in found.more]
    with monkeypatch.context() as newer:
        newer.setitem(CODE_VERSIONS, "rewards", "a newer one")
        assert facts().stale == (Stale("rewards", "graded by a former version; materialize rewards, no sampling"),)
    change(folder, "sampling", temperature=0.123)
    assert facts().stale == (
        Stale("samples", f"sampling.temperature is 0.123, was {sampling.temperature!r}"),
        Stale("rewards", "made from former samples"),
    )
    elsewhere = facts_of(Reader(store), KEY, None)  # without a study nobody knows what the settings would make
    assert (elsewhere.stale, elsewhere.is_judged) == ((), False)


def test_what_is_begun_is_counted_in_responses(tmp_path: Path, page: Page) -> None:
    store = jobs_store.make(tmp_path)
    reader = Reader(store)
    going = store.generation("samples", ("d", "going"), "9" * 16)
    assert facts_of(reader, ("d", "going"), None).underway == (Underway("samples", 8, 16, False),)
    with store.writing(going):
        assert facts_of(reader, ("d", "going"), None).underway == (Underway("samples", 8, 16, True),)
        Signs(going)(Progress("sampling", 16, lambda line: None))
        [begun] = facts_of(reader, ("d", "going"), None).underway
        assert begun.sign is not None
        assert begun.pace(begun.sign.at + 65) == "begun 1 min 5 s ago, no progress yet"
        progress = Progress("sampling", 16, lambda line: None, most_tokens=1000)
        progress.began -= 10
        progress.add_tokens(570)
        Signs(going)(progress)
        [goes] = facts_of(reader, ("d", "going"), None).underway
        assert goes.sign is not None
        assert goes.pace(goes.sign.at + 4) == "57 tokens/s, at most 8 s left, last progress 4 s ago"
        assert goes.pace(goes.sign.at - 4).endswith("last progress 0 s ago")  # clocks differ a little
        assert goes.pace(goes.sign.at - 7200).endswith("last progress 2 h 0 min ahead of this clock")
        assert reader.responses(("d", "going"), partial=True).table.num_rows == 8
        jobs_store.write_unfinished(store, 3)
        assert reader.responses(("d", "going"), partial=True).table.num_rows == 12
    for name in ("response", "problem", "side_by_side"):
        test = page(name, store=store, dataset="d", model="going", problem="p1")
        assert not test.exception
        assert not test.warning
    jobs_store.finish(store)
    store.generation("samples", ("d", "going"), "7" * 16).begin({"seed": 0})  # a former attempt is no news
    assert facts_of(reader, ("d", "going"), None).underway == ()
    scores = store.generation("token_distributions", ("d", "going"), "8" * 16)
    with store.writing(scores):  # loads its model
        assert facts_of(reader, ("d", "going"), None).underway == (Underway("token_distributions", 0, 16, True),)
    now = facts_of(reader, ("d", "going"), None)
    assert now.underway == ()
    assert now.changed_at is not None
    assert [now.goes_on(now.changed_at + seconds) for seconds in (30, 3000, -30, -3000)] == [True, False, True, False]
    rewards = store.generation("rewards", ("d", "going"), "8" * 16)
    rewards.begin({})
    rewards.write_fragment(0, [store.require("rewards", ("d", "m")).read().slice(0, 4)])
    with store.writing(rewards):
        assert facts_of(reader, ("d", "going"), None).underway == (Underway("rewards", 4, 16, True),)
    branches = store.generation("branches", ("d", "going"), "8" * 16)
    branches.begin({})
    found = facts_of(reader, ("d", "going"), None).underway
    assert found[1] == Underway("branches", 0, None, False, "parts")  # of positions, not of responses


def test_the_badge_is_that_of_what_the_page_shows() -> None:
    none = Facts(KEY, (), (), 1.0, None, (), (), True)
    other = Stale("branches", "continuations is 4, was 8")
    beside = replace(none, stale=(other,))
    assert [state.text for state in strip._states(beside, GRID_ASSETS)] == ["up to date"]
    assert strip._aside(beside, GRID_ASSETS) == ["branches stale: continuations is 4, was 8"]
    followers = tuple(Stale(asset, "made from former rewards") for asset in ("branches", "confidence"))
    assert strip._aside(replace(none, stale=followers), GRID_ASSETS) == [
        "branches, confidence stale: made from former rewards"
    ]
    regraded = Stale("rewards", "graded by a former version; materialize rewards, no sampling")
    [state] = strip._states(
        replace(none, stale=(regraded, Stale("statistics", "made from former rewards"), other)), GRID_ASSETS
    )
    assert (state.tone, state.text) == ("stale", "rewards, statistics stale")
    assert state.note == f"rewards: {regraded.reason}. Made from these: statistics"
    opinions = Stale("second_opinions", "task.judge is 'b', was 'a'")
    of_page = replace(none, stale=(opinions,))
    assert strip._states(of_page, (*GRID_ASSETS, "second_opinions"))[0].text == "second opinions stale"


def test_what_is_not_there_and_what_else_is_listed_is_said() -> None:
    ungraded = Facts(KEY, (), (), 1.0, None, (), (), True, missing=("rewards", "statistics", "token_distributions"))
    assert strip._aside(ungraded, GRID_ASSETS) == ["not made yet: rewards, statistics, token distributions"]
    assert strip._aside(ungraded, ("samples", "rewards")) == ["not made yet: rewards"]
    graded_now = replace(ungraded, underway=(Underway("rewards", 4, 16, True),))
    assert strip._aside(graded_now, ("samples", "rewards")) == []
    states = {"samples": "complete", "rewards": "complete", "statistics": "stale", "token_distributions": "complete"}
    fine = GridRow("d", "m", None, None, None, None, 100.0, 40.0, states, True, {})
    assert (
        strip.others_line("d|x", [fine])
        == "Above is what d|x was made under; 1 other partition is listed: nothing stale."
    )
    stale = [
        replace(fine, model=f"s{i}", states={**states, "rewards": "stale", "confidence": "stale"}) for i in range(7)
    ]
    begun = replace(fine, model="b", states={**states, "rewards": "partial"})
    assert strip.others_line("d|x", [fine, *stale, begun]) == (
        "Above is what d|x was made under; 9 other partitions are listed: "
        "rewards, confidence stale: d|s0, d|s1, d|s2, d|s3, d|s4 and 2 more; not all graded: d|b."
    )


def test_between_two_assets_of_a_run_nothing_untrue_is_said() -> None:
    states = {"samples": "complete", "rewards": "missing", "statistics": "missing", "token_distributions": "missing"}
    row = GridRow("d", "m", None, None, None, None, 100.0, 40.0, states, True, {})
    assert resting_line([row], 112.0) == (
        "Between two assets: something of d|m was completed 12 s ago, and a run may go on with rewards."
    )
    whole = replace(row, states=dict.fromkeys(states, "complete"))
    for rows, now in (([row], 1000.0), ([whole], 112.0), ([], 0.0)):
        assert resting_line(rows, now) == "Nothing is being made now."
    optional = replace(whole, states={**whole.states, "branches": "stale", "confidence": "complete"})
    said = complete_line([whole, optional, row], "store")
    assert said == (
        "3 partitions, 2 complete (samples to token distributions) in store. "
        "Beside these, branches of 0 of 1, confidence of 1 of 1."
    )
    regraded = replace(whole, states={**whole.states, "rewards": "stale"})
    assert complete_line([regraded], "store").startswith("1 partition, 0 complete, 1 stale (samples")
    drawn = grid_cell(replace(whole, accuracy=0.5, num_samples=4), (), 7300.0)
    assert drawn.note.startswith("4 responses, 2 hours ago")  # as the strip says it, whatever was made since


def test_read_only_lets_nobody_make_notes(made_store: Store, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    query = {"dataset": "d", "model": "m", "problem": "p0", "sample": 0}
    labels = [button.label for button in page("response", **query).button]
    assert "☆ star" in labels
    environment = command_of(str(made_store.root), [], read_only=True)[1]
    monkeypatch.setenv("ONOFF_READ_ONLY", environment["ONOFF_READ_ONLY"])
    test = page("response", **query)
    assert "☆ star" not in [button.label for button in test.button]
    assert not test.text_area
    assert "onoff_token_view" in components(test)


def test_a_note_that_cannot_be_written_is_said(tmp_path: Path, page: Page) -> None:
    store = jobs_store.make(tmp_path)
    publish_catalog(store)
    (Path(store.root) / "notes").write_text("in the way")
    test = page("response", store=store, dataset="d", model="m", problem="p0", sample=0)
    next(button for button in test.button if button.label == "☆ star").click().run()
    assert not test.exception
    assert "notes" in test.error[0].value
    assert "wrong" in texts(test)
