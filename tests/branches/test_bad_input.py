"""What cannot be branched is said in one sentence that names it."""

import json
from typing import Any

import pytest

from onoff_core.cli.main import main
from onoff_core.errors import MissingInputError, ModelError, SettingsError
from onoff_core.exchange.importing import import_results
from onoff_core.grid.asked import asked_assets
from onoff_core.grid.branches import materialize_branches
from onoff_core.grid.materialize import materialize_rewards, materialize_samples, materialize_token_distributions
from onoff_core.store import Store
from onoff_core.study import load_study
from tests.branches.conftest import MakeChain
from tests.conftest import MakeProject


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (
            {"responses": {"status": "bad"}},
            "branches.responses.status: should be 'wrong', 'correct' or 'any', not 'bad'",
        ),
        (
            {"positions": {"how": "random"}},
            "branches.positions.how: should be 'entropy', 'forks', 'every', 'tokens', 'at'",
        ),
        ({"positions": {"how": "tokens"}}, "branches.positions: how: tokens needs tokens, a list that is not empty"),
        ({"positions": {"at": [1]}}, "branches.positions: at goes with how: at"),
        ({"positions": {"how": "at", "at": [-1]}}, "branches.positions.at.0: should be greater than or equal to 0"),
        ({"positions": {"how": "every", "n": 0}}, "branches.positions.n: should be greater than or equal to 1"),
        (
            {"alternatives": {"min_probability": 2}},
            "branches.alternatives.min_probability: should be less than or equal",
        ),
        ({"continuations": 0}, "branches.continuations: should be greater than or equal to 1"),
        ({"position": {}}, "branches.position: unknown key; did you mean 'positions'?"),
    ],
)
def test_settings_are_refused_before_anything_is_loaded(
    make_project: MakeProject, section: dict[str, Any], says: str
) -> None:
    make_project(branches=section)
    with pytest.raises(SettingsError) as error:
        load_study()
    assert says in str(error.value)
    assert "onoff.yaml" in str(error.value)


def test_not_asked_for_says_what_to_write(make_project: MakeProject) -> None:
    make_project()
    study = load_study()
    with pytest.raises(
        SettingsError, match=r"do not ask for branches of arithmetic\|tiny: write `branches: \{\}` into"
    ):
        materialize_branches(study.partition("arithmetic|tiny"), Store(study.store_path))


def test_what_two_models_wrote_in_turns_is_not_asked_for_and_refused(make_project: MakeProject) -> None:
    tiny = {"model_name": "fake", "backend_type": "fake"}
    both = {"backend_type": "switch", "switch": {"first": "tiny", "second": "other", "when": {"entropy": 1.0}}}
    make_project(branches={}, models={"tiny": tiny, "other": tiny, "both": both})
    study = load_study()
    assert "branches" in asked_assets(study.partition("arithmetic|tiny"))
    partition = study.partition("arithmetic|both")
    assert "branches" not in asked_assets(partition)
    with pytest.raises(ModelError, match=r"arithmetic\|both are written by two models in turns"):
        materialize_branches(partition, Store(study.store_path))


def test_what_is_not_there_yet_is_named_with_its_command(make_project: MakeProject) -> None:
    make_project(branches={})
    study = load_study()
    partition, store = study.partition("arithmetic|tiny"), Store(study.store_path)
    for made, lacking in ((materialize_samples, "samples"), (materialize_rewards, "rewards")):
        with pytest.raises(MissingInputError, match=f"{lacking} of .* is not there yet"):
            materialize_branches(partition, store)
        made(partition, store)
    with pytest.raises(MissingInputError, match="--select token_distributions"):
        materialize_branches(partition, store)


def test_positions_and_tokens_that_there_are_not_are_named(make_chain: MakeChain) -> None:
    project = make_chain()
    faults: list[tuple[dict[str, Any], str]] = [
        ({"how": "at", "at": [0, 400]}, r"problem p0, sample 0 has 18 tokens, so there is no position 400"),
        ({"how": "tokens", "tokens": ["Wait"]}, "the tokenizer has no token 'Wait'"),
        ({"how": "tokens", "tokens": [70000]}, "the tokenizer has no token with the id 70000"),
    ]
    for positions, says in faults:
        with pytest.raises(SettingsError, match=says):
            project.branch(positions=positions)
    with pytest.raises(
        SettingsError, match=r"5 tokens of each distribution are needed .* keep 3; raise distribution.top_k"
    ):
        project.branch(alternatives={"top_k": 5})


def test_responses_that_came_as_text_are_refused(make_chain: MakeChain) -> None:
    """They have token ids, which nobody drew."""
    project = make_chain()
    results = [
        {"question": f"{n}?", "reference": "1", "samples": ["\\boxed{1}", "gg"], "rewards": [1.0, 0.0]}
        for n in range(2)
    ]
    (project.folder / "results.json").write_text(json.dumps({"results": results}))
    import_results(project.partition, project.store, project.folder / "results.json")
    for made in (materialize_rewards, materialize_token_distributions):
        made(project.partition, project.store)
    with pytest.raises(ModelError, match=r"samples of chain\|tiny came as text, .* tokenized"):
        project.branch()


def test_samples_of_another_model_and_rewards_of_earlier_samples_are_refused(make_chain: MakeChain) -> None:
    project = make_chain()
    project.write(models={"tiny": {"model_name": "other", "backend_type": "fake"}})
    with pytest.raises(MissingInputError, match="of another model than the settings name now"):
        project.branch()
    project.write(models={"tiny": {"model_name": "fake", "backend_type": "fake"}}, sampling={"num_samples": 2})
    materialize_samples(project.partition, project.store)
    with pytest.raises(
        MissingInputError, match=r"rewards of chain\|tiny are of earlier samples; run: .*--select rewards"
    ):
        project.branch()


def test_nothing_to_branch_makes_empty_tables(make_chain: MakeChain) -> None:
    project = make_chain(sampling={"max_length": 3, "num_samples": 2, "batch_size": 8})  # no response is right
    made = project.branch(responses={"status": "correct"})
    assert made.manifest.num_rows == 0
    assert project.rows("branch_problems") == []


def test_process_rewards_need_steps(make_chain: MakeChain, capsys: pytest.CaptureFixture[str]) -> None:
    project = make_chain()
    export = ["export", "--what", "process-rewards", "--output", "out"]
    assert main(export) == 1
    assert "branches of chain|tiny is not there yet" in capsys.readouterr().err
    project.branch()
    assert main(export) == 1
    assert "are at positions of `how: at`" in capsys.readouterr().err
    project.branch(positions={"how": "steps"}, continuations=3)
    assert main(export) == 0
    lines = [json.loads(line) for line in (project.folder / "out" / "process_rewards.jsonl").read_text().splitlines()]
    samples = {(row["problem_id"], row["sample_index"]): row for row in project.rows("samples")}
    assert len(lines) == 4
    for line in lines:
        sample = samples[line["problem_id"], line["sample_index"]]
        assert "".join(line["steps"]) == sample["response"]
        assert line["prompt"] == sample["prompt"]
        assert line["steps"][0].endswith("\n\n")
        assert line["values"] == [line["reward"]] * 2
        assert line["n"] == [3, 1]
        assert line["values_low"][1] == line["values_high"][1] == line["reward"]
