"""`results.json` and `statistics.json`, out and in again."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from onoff_core import __version__
from onoff_core.cli.main import main
from onoff_core.errors import ExchangeError, MissingInputError
from onoff_core.exchange import export_results
from onoff_core.exchange.importing import import_results
from onoff_core.exchange.results_file import Result, match_problems, read_results
from onoff_core.grid.materialize import materialize_rewards, materialize_statistics, materialize_token_distributions
from onoff_core.grid.status import partition_status
from onoff_core.problems import Problem
from onoff_core.store import Store
from onoff_core.study import Partition, load_study
from tests.conftest import MakeProject
from tests.exchange.conftest import Finished, quiet

GOLDEN = Path(__file__).parent / "golden"
STATISTICS = GOLDEN / "statistics.json"


def write(folder: Path, results: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps({"results": results} if isinstance(results, list) else results))
    return folder


def test_both_files_have_the_scripts_form(finished: Finished, tmp_path: Path) -> None:
    written = export_results(finished.store, finished.key, tmp_path / "out")
    assert [path.name for path in written] == ["results.json", "statistics.json"]
    results, statistics = (json.loads(path.read_text()) for path in written)
    assert list(results) == ["written_by", "results", "statistics"]
    assert results["written_by"] == statistics.pop("written_by") == f"onoff {__version__}"
    assert results["statistics"] == statistics
    samples = finished.store.require("samples", finished.key).read().to_pylist()
    assert [s for entry in results["results"] for s in entry["samples"]] == [row["response"] for row in samples]
    for entry in results["results"]:
        assert list(entry) == ["question", "reference", "samples", "rewards", "extracted_answers"]
        assert len(entry["samples"]) == len(entry["rewards"]) == len(entry["extracted_answers"]) == 3
    assert list(statistics)[:4] == ["accuracy", "avg_sampling_length", "num_questions", "num_samples_per_question"]
    assert (statistics["num_questions"], statistics["num_samples_per_question"]) == (4, 3)
    assert statistics["avg_sampling_length"] == sum(row["num_tokens"] for row in samples) / len(samples)
    assert {"standard_error", "pass_at_k", "maj_at_k"} <= set(statistics)


def test_nothing_there_says_what_to_run(make_project: MakeProject) -> None:
    folder = make_project()
    with pytest.raises(MissingInputError, match="dagster asset materialize --select statistics"):
        export_results(Store(str(folder / "store")), ("arithmetic", "tiny"), folder / "out")
    assert not (folder / "out").exists()


def test_the_command_names_all_there_is_to_make(make_project: MakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    partition, store = golden_project(make_project)
    for what, assets in (
        ("samples", "samples,rewards,statistics"),
        ("distributions", "samples,token_distributions"),
    ):
        assert main(["export", "--output", "out", "--what", what]) == 1
        assert f"--select {assets} --partition 'golden|tiny' -m onoff_assets.definitions" in capsys.readouterr().err
    import_results(partition, store, GOLDEN)
    assert main(["export", "--output", "out"]) == 1
    said = capsys.readouterr().err
    assert "statistics and token_distributions of golden|tiny are not there yet" in said
    assert "--select rewards,statistics,token_distributions --partition" in said
    assert not Path("out").exists()


def test_the_command_says_what_to_do_next_and_what_is_old(
    finished: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--output", "out"]) == 0
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()[:4]] == [
        f"out/{name}" for name in ("results.json", "statistics.json", "distributions.json", "distributions.npz")
    ]
    assert printed.splitlines()[-1].strip() == "data = load_distributions('out')"
    assert "note:" not in printed
    import_results(finished.partition, finished.store, Path("out"))
    assert main(["export", "--output", "out", "--what", "samples"]) == 0
    printed = capsys.readouterr().out
    assert "note: statistics is of earlier samples, and so are these files; onoff status prints what to run" in printed
    assert "next: onoff show 'arithmetic|tiny'" in printed


def golden_project(make_project: MakeProject) -> tuple[Partition, Store]:
    """A project over the golden files' problems."""
    folder = make_project(datasets={"golden": {"path": str(GOLDEN / "problems.jsonl")}})
    study = load_study(folder / "onoff.yaml")
    return study.partition("golden|tiny"), Store(study.store_path)


