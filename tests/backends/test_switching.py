"""Two models in turns: the rules, the settings, and a whole partition over two fake models."""

import math
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from onoff_core.backends.fake import STOP, FakeTokenizer
from onoff_core.backends.switching import FIRST, SECOND, Rules, Turns
from onoff_core.checks.counting import count_distributions
from onoff_core.errors import ModelError, SettingsError
from onoff_core.grid import fingerprints
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import materialize_rewards, materialize_samples, materialize_token_distributions
from onoff_core.store import connect_catalog
from onoff_core.study import Partition, Study, SwitchSettings, load_study, parse_study
from onoff_core.study import settings as study_settings
from tests.conftest import ROOT, MakeProject


def rules(when: dict[str, Any], back: dict[str, Any] | None = None) -> Rules:
    settings = SwitchSettings.model_validate({"first": "a", "second": "b", "when": when, "back": back})
    return Rules.of(settings, FakeTokenizer().vocabulary, "mixed")


def writers(rules: Rules, seen: list[tuple[float, float, str]]) -> list[int]:
    """Who draws each token, where `seen` has the KL, the entropy and the token that is then drawn."""
    turns, ids, found = Turns(rules), list[int](), []
    for kl, entropy, token in seen:
        found.append(turns.next(kl, entropy, ids))
        ids.append(ord(token))
    return found


@pytest.mark.parametrize(
    ("when", "back", "seen", "expected"),
    [
        ({"kl": 0.5}, None, [(0.4, 0, "a"), (0.6, 0, "a"), (0.5, 0, "a"), (0.7, 0, "a")], "1212"),
        ({"kl": 0.5}, {"kl": 0.1}, [(0.6, 0, "a"), (0.3, 0, "a"), (0.1, 0, "a"), (0.3, 0, "a")], "2211"),
        ({"entropy": 1.0}, None, [(0, 1.0, "a"), (0, 1.5, "a"), (0, 0.2, "a")], "121"),
        ({"entropy": 1.0}, {"entropy": 0.5}, [(0, 2.0, "a"), (0, 0.7, "a"), (0, 0.5, "a")], "221"),
        ({"token": "x"}, {"token": ["\n", "."]}, [(0, 0, c) for c in "axbc.dx\ne"], "112221121"),
        ({"token": ["x"]}, {"tokens": 2}, [(0, 0, c) for c in "xabcd"], "12211"),
        ({"kl": 0.5}, {"tokens": 3}, [(kl, 0, "a") for kl in (0.6, 0, 0, 0.6, 0, 0, 0)], "2222221"),
        ({"entropy": 0.0}, {"tokens": 1}, [(0, 1, "a")] * 4, "2222"),
        ({"kl": 0.5}, {"entropy": 1.0}, [(0.6, 2, "a"), (0.1, 2, "a"), (0.1, 1, "a"), (0.1, 2, "a")], "2211"),
    ],
)
def test_who_writes(when: dict[str, Any], back: Any, seen: list[tuple[float, float, str]], expected: str) -> None:
    assert "".join(map(str, writers(rules(when, back), seen))) == expected


def test_a_text_that_is_no_token_is_a_sentence() -> None:
    with pytest.raises(ModelError, match=r"models\.mixed\.switch\.back\.token: 'xy' is no single token"):
        rules({"kl": 1.0}, {"token": "xy"})


def study_of(switch: dict[str, Any] | None = None, **more: Any) -> Study:
    models = {
        "a": {"model_name": "fake", "backend_type": "fake", "task": {"format_type": "structured"}},
        "b": {"model_name": "fake", "backend_type": "fake"},
        "server": {
            "model_name": "m",
            "backend_type": "openai",
            "backend_specific": {"endpoints": ["http://127.0.0.1:1/v1"]},
        },
        "torch": {"model_name": "owner/m"},
        "mixed": {
            "backend_type": "switch",
            "switch": {"first": "a", "second": "b", "when": {"kl": 0.5}, **(switch or {})},
            **more,
        },
    }
    return parse_study({"datasets": {"arithmetic": {}}, "models": models}, Path("/study/onoff.yaml"))


def test_the_entry_takes_the_firsts_weights_and_prompts() -> None:
    study = study_of()
    settings, task = study.models["mixed"], study.partition("arithmetic|mixed").task
    assert (settings.model_name, task.format_type) == ("fake", "structured")
    assert settings.switch is not None
    assert settings.switch.second_model is not None
    assert study_of(task={"format_type": "boxed"}).partition("arithmetic|mixed").task.format_type == "boxed"


