"""What comes out the same is taken over: the engine's own counts say what was drawn, a fresh store what it would be."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from onoff_core.backends import open_sampler
from onoff_core.backends.fake import FakeModel
from onoff_core.checks.cross_scores import check_cross_scores
from onoff_core.checks.samples import check_samples
from onoff_core.checks.token_distributions import check_token_distributions
from onoff_core.grid import materialize
from onoff_core.grid.materialize import Made
from onoff_core.grid.taking_over import expected, keys_of
from onoff_core.store import Store
from onoff_core.store.provenance import SamplesProvenance
from onoff_core.store.upkeep import prune, removable
from onoff_core.study import load_study
from onoff_core.tasks import find_answer
from tests.conftest import MakeProject, tiny_model
from tests.grid.test_materialize import run_until_killed

KEY = ("arithmetic", "tiny")
ORDER = [("problem_id", "ascending"), ("sample_index", "ascending")]
# Answers of which some are equal and some wrong, and one that is none.
ANSWERS = {"script": {"responses": [r"\boxed{1}", r"\boxed{2}", "none", r"\boxed{3}", r"\boxed{2.0}", r"\boxed{12}"]}}


class Counted:
    """What the engine was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.drawn: list[tuple[str, int, int]] = []  # problem, sample, tokens that it begins with
        self.scored = 0
        sample, score = FakeModel.sample, FakeModel.score

        def counted(model: FakeModel, requests: Sequence[Any], *rest: Any) -> Iterator[Any]:
            self.drawn += [(one.problem_id, one.sample_index, one.begun) for one in requests]
            return sample(model, requests, *rest)

        def counted_score(model: FakeModel, prompt: Any, responses: Sequence[Any], settings: Any) -> Iterator[Any]:
            self.scored += len(responses)
            return score(model, prompt, responses, settings)

        monkeypatch.setattr(FakeModel, "sample", counted)
        monkeypatch.setattr(FakeModel, "score", counted_score)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


class Project:
    """A project whose settings change; each asset in its store, and in a fresh one."""

    def __init__(self, make: MakeProject) -> None:
        self.make, self.fresh_stores = make, 0
        self.sections: dict[str, Any] = {}
        self.said: list[str] = []

    def set(
        self,
        problems: int = 4,
        top_k: int = 5,
        model: dict[str, Any] | None = None,
        branches: dict[str, Any] | None = None,
        task: dict[str, Any] | None = None,
        **sampling: Any,
    ) -> None:
        entry = tiny_model(None) if model is None else {**tiny_model(None), "backend_specific": model}
        given = {"max_length": 12, "num_samples": 2, "batch_size": 8, "seed": 7, **sampling}
        self.folder = self.make(
            datasets={"arithmetic": {"num_examples": problems}},
            models={"tiny": entry},
            sampling={name: value for name, value in given.items() if value is not None or name == "seed"},
            distribution={"top_k": top_k},
            branches=branches,
            task=task or {},
        )

    @property
    def store(self) -> Store:
        return Store(load_study().store_path)

    def made(self, asset: str, store: Store | None = None, **options: Any) -> Made:
        step = getattr(materialize, f"materialize_{asset}")
        made: Made = step(load_study().partition("|".join(KEY)), store or self.store, self.said.append, **options)
        return made

    def fresh(self, *assets: str) -> pa.Table:
        """The rows of the last of these assets, made in a store that has nothing."""
        self.fresh_stores += 1
        store = Store(str(self.folder / f"fresh-{self.fresh_stores}"))
        return rows([self.made(asset, store) for asset in assets][-1])