def test_the_golden_file_comes_out_as_it_went_in(make_project: MakeProject) -> None:
    """Its rewards and answers were written by hand; importing, grading and exporting gives them again."""
    partition, store = golden_project(make_project)
    assert main(["import", str(GOLDEN), "--dataset", "golden", "--model", "tiny"]) == 0
    for materialize in (materialize_rewards, materialize_statistics):
        materialize(partition, store, quiet)
    assert main(["export", "--output", "out", "--what", "samples"]) == 0
    ours, golden = ((folder / "results.json").read_text("utf-8") for folder in (Path("out"), GOLDEN))
    unmarked = ours.replace(f'"written_by": "onoff {__version__}",\n', "")
    assert unmarked.partition('"statistics"')[0] == golden.partition('"statistics"')[0]
    statistics, wanted = (json.loads(path.read_text("utf-8")) for path in (Path("out/statistics.json"), STATISTICS))
    assert statistics.pop("written_by") == f"onoff {__version__}"
    assert json.loads(ours)["statistics"] == statistics
    assert statistics.items() >= json.loads(golden)["statistics"].items()
    assert list(statistics) == list(wanted)
    for name, value in wanted.items():
        assert statistics[name] == (pytest.approx(value, abs=1e-9) if isinstance(value, float) else value), name


def test_round_trip_gives_the_same_rewards(finished: Finished, tmp_path: Path) -> None:
    export_results(finished.store, finished.key, tmp_path / "out")
    before = finished.store.require("rewards", finished.key).read().to_pylist()
    texts = finished.store.require("samples", finished.key).read().to_pylist()
    made = import_results(finished.partition, finished.store, tmp_path / "out")
    assert made.computed
    assert made.generation.fingerprint != finished.store.require("rewards", finished.key).manifest().inputs["samples"]
    after = made.generation.read().to_pylist()
    for name in ("problem_id", "sample_index", "response", "prompt", "prompt_token_ids"):
        assert [row[name] for row in after] == [row[name] for row in texts]
    rewards = materialize_rewards(finished.partition, finished.store, quiet)
    assert rewards.generation.read().to_pylist() == before
    assert not import_results(finished.partition, finished.store, tmp_path / "out").computed


def test_an_import_says_that_it_is_one(make_project: MakeProject) -> None:
    partition, store = golden_project(make_project)
    made = import_results(partition, store, GOLDEN)
    assert made.manifest.facts["imported"] is True
    assert made.manifest.facts["token_ids_from"] == "tokenizing the text"
    row = made.generation.read().to_pylist()[0]
    assert (row["finish_reason"], row["token_logprobs"]) == ("unknown", [])
    states = partition_status(partition, None, store)
    assert states == {
        "samples": "imported",
        "rewards": "missing",
        "statistics": "missing",
        "token_distributions": "missing",
    }
    materialize_rewards(partition, store, quiet)
    statistics = materialize_statistics(partition, store, quiet)
    materialize_token_distributions(partition, store, quiet)
    assert set(partition_status(partition, None, store).values()) == {"imported", "complete"}
    assert statistics.generation.read()["truncated_share"].to_pylist() == [None]
    scored = store.require("token_distributions", ("golden", "tiny")).read()
    assert scored["token_id"].to_pylist() == [i for r in made.generation.read().to_pylist() for i in r["token_ids"]]


def test_an_empty_text_is_the_end_token_alone(make_project: MakeProject, tmp_path: Path) -> None:
    partition, store = golden_project(make_project)
    entry = json.loads((GOLDEN / "results.json").read_text("utf-8"))["results"][0] | {
        "samples": ["", "a"],
        "rewards": None,
        "extracted_answers": None,
    }
    made = import_results(partition, store, write(tmp_path / "in", [entry]))
    first = made.generation.read().to_pylist()[0]
    assert (first["response"], len(first["token_ids"])) == ("", 1)
    materialize_token_distributions(partition, store, quiet)


def test_own_problems_leave_the_data_sets_alone(finished: Finished) -> None:
    entries = [{"question": "What is 1 + 1?", "reference": "2", "samples": [r"\boxed{2}", r"\boxed{3}"]}]
    folder = write(finished.folder / "in", entries)
    of_dataset = finished.store.require("problems", ("arithmetic",)).fingerprint
    with pytest.raises(ExchangeError, match=r"results\[0\].*--own-problems"):
        import_results(finished.partition, finished.store, folder)
    import_results(finished.partition, finished.store, folder, own=True)
    assert finished.store.require("problems", ("arithmetic",)).fingerprint == of_dataset
    rewards = materialize_rewards(finished.partition, finished.store, quiet).generation.read()
    assert rewards["reward"].to_pylist() == [1, 0]


def test_a_number_is_a_reference(tmp_path: Path) -> None:
    entries = [{"question": "q", "reference": reference, "samples": ["s"]} for reference in (5, 5.0, 2.5)]
    assert [result.reference for result in read_results(write(tmp_path / "in", entries))] == ["5", "5", "2.5"]


def test_a_question_that_stands_there_more_often_than_in_the_data_set() -> None:
    twice = [Result("1 + 1?", "2", ("x",))] * 2
    with pytest.raises(ExchangeError, match=r"more often here than there, the first is results\[1\]"):
        match_problems(twice, [Problem("a", "1 + 1?", "2")], "here")