@pytest.mark.parametrize(
    ("switch", "more", "said"),
    [
        ({"first": "c"}, {}, r"models.mixed.switch.first: there is no model 'c'"),
        ({"second": "a"}, {}, "first and second are both a; name two models"),
        ({"second": "server"}, {}, "server is of backend_type openai, which does not show its whole distribution"),
        ({"second": "mixed"}, {}, "mixed is of backend_type switch"),
        ({"second": "torch"}, {}, "a is of backend_type fake and torch of huggingface"),
        ({"when": {"kl": 0.5, "entropy": 1.0}}, {}, "models.mixed.switch.when: one of kl, entropy, token is wanted"),
        ({"when": {}}, {}, "one of kl, entropy, token is wanted, not none"),
        ({"when": {"tokens": 3}}, {}, "models.mixed.switch.when.tokens: unknown key"),
        ({"when": {"kl": -1}}, {}, "models.mixed.switch.when.kl"),
        ({"back": {"tokens": 0}}, {}, "models.mixed.switch.back.tokens"),
        ({"back": {"token": []}}, {}, "models.mixed.switch.back.token"),
        ({}, {"model_name": "x"}, "model_name is that of the model that switch.first names"),
        ({}, {"backend_specific": {"device": "cpu"}}, "backend_specific is that of the model"),
        ({}, {"backend_type": "fake", "model_name": "fake"}, "go together"),
    ],
)
def test_a_mistake_is_a_sentence(switch: dict[str, Any], more: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        study_of(switch, **more)


def test_a_switch_without_its_section_is_a_sentence() -> None:
    models = {"mixed": {"backend_type": "switch"}}
    with pytest.raises(SettingsError, match=r"backend_type: switch and switch: .* go together"):
        parse_study({"datasets": {"arithmetic": {}}, "models": models}, Path("/study/onoff.yaml"))


def test_the_fingerprint_is_of_both_models_and_the_conditions() -> None:
    def version(study: Study, model: str = "mixed") -> str:
        return fingerprints.sampling_settings_version(study.partition(f"arithmetic|{model}"))

    found = [study_of(), study_of({"when": {"kl": 0.6}}), study_of({"back": {"tokens": 2}})]
    assert len({version(study) for study in found} | {version(found[0], "a")}) == 4
    assert version(study_of()) == version(study_of())


@pytest.fixture
def mixed(make_project: MakeProject) -> Partition:
    def says(text: str) -> dict[str, Any]:
        return {"model_name": "fake", "backend_type": "fake", "backend_specific": {"script": {"responses": [text]}}}

    make_project(
        models={
            "a": says("one. two. three."),
            "b": says("ONE. TWO. THREE."),
            "mixed": {
                "backend_type": "switch",
                "switch": {"first": "a", "second": "b", "when": {"token": "."}, "back": {"tokens": 3}},
            },
        },
        sampling={"max_length": 40, "num_samples": 2, "seed": 1},
    )
    return load_study().partition("arithmetic|mixed")


def test_a_partition_of_two_fake_models_is_made_graded_and_scored(mixed: Partition) -> None:
    store = open_store(load_study())
    samples = materialize_samples(mixed, store, lambda line: None)
    row = samples.generation.read().to_pylist()[0]
    assert row["response"] == "one. TWo. THree."
    assert row["drawn_by"] == [1] * 4 + [2] * 3 + [1] * 2 + [2] * 3 + [1] * 4 + [2]
    assert (row["token_ids"][-1], row["finish_reason"]) == (STOP, "stop")
    materialize_rewards(mixed, store, lambda line: None)
    scored = materialize_token_distributions(mixed, store, lambda line: None)
    assert scored.manifest.num_rows == sum(samples.generation.read()["num_tokens"].to_pylist())
    counts = count_distributions(samples.generation, scored.generation)
    assert counts.compared == sum(one == 1 for r in samples.generation.read().to_pylist() for one in r["drawn_by"])
    page = (ROOT / "docs" / "switching.md").read_text()
    share, taken = re.findall(r"```sql\n(.*?)```", page, flags=re.DOTALL)
    with connect_catalog(store) as connection:
        ((*_, found),) = connection.execute(share).fetchall()
        positions = [row[4] for row in connection.execute(taken).fetchall()]
    assert found == pytest.approx(7 / 17)
    assert positions == [4, 9, 16] * 8


def test_the_documented_settings_are_valid(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "switching.md").read_text()
    block = re.findall(r"(?m)^    models:\n(?:      .*\n)+", page)[0]
    (tmp_path / "onoff.yaml").write_text("datasets: {arithmetic: {}}\n" + textwrap.dedent(block))
    settings = load_study(tmp_path / "onoff.yaml").models["mixed"]
    assert settings.model_name == "Qwen/Qwen3-8B-Base"
    for condition in re.findall(r"`(when|back): (\{.*?\})`", page):
        kind = {"when": study_settings.Condition, "back": study_settings.BackCondition}[condition[0]]
        kind.model_validate(yaml.safe_load(condition[1]))


def test_fake_models_without_a_script_draw_by_the_responses_own_numbers(make_project: MakeProject) -> None:
    fake = {"model_name": "fake", "backend_type": "fake"}
    switch = {"first": "a", "second": "b", "when": {"entropy": math.log(258) - 0.1}}
    make_project(models={"a": fake, "b": fake, "mixed": {"backend_type": "switch", "switch": switch}})
    study = load_study()
    store = open_store(study)
    rows = {
        name: materialize_samples(study.partition(f"arithmetic|{name}"), store, lambda line: None).generation.read()
        for name in ("a", "mixed")
    }
    assert rows["a"]["token_ids"] == rows["mixed"]["token_ids"]
    assert {one for drawn in rows["mixed"]["drawn_by"].to_pylist() for one in drawn} == {SECOND}
    assert rows["a"]["drawn_by"].to_pylist() == [None] * 12
    assert FIRST == 1