@pytest.fixture
def project(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Without a catalog, which nothing here looks into, and which would take most of the time."""
    monkeypatch.setattr("onoff_core.grid.materialize.publish_catalog", lambda store: None)
    return Project(make_project)


def rows(made: Made) -> pa.Table:
    order = [*ORDER, ("position", "ascending")] if "position" in made.generation.read().column_names else ORDER
    return made.generation.read().sort_by(order)


def counts(made: Made) -> tuple[int | None, int | None, int | None]:
    how = SamplesProvenance.of(made.manifest)
    return how.rows_drawn, how.rows_taken_over, how.rows_continued


def test_more_samples_cost_the_difference(project: Project, engine: Counted) -> None:
    project.set(num_samples=2)
    first = project.made("samples")
    engine.drawn.clear()
    project.set(num_samples=8)
    promised = expected(load_study().partition("|".join(KEY)), project.store, first.manifest.inputs["problems"])
    assert promised is not None
    assert promised.sentence.startswith("24 of 32 responses to draw, 8 taken over from ")
    made = project.made("samples")
    assert sorted(engine.drawn) == [(f"test-{problem}", sample, 0) for problem in range(4) for sample in range(2, 8)]
    assert counts(made) == (24, 8, 0)
    taken = SamplesProvenance.of(made.manifest).taken_over
    assert taken is not None
    assert (taken.generation, taken.rows) == (first.generation.fingerprint, 8)
    assert taken.why == "sampling.num_samples is 8, was 2"
    assert [fragment.num_rows for fragment in made.manifest.fragments] == [8, 24]  # of their own
    assert rows(made).equals(project.fresh("samples"))
    assert all(found.holds for found in check_samples(project.store, KEY, 1.0).values())


def test_each_kind_of_more_and_of_less_costs_what_is_new(project: Project, engine: Counted) -> None:
    """One change after the other, each taken over from what came before."""
    project.set(num_samples=2)
    project.made("samples")
    changes: tuple[tuple[dict[str, Any], tuple[int, int, int]], ...] = (
        ({"num_samples": 6}, (16, 8, 0)),
        ({"num_samples": 6, "problems": 6}, (12, 24, 0)),
        ({"num_samples": 5, "problems": 5}, (0, 25, 0)),
        ({"num_samples": 6, "problems": 6, "max_length": 20}, (0, 1, 35)),  # one response had ended
        ({"num_samples": 4, "problems": 6, "max_length": 9}, (0, 24, 0)),  # cut
        ({"num_samples": 8, "problems": 7, "max_length": 15}, (20, 36, 0)),
    )
    for change, cost in changes:
        engine.drawn.clear()
        project.set(**change)
        made = project.made("samples")
        assert counts(made) == cost, change
        assert (len([one for one in engine.drawn if not one[2]]), sum(one[2] > 0 for one in engine.drawn)) == (
            cost[0],
            cost[2],
        )
        assert rows(made).equals(project.fresh("samples")), change


def test_what_is_taken_over_is_a_copy(project: Project, engine: Counted) -> None:
    """`prune` removes its source, and later raises go on from it."""
    project.set(num_samples=2)
    project.made("samples")
    project.set(num_samples=4)
    made = project.made("samples")
    store = project.store
    gone = prune(store, removable(store, keep=0))
    assert [one.generation.asset for one in gone] == ["samples"]
    assert not made.generation.damage()
    project.set(num_samples=6)
    assert counts(project.made("samples")) == (8, 16, 0)
    assert rows(project.made("samples")).equals(project.fresh("samples"))


@pytest.mark.parametrize("gone", [False, True])
def test_killed_in_the_middle_it_goes_on(project: Project, engine: Counted, gone: bool) -> None:
    """Also where the source was removed meanwhile, and what it had is there only as far as it was copied."""
    chunks: dict[str, Any] = {"problems": 9, "max_length": 3}  # of three problems each
    project.set(num_samples=10, **chunks)
    source = project.made("samples").generation
    project.set(num_samples=20, **chunks)
    run_until_killed(project.folder, "samples", after=6)  # three are copied, some are drawn
    begun = [one for one in project.store.generations("samples", KEY) if not one.is_complete]
    there = len(begun[0].fragment_indices())
    assert there >= 3
    if gone:
        shutil.rmtree(Path(project.store.root) / source.folder)
        begun[0].files.remove(f"{begun[0].folder}/00001.parquet")
    engine.drawn.clear()
    made = project.made("samples")
    assert any(line.startswith("resuming: ") for line in project.said)
    assert len(engine.drawn) < 90 + (30 if gone else 0)
    assert counts(made) == ((120, 60, 0) if gone else (90, 90, 0))
    assert rows(made).equals(project.fresh("samples"))
    assert all(found.holds for found in check_samples(project.store, KEY, 1.0).values())


def test_a_damaged_copy_is_taken_over_again_alone(project: Project, engine: Counted) -> None:
    project.set(num_samples=2)
    project.made("samples")
    project.set(num_samples=4, max_length=14)
    made = project.made("samples")
    before = rows(made)
    engine.drawn.clear()
    for fragment in made.manifest.fragments:
        (Path(project.store.root) / made.generation.folder / fragment.name).write_bytes(b"not Parquet")
        again = project.made("samples")
        assert again.computed
        assert rows(again).equals(before)
    assert len(engine.drawn) == 16 - counts(made)[1]  # type: ignore[operator]


def test_what_decides_the_responses_lets_nothing_be_taken_over(project: Project, engine: Counted) -> None:
    project.set(num_samples=2)
    project.made("samples")
    for change in ({"seed": 8}, {"temperature": 0.5}, {"stop_strings": ["x"]}, {"model": ANSWERS}):
        project.set(num_samples=4, **change)
        assert counts(project.made("samples")) == (16, 0, 0), change
    project.set(num_samples=5)
    assert counts(project.made("samples", again=True)) == (20, 0, 0)  # force


def test_a_seed_of_null_stays_what_it_was_drawn_as(project: Project) -> None:
    project.set(num_samples=2, seed=None)
    first = project.made("samples")
    project.set(num_samples=3, seed=None)
    made = project.made("samples")
    assert counts(made) == (4, 8, 0)
    assert made.manifest.facts["seed"] == first.manifest.facts["seed"]


def test_an_engine_that_cannot_go_on_draws_anew(
    project: Project, engine: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(*given: Any) -> Any:
        model: Any = open_sampler(*given)
        return replace(model, info=replace(model.info, resumes=False))

    monkeypatch.setattr("onoff_core.grid.drawing.open_sampler", forgetful)
    project.set(num_samples=3, problems=9)
    project.made("samples")
    project.set(num_samples=3, problems=9, max_length=16)
    engine.drawn.clear()
    made = project.made("samples")
    drawn, taken, continued = counts(made)
    assert continued == 0
    assert drawn == len(engine.drawn) == 27 - (taken or 0)
    assert all(not begun for _, _, begun in engine.drawn)
    assert rows(made).equals(project.fresh("samples"))


def test_rewards_of_the_new_responses_alone_are_made(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal answers of a problem share a number, whichever generation gave them first."""
    project.set(num_samples=4, model=ANSWERS, max_length=30)
    project.made("samples")
    project.made("rewards")
    looked_at: list[str] = []

    def counted(text: str, *rest: Any) -> Any:
        looked_at.append(text)
        return find_answer(text, *rest)

    monkeypatch.setattr("onoff_core.rewards.grading.find_answer", counted)
    project.set(num_samples=9, problems=5, model=ANSWERS, max_length=30)
    project.made("samples")
    made = project.made("rewards")
    assert len(looked_at) == 45 - 16
    assert (made.manifest.facts["rows_graded"], made.manifest.facts["rows_taken_over"]) == (29, 16)
    fresh = project.fresh("samples", "rewards")
    assert rows(made).equals(fresh)
    assert max(filter(None, fresh["answer_class"].to_pylist())) > 2


def test_scores_of_the_new_responses_alone_are_made_and_a_smaller_top_k_is_cut(
    project: Project, engine: Counted
) -> None:
    project.set(num_samples=2, max_length=3, model={"script": {"responses": ["a", "bcd", "ef"]}})
    project.made("samples")
    project.made("token_distributions")
    changes: tuple[tuple[dict[str, Any], int], ...] = (
        ({"num_samples": 5}, 12),
        ({"num_samples": 5, "top_k": 3}, 0),
        ({"num_samples": 5, "top_k": 3, "max_length": 9}, 8),  # four responses of the two samples went on, twice
        ({"num_samples": 5, "top_k": 4, "max_length": 9}, 8),  # a former one has so many of the others
    )
    for change, cost in changes:
        engine.scored = 0
        project.set(**{"max_length": 3, "model": {"script": {"responses": ["a", "bcd", "ef"]}}, **change})
        project.made("samples")
        made = project.made("token_distributions")
        assert engine.scored == cost == made.manifest.facts["rows_scored"], change
        ours, fresh = rows(made), project.fresh("samples", "token_distributions")
        assert ours.drop_columns("tail_mass").equals(fresh.drop_columns("tail_mass"))
        assert np.allclose(ours["tail_mass"].to_numpy(), fresh["tail_mass"].to_numpy(), atol=2e-5, rtol=0)
        assert all(found.holds for found in check_token_distributions(project.store, KEY).values())


def test_exports_and_branches_are_those_of_a_fresh_run(project: Project, tmp_path: Path) -> None:
    """They go problem by problem, though a problem's responses are in several fragments."""
    from onoff_core.exchange.distributions import export_distributions
    from onoff_core.exchange.results import export_results
    from onoff_core.grid.branches import materialize_branches

    settings: dict[str, Any] = {"model": ANSWERS, "branches": {"responses": {"status": "any", "per_problem": 3}}}
    project.set(num_samples=2, max_length=7, **settings)
    project.made("samples")
    project.set(num_samples=5, problems=5, max_length=12, **settings)
    fresh = Store(str(project.folder / "fresh"))
    found: list[tuple[Any, ...]] = []
    for store in (project.store, fresh):
        for asset in ("samples", "rewards", "statistics", "token_distributions"):
            project.made(asset, store)
        materialize_branches(load_study().partition("|".join(KEY)), store, project.said.append)
        folder = tmp_path / f"export-{len(found)}"
        folder.mkdir()
        export_results(store, KEY, folder)
        export_distributions(store, KEY, folder)
        results = json.loads((folder / "results.json").read_text())["results"]
        distributions = json.loads((folder / "distributions.json").read_text())["results"]
        with np.load(folder / "distributions.npz") as arrays:
            content = {name: arrays[name].tolist() for name in arrays.files}
        branches = store.require("branches", KEY).read().to_pylist()
        found.append((results, distributions, content, branches))
    assert len(project.store.require("samples", KEY).manifest().fragments) > 2
    assert [len(one["samples"]) for one in found[0][0]] == [5] * 5
    assert found[0] == found[1]


def test_a_real_decoder_goes_on_from_the_last_token(
    make_torch_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onoff_core.backends.huggingface.engine import HuggingfaceModel

    asked: list[tuple[int, bool]] = []
    sample = HuggingfaceModel.sample

    def counted(model: Any, requests: Sequence[Any], *rest: Any) -> Any:
        asked.extend((one.begun, one.resumed) for one in requests)
        return sample(model, requests, *rest)

    monkeypatch.setattr(HuggingfaceModel, "sample", counted)
    for max_length, num_samples in ((6, 2), (15, 3)):
        folder = make_torch_project(sampling={"max_length": max_length, "num_samples": num_samples, "seed": 7})
        study = load_study()
        partition, store = study.partition("|".join(KEY)), Store(study.store_path)
        asked.clear()
        made = materialize.materialize_samples(partition, store)
    drawn, taken, continued = counts(made)
    assert (drawn, len(asked)) == (4, 4 + (continued or 0))
    assert asked.count((6, True)) == continued == 8 - (taken or 0)
    ours = rows(made)
    fresh = rows(materialize.materialize_samples(partition, Store(str(folder / "fresh"))))
    assert ours.drop_columns("token_logprobs").equals(fresh.drop_columns("token_logprobs"))
    for mine, theirs in zip(ours["token_logprobs"].to_pylist(), fresh["token_logprobs"].to_pylist(), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4)


def test_where_a_response_thinks_is_that_of_a_fresh_run(project: Project) -> None:
    """Taken over, cut or gone on with: by the tags of now."""
    thinks = {"script": {"responses": [r"<think>one two three four</think>\boxed{1}", r"<think>a</think>\boxed{2}"]}}
    tags = {"open": "<think>", "close": "</think>"}
    settings: dict[str, Any] = {"model": thinks, "problems": 2}
    project.set(num_samples=2, max_length=24, **settings)
    project.made("samples")
    for num_samples, max_length, drawn in ((3, 24, 2), (3, 60, 0), (2, 14, 0)):  # named after the first were drawn
        project.set(num_samples=num_samples, max_length=max_length, task={"thinking": tags}, **settings)
        made = project.made("samples")
        assert counts(made)[0] == drawn
        assert rows(made).equals(project.fresh("samples"))


def test_a_solution_is_scored_once_though_its_problem_is_in_two_fragments(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onoff_core.grid.cross_scores import materialize_cross_scores

    monkeypatch.setattr("onoff_core.grid.materialize.publish_catalog", lambda store: None)
    fake = tiny_model(None)
    for num_samples in (2, 4):
        make_project(
            models={"tiny": {**fake, "scored_by": ["other"]}, "other": fake},
            sampling={"max_length": 4, "num_samples": num_samples},
            cross={"solutions": True},
        )
        study = load_study()
        partition, store = study.partition("|".join(KEY)), Store(study.store_path)
        assert len(materialize.materialize_samples(partition, store).manifest.fragments) == num_samples // 2
    materialize_cross_scores(partition, store)
    found = store.require("cross_responses", (*KEY, "other")).read()
    solved = [problem for problem, sample in keys_of(found) if sample is None]
    assert sorted(solved) == sorted(set(solved)) != []
    assert all(one.holds for one in check_cross_scores(store, KEY).values())