def test_questions_find_their_problems() -> None:
    same = "How many apples are there in two full baskets?"
    problems = [Problem("a", "1 + 1?", "2"), Problem("b", same, "3"), Problem("c", same, "4")]
    results = [
        Result(f"User: {same} Think!", "9", ("x",)),
        Result("How many apples are\nthere in two full baskets?", "3", ("x",)),
        Result("Compute 1 + 1?", "2", ("x",)),
    ]
    assert [p.problem_id for p in match_problems(results, problems, "here")] == ["c", "b", "a"]
    with pytest.raises(ExchangeError, match="1 of 1 questions"):  # a short question in another one, other answer
        match_problems([Result("Is 1 + 1? a question?", "yes", ("x",))], problems, "here")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"statistics": {}}, "has no list 'results'"),
        ([], "'results' is empty"),
        (["text"], r"results\[0\]: must hold values by name"),
        ([{"question": "q", "reference": "1", "samples": "s"}], "no list 'samples'"),
        ([{"question": "q", "reference": "1", "samples": ["s"], "rewards": [1, 0]}], "1 samples, but 2 rewards"),
        (
            [{"question": "q", "reference": "1", "samples": ["s"], "extracted_answers": []}],
            "1 samples, but 0 extracted_answers",
        ),
        ([{"reference": "1", "samples": ["s"]}], "has no 'question'"),
        ([{"question": "q", "samples": ["s"]}], "has no 'reference'"),
        ([{"question": "q", "reference": "1", "samples": []}], "holds no samples; there is nothing to import"),
        ([{"question": "q", "reference": "1", "samples": ["\ud800"]}], r"results\[0\]\.samples\[0\]: is not valid Uni"),
        ([{"question": "\udc00", "reference": "1", "samples": ["s"]}], r"results\[0\]\.question: is not valid Unicode"),
    ],
)
def test_wrong_files_say_what_is_wrong(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(ExchangeError, match=said):
        read_results(write(tmp_path / "in", content))


SCRIPTS = {
    "question": "é",
    "reference_answer": ["70"],
    "samples": [
        {"sample_id": "1", "response": "b", "reward": "1.0"},
        {"sample_id": 0.0, "response": "a", "reward": True},
    ],
}


def test_what_other_programs_and_editors_make_of_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"results": [SCRIPTS]}).encode())
    (result,) = read_results(tmp_path)
    assert (result.reference, result.samples, result.rewards) == ("70", ("a", "b"), (1.0, 1.0))
    problem = Problem("p", "e\u0301", "70")  # the accent as a character of its own
    assert match_problems([result], [problem], "here") == [problem]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b" \n", "is empty"),
        (gzip.compress(b"{}"), "is compressed"),
        (json.dumps({"results": []}).encode("utf-16"), "save it as UTF-8, as by: iconv -f utf-16 -t"),
        ('{"a": "é"}'.encode("latin-1"), "is not UTF-8 from byte 7 on; .* iconv -f latin-1"),
        (json.dumps({"results": [SCRIPTS]}).replace('"1.0"', "1" + "0" * 400).encode(), r"a number, not 10+\.\.\."),
        (json.dumps({"results": [SCRIPTS]}).replace('"1.0"', '{"acc": 1}').encode(), "a number, not {'acc': 1}"),
        (json.dumps({"results": [{**SCRIPTS, "prompt": [{}]}]}).encode(), r"'prompt' should be a text, not \[{}\]"),
        (
            json.dumps({"results": [{**SCRIPTS, "samples": ["a", None]}]}).encode(),
            r"samples\[1\]: is no text.* None",
        ),
    ],
)
def test_what_cannot_be_read_says_how_it_could(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(ExchangeError, match=said):
        read_results(tmp_path)


@pytest.mark.parametrize("where", ["reference", "rewards"])
def test_a_number_beyond_all(tmp_path: Path, where: str) -> None:
    """JSON can hold 1e999, which is no number any more."""
    entry = {"question": "q", "reference": "1", "samples": ["a"], "rewards": [1.0]}
    text = json.dumps({"results": [{**entry, where: "X"}]}).replace(
        '"X"', "1e999" if where == "reference" else "[1e999]"
    )
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(
        ExchangeError, match=r"is inf, which no JSON|rewards\[0\]: .* a finite number, not inf; write null"
    ):
        read_results(tmp_path)


def test_a_file_cut_off_or_missing(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"results": [{"quest')
    with pytest.raises(ExchangeError, match="not valid JSON, or cut off"):
        read_results(tmp_path)
    (tmp_path / "results.json").write_text("[" * 200_000)
    with pytest.raises(ExchangeError, match="not valid JSON, or cut off"):
        read_results(tmp_path)
    with pytest.raises(ExchangeError, match="cannot be read"):
        read_results(tmp_path / "nowhere.json")
