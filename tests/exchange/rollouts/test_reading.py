"""Files of rollouts before they meet a study: which they are, and what cannot be read is a sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from onoff_core.errors import ExchangeError
from onoff_core.exchange.rollouts.reading import is_rollouts, read_rollouts
from tests.exchange.rollouts.making import write_lines


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty|no"),
        ('{"a": 1}\n', "none of the formats of rollouts; its first entry has a"),
        ("{", "JSON|cannot"),
        ('{"token_ids": [1], "reward": 1' + "0" * 400 + "}", "row 0: reward should be a number, not 10"),
        (
            '{"token_ids": [1], "logprobs": [-1' + "0" * 400 + "]}",
            "rollout_logprobs should be a number, not -10",
        ),
        ('{"responses": [1, 2], "response_mask": [1, null]}', r"mask should be a list of 0 and 1, not \[1, None\]"),
        ('{"responses": [1], "response_mask": 1}', "mask should be a list of 0 and 1, not 1"),
        ('{"responses": [1], "response_mask": [1], "prompts": [2], "attention_mask": 5}', "attention_mask should be a"),
        ('{"choices": [null]}', "holds no rollouts"),
    ],
)
def test_a_file_of_no_format_is_a_sentence(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "x.jsonl").write_text(content)
    with pytest.raises(ExchangeError, match=said):
        read_rollouts(tmp_path / "x.jsonl")


def test_a_broken_archive_and_a_missing_file_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "x.eval").write_text("no zip")
    for name in ("x.eval", "missing.eval", "missing.jsonl", "missing.parquet"):
        with pytest.raises(ExchangeError, match=name):
            read_rollouts(tmp_path / name)


def test_tokens_inside_a_response_that_are_not_the_models_are_refused(tmp_path: Path) -> None:
    row = {"prompts": [1], "responses": [1, 2, 3], "response_mask": [1, 0, 1]}
    with pytest.raises(ExchangeError, match="only responses of one turn are read"):
        read_rollouts(write_lines(tmp_path / "r.jsonl", [row]))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"config": "x" * 10_000, "results": []}, False),
        ({"version": 2, "eval": {}, "results": {}, "samples": []}, True),
        ([{"response": "4"}], True),
        ({"choices": []}, True),
    ],
)
def test_a_json_file_is_told_from_a_results_file_by_what_it_holds(tmp_path: Path, content: Any, expected: bool) -> None:
    path = tmp_path / "some.json"
    path.write_text(json.dumps(content))
    assert is_rollouts(path) is expected
