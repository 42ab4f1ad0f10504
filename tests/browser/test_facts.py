"""The strip's values: settings from manifests, stale by the study and why, what is being made, in responses."""

from pathlib import Path

import pytest
import yaml

from onoff_assets.browser.facts import Facts, Stale, Underway, facts_of
from onoff_assets.browser.reading import Reader
from onoff_core.cli.browse import command_of
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import materialize_rewards, materialize_samples
from onoff_core.store import Store, publish_catalog
from onoff_core.study import load_study
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


def test_facts_are_the_manifests_and_say_why_something_is_stale(make_project: MakeProject) -> None:
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
    rewards = store.generation("rewards", ("d", "going"), "8" * 16)
    rewards.begin({})
    rewards.write_fragment(0, [store.require("rewards", ("d", "m")).read().slice(0, 4)])
    with store.writing(rewards):
        assert facts_of(reader, ("d", "going"), None).underway == (Underway("rewards", 4, 16, True),)
    branches = store.generation("branches", ("d", "going"), "8" * 16)
    branches.begin({})
    found = facts_of(reader, ("d", "going"), None).underway
    assert found[1] == Underway("branches", 0, None, False, "parts")  # of positions, not of responses


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
