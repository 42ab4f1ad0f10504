"""Rounds until the accuracy is known well enough: where they stop, why, and that nothing else decides it."""

import json
from pathlib import Path
from typing import Any

import pytest

from onoff_core.checks.samples import check_samples
from onoff_core.errors import SettingsError
from onoff_core.statistics.sequence import rounds_of
from onoff_core.store.provenance import SamplesProvenance
from onoff_core.study import load_study
from tests.conftest import MakeProject
from tests.grid.test_materialize import run_until_killed
from tests.grid.test_taking_over import ANSWERS, KEY, Counted, Project, counts, engine, project, rows

__all__ = ["engine", "project"]  # fixtures
UNTIL = {"half_width": 0.15, "least": 4, "most": 40}


@pytest.mark.parametrize(
    ("sampling", "says"),
    [
        ({"until": {"half_width": 0}}, r"sampling\.until\.half_width: .*greater than 0"),
        ({"until": {"half_width": 0.5}}, r"sampling\.until\.half_width: .*less than 0\.5"),
        ({"until": {"least": 4}}, r"sampling\.until\.half_width: is missing"),
        ({"until": {"half_width": 0.1, "most": 1}}, r"sampling\.until\.most: .*greater than or equal to 2"),
        ({"until": {"half_width": 0.1, "least": 1}}, r"sampling\.until\.least: .*greater than or equal to 2"),
        ({"until": {"half_width": 0.1, "least": 9, "most": 8}}, r"sampling\.until: least is 9 and most is 8"),
        ({"until": {"half_width": 0.1, "lest": 9}}, r"sampling\.until\.lest: unknown key; did you mean 'least'"),
        ({"until": {"half_width": 0.1}, "num_samples": 4}, r"sampling: until and num_samples both say"),
        ({"until": {"half_width": 0.1}, "temperature": 0}, r"sampling: until needs responses that differ"),
        ({"until": {"half_width": 0.1}, "do_sample": False}, r"sampling: until needs responses that differ"),
    ],
)
def test_what_makes_no_sense_is_an_error_that_names_the_key(
    make_project: MakeProject, sampling: dict[str, Any], says: str
) -> None:
    folder = make_project(sampling=sampling)
    with pytest.raises(SettingsError, match=rf"{folder}/onoff\.yaml: {says}"):
        load_study()


def test_the_stronger_layer_decides_between_until_and_a_number(make_project: MakeProject) -> None:
    until = {"until": {"half_width": 0.1}}
    for general, special in (({"num_samples": 5}, until), (until, {"num_samples": 5})):
        make_project(sampling=general, datasets={"arithmetic": {"num_examples": 2, "sampling": special}})
        sampling = load_study().partition("|".join(KEY)).sampling
        assert (sampling.until is None) == ("num_samples" in special)
        assert sampling.most_samples == (5 if "num_samples" in special else 256)


def test_rounds_stop_where_it_is_narrow_enough(project: Project, engine: Counted) -> None:
    settings: dict[str, Any] = {"model": ANSWERS, "max_length": 30, "num_samples": None}
    project.set(until=UNTIL, **settings)
    made = project.made("samples")
    how = SamplesProvenance.of(made.manifest)
    found = made.manifest.facts["until"]
    widths = [(one["high"] - one["low"]) / 2 for one in found["rounds"]]
    assert [one["num_samples"] for one in found["rounds"]] == rounds_of(4, 40)[: how.rounds]
    assert all(width > 0.15 for width in widths[:-1])
    assert widths[-1] <= 0.15
    assert how.stopped == found["stopped"] == "narrow enough"
    assert how.num_samples is not None
    assert how.num_samples == found["rounds"][-1]["num_samples"] > 4
    assert len(made.manifest.fragments) == how.rounds  # each round has fragments of its own
    assert len(engine.drawn) == made.manifest.num_rows == 4 * how.num_samples
    assert all(one.holds for one in check_samples(project.store, KEY, 1.0).values())
    project.made("rewards")
    row = project.made("statistics").generation.read().to_pylist()[0]
    assert (row["until_stopped"], row["until_num_samples"]) == ("narrow enough", how.num_samples)
    assert (row["until_low"], row["until_high"]) == (found["rounds"][-1]["low"], found["rounds"][-1]["high"])
    assert row["num_missing"] == 0

    # A narrower one goes on from there, as a fresh one would; and a plain number takes all over.
    project.set(until={**UNTIL, "half_width": 0.1}, **settings)
    narrower = project.made("samples")
    assert counts(narrower)[1] == made.manifest.num_rows
    assert rows(narrower).equals(project.fresh("samples"))
    project.set(**{**settings, "num_samples": 6})
    assert counts(project.made("samples")) == (0, 24, 0)
    assert project.made("samples").manifest.facts.get("until") is None


def test_without_verdicts_it_stops_at_once(make_project: MakeProject, project: Project) -> None:
    project.set(until=UNTIL, num_samples=None, model=ANSWERS, max_length=30)
    problem = {"question": "What?", "answer": r"\frac{1}{"}
    Path("mine.jsonl").write_text(json.dumps(problem))
    content = Path("onoff.yaml").read_text().replace("num_examples: 4", "path: mine.jsonl")
    Path("onoff.yaml").write_text(content)
    made = project.made("samples")
    assert (made.manifest.facts["until"]["stopped"], made.manifest.num_rows) == ("no verdicts", 4)


def test_killed_it_goes_on_with_the_same_rounds_and_most_stops_it(project: Project, engine: Counted) -> None:
    until = {"half_width": 0.01, "least": 4, "most": 9}
    project.set(until=until, num_samples=None, model=ANSWERS, max_length=30)
    run_until_killed(project.folder, "samples", after=4)  # problems, vocabulary, the first round, then in the second
    made = project.made("samples")
    assert len(engine.drawn) == 36 - 16
    found = made.manifest.facts["until"]
    assert ([one["num_samples"] for one in found["rounds"]], found["stopped"]) == ([4, 8, 9], "most reached")
    assert [fragment.num_rows for fragment in made.manifest.fragments] == [16, 16, 4]
    assert any("most reached" in line for line in project.said)
    assert rows(made).equals(project.fresh("samples"))
