"""Every mistake in `onoff.yaml` is one clear sentence: the file, the key, what is wrong and what is allowed."""

import time
from pathlib import Path
from typing import Any

import pytest

from onoff_core.errors import PartitionError, SettingsError
from onoff_core.study import load_study, parse_study
from tests.study.test_reading import MINIMAL, write

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


@pytest.mark.parametrize(
    ("said", "words"),
    [("010", "010 is 8 to YAML; write 8"), ("1:30", "1:30 is 90 to YAML; write 90"), ("-0_7", "is -7 to YAML")],
)
def test_a_number_that_yaml_takes_for_another(tmp_path: Path, said: str, words: str) -> None:
    path = write(tmp_path, f"datasets: {{a: {{}}}}\nmodels: {{m: {{model_name: x}}}}\nsampling: {{seed: {said}}}\n")
    with pytest.raises(SettingsError, match=words):
        load_study(path)


@pytest.mark.parametrize(("said", "value"), [("1e-3", 0.001), ("5E0", 5.0), ("+2e+1", 20.0)])
def test_an_exponent_without_a_point_is_a_number(tmp_path: Path, said: str, value: float) -> None:
    text = f"datasets: {{a: {{}}}}\nmodels: {{m: {{model_name: x}}}}\nsampling: {{temperature: {said}}}\n"
    assert load_study(write(tmp_path, text)).partition("a|m").sampling.temperature == value


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ('"a\\0b"', "has a character of value 0"),
        ("~nobody_of_this_name/store", "there is no home folder for ~nobody_of_this_name"),
        ("é" * 200, "is longer than the name of a file can be"),
        ("/".join(["folder"] * 700), "is longer than the name of a file can be"),
    ],
)
@pytest.mark.parametrize("key", ["store: {path: %s}", "task_config: %s"])
def test_a_path_that_no_file_can_have(tmp_path: Path, key: str, place: str, words: str) -> None:
    text = "datasets: {a: {}}\nmodels: {m: {model_name: x}}\n" + key % place
    with pytest.raises(SettingsError, match=words) as refused:
        load_study(write(tmp_path, text)).store_path  # noqa: B018
    assert len(str(refused.value)) < 500


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
