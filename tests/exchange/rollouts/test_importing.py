"""What training runs and servers write becomes samples, with ids and log-probabilities as far as they have them."""

import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from onoff_core.backends.fake import STOP
from onoff_core.cli.main import main
from onoff_core.errors import ExchangeError
from onoff_core.exchange.rollouts.importing import RolloutOptions, import_rollouts
from onoff_core.exchange.rollouts.reading import read_rollouts
from onoff_core.problems import Problem
from tests.conftest import MakeProject
from tests.exchange.rollouts.making import (
    TEXTS,
    ids_of,
    inspect_sample,
    logprobs_of,
    plain_rows,
    project,
    trace,
    trl_completions,
    verl_batch,
    verl_dump,
    vllm_chat,
    vllm_completion,
    write_eval,
    write_lines,
    write_parquet,
)

Problems = tuple[Problem, ...]


def each(problems: Problems, make: Callable[[Problem, str], Any]) -> list[Any]:
    return [make(problem, text) for problem in problems for text in TEXTS]


# name: (writes the file, has ids, has the engine's, has the trainer's, the prompt is the file's)
FORMATS: dict[str, tuple[Callable[[Path, Problems], Path], bool, bool, bool, bool]] = {
    "plain": (lambda f, p: write_lines(f / "r.jsonl", plain_rows(p)), True, True, True, True),
    "plain_parquet": (lambda f, p: write_parquet(f / "r.parquet", plain_rows(p)), True, True, True, True),
    "verl_dump": (lambda f, p: write_lines(f / "12.jsonl", verl_dump(p, 12)), False, False, False, True),
    "verl_generation": (
        lambda f, p: write_parquet(
            f / "g.parquet",
            [
                {
                    "prompt": [{"role": "user", "content": one.question}],
                    "reward_model": {"ground_truth": one.answer},
                    "responses": list(TEXTS),
                }
                for one in p
            ],
        ),
        False,
        False,
        False,
        False,
    ),
    "verl_batch": (lambda f, p: write_parquet(f / "b.parquet", each(p, verl_batch)), True, True, True, True),
    "trl": (
        lambda f, p: write_parquet(f / "completions_00012.parquet", trl_completions(p, 12)),
        False,
        False,
        False,
        False,
    ),
    "traces": (lambda f, p: write_lines(f / "step_12" / "traces.jsonl", each(p, trace)), True, True, True, True),
    "episodes": (
        lambda f, p: write_lines(f / "traces.jsonl", each(p, lambda a, b: {"id": "e", "traces": [trace(a, b)]})),
        True,
        True,
        True,
        True,
    ),
    "eval": (
        lambda f, p: write_eval(f / "log.eval", [inspect_sample(q, t, i) for q in p for i, t in enumerate(TEXTS)]),
        True,
        True,
        False,
        False,
    ),
    "completions": (lambda f, p: write_lines(f / "v.jsonl", each(p, vllm_completion)), True, True, False, True),
    "chat": (lambda f, p: write_lines(f / "c.jsonl", each(p, vllm_chat)), True, True, False, False),
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_becomes_samples(make_project: MakeProject, tmp_path: Path, name: str) -> None:
    write, has_ids, has_rollout, has_trainer, has_prompt = FORMATS[name]
    partition, store, problems = project(make_project)
    made = import_rollouts(partition, store, write(tmp_path / "files", problems), log=lambda line: None)
    rows = made.generation.read().to_pylist()
    expected = [(problem.problem_id, index) for problem in problems for index in range(2)]
    assert [(row["problem_id"], row["sample_index"]) for row in rows] == expected
    assert [row["response"] for row in rows] == list(TEXTS) * len(problems)
    facts = made.manifest.facts
    for row, text in zip(rows, TEXTS * len(problems), strict=True):
        whole = ids_of(text) if has_ids and name not in ("eval",) else ids_of(text)[:-1]
        assert row["token_ids"] == whole
        assert row["num_tokens"] == len(whole)
        assert row["rollout_logprobs"] == (logprobs_of(text)[: len(whole)] if has_rollout else None)
        assert (row["trainer_logprobs"] is not None) == has_trainer
        assert row["token_logprobs"] == []
        assert row["drawn_by"] is None
    assert facts["imported"] is True
    assert (facts["token_ids_from"] == "tokenizing the text") == (not has_ids)
    assert ("logprobs_temperature" in facts) == has_rollout
    assert (facts["prompts_from"] == "the file") == has_prompt
    assert has_prompt or rows[0]["prompt"].startswith("<|im_start|>")


def test_a_prompt_that_is_ids_is_kept_as_it_is(make_project: MakeProject, tmp_path: Path) -> None:
    partition, store, problems = project(make_project)
    for name in ("plain", "verl_batch", "completions"):
        path = FORMATS[name][0](tmp_path / name, problems)
        rows = import_rollouts(partition, store, path, log=lambda line: None).generation.read().to_pylist()
        assert rows[0]["prompt"] == f"Q: {problems[0].question}\nA:"
        assert rows[0]["prompt_token_ids"] == list(rows[0]["prompt"].encode())


def test_of_a_trace_the_prompt_is_all_before_what_was_sampled(make_project: MakeProject, tmp_path: Path) -> None:
    partition, store, problems = project(make_project)
    path = write_lines(tmp_path / "traces.jsonl", each(problems, trace))
    made = import_rollouts(partition, store, path, log=lambda line: None)
    row = made.generation.read().to_pylist()[0]
    assert row["prompt"] == f"{problems[0].question}\nA:"
    assert row["finish_reason"] == "stop"
    assert made.comparison.num_compared == 2 * len(problems)  # 1 x 1.0 + 1 x 0.5 is no verdict of ours
    assert made.comparison.num_rewards_differing == 2 * len(problems)


def test_what_is_no_response_is_left_out_and_said(make_project: MakeProject, tmp_path: Path) -> None:
    _, _, problems = project(make_project)
    good = trace(problems[0], TEXTS[0])
    two_turns = trace(problems[0], TEXTS[0])
    two_turns["nodes"] = [*two_turns["nodes"], {**two_turns["nodes"][1], "parent": 1}]
    failed = trace(problems[0], TEXTS[0], nodes=good["nodes"][:1], errors=[{"type": "Timeout"}])
    read = read_rollouts(write_lines(tmp_path / "t.jsonl", [good, two_turns, failed]))
    assert len(read.rollouts) == 1
    assert ["2 turns" in said or "Timeout" in said for said in read.left_out] == [True, True]


def test_a_trace_of_the_older_form_has_ids_where_its_trajectory_was_kept(tmp_path: Path) -> None:
    tokens = {"prompt_ids": [1, 2], "completion_ids": [3, 4], "completion_logprobs": [-0.5, -0.25]}
    row = {
        "example_id": 3,
        "prompt": [{"role": "user", "content": "1 + 1?"}],
        "completion": [{"role": "assistant", "content": "2"}],
        "answer": "2",
        "reward": 1.0,
        "trajectory": [{"tokens": tokens}],
    }
    without = {name: value for name, value in row.items() if name != "trajectory"}
    one, other = read_rollouts(write_lines(tmp_path / "train_rollouts.jsonl", [row, without])).rollouts
    assert (one.token_ids, one.rollout_logprobs, one.prompt_token_ids) == ((3, 4), (-0.5, -0.25), (1, 2))
    assert (other.token_ids, other.response, other.question, other.answer) == (None, "2", "1 + 1?", "2")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rollout_logprobs": [-1.0]}, r"row 0: rollout_logprobs has 1 values for a response of \d+ tokens"),
        ({"trainer_logprobs": [0.5] * len(ids_of(TEXTS[0]))}, "above 0; natural log-probabilities are wanted"),
        ({"rollout_logprobs": [math.nan] * len(ids_of(TEXTS[0]))}, "is no number at position 0"),
        ({"rollout_logprobs": [-9999.0] * len(ids_of(TEXTS[0]))}, "the logits were broken there"),
        ({"token_ids": []}, "its response has no tokens"),
        ({"token_ids": [1, -4]}, "holds -4, which is no token id"),
        ({"token_ids": [1.5]}, "holds 1.5, which is no token id"),
        ({"token_ids": None}, "has neither a response nor token ids"),
        ({"token_ids": [300], "rollout_logprobs": [-1.0], "trainer_logprobs": None}, "another vocabulary"),
        ({"response": "Something quite different."}, "so they are another tokenizer's"),
        ({"problem_id": "nobody", "prompt_token_ids": None}, "says neither a question nor a prompt"),
        ({"problem_id": None, "prompt_token_ids": list(b"Who?")}, "are of no problem of the data set.*Who"),
        ({"step": 1.5}, "step should be a whole number"),
        ({"reward": math.inf}, "row 0: a reward should be a finite number, not inf; write null"),
        ({"prompt_token_ids": [999]}, "its prompt: has the token id 999"),
    ],
)
def test_bad_input_is_a_sentence(make_project: MakeProject, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    partition, store, problems = project(make_project)
    rows = plain_rows(problems[:1])[:1]
    path = write_lines(tmp_path / "r.jsonl", [{**rows[0], **change}])
    with pytest.raises(ExchangeError, match=said):
        import_rollouts(partition, store, path, log=lambda line: None)
    assert store.current("samples", ("arithmetic", "tiny")) is None


@pytest.mark.parametrize(
    ("ids", "rollout", "trainer"),
    [
        ("completion_ids", "sampling_per_token_logps", "old_per_token_logps"),
        ("response_ids", "rollout_log_probs", "old_log_probs"),
        ("responses", "completion_logprobs", "trainer_logprobs"),
        ("token_ids", "logprobs", "trainer_log_probs"),
    ],
)
def test_columns_are_found_under_the_names_that_trainers_give_them(
    tmp_path: Path, ids: str, rollout: str, trainer: str
) -> None:
    row = {ids: [5, 6], rollout: [-1.0, -2.0], trainer: [-1.5, -2.5], "prompt": "1 + 1?"}
    (read,) = read_rollouts(write_parquet(tmp_path / "batch.parquet", [row])).rollouts
    assert (read.token_ids, read.rollout_logprobs, read.trainer_logprobs) == ((5, 6), (-1.0, -2.0), (-1.5, -2.5))


def test_a_reward_that_is_nan_is_no_verdict(make_project: MakeProject, tmp_path: Path) -> None:
    partition, store, problems = project(make_project)
    rows = plain_rows(problems[:1])
    path = write_lines(tmp_path / "r.jsonl", [{**row, "reward": math.nan} for row in rows])
    compared = import_rollouts(partition, store, path, log=lambda line: None).comparison
    assert (compared.num_compared, len(compared.nan_rewards)) == (0, len(rows))


def test_each_step_is_a_policy_of_its_own(make_project: MakeProject, tmp_path: Path) -> None:
    partition, store, problems = project(make_project)
    for step in (2, 10):
        write_lines(tmp_path / "dump" / f"{step}.jsonl", verl_dump(problems, step))
    with pytest.raises(ExchangeError, match=r"2 steps \(2 to 10\), each of another policy; name one with --step"):
        import_rollouts(partition, store, tmp_path / "dump")
    with pytest.raises(ExchangeError, match="no rollouts of step 3"):
        import_rollouts(partition, store, tmp_path / "dump", RolloutOptions(step=3))
    made = import_rollouts(partition, store, tmp_path / "dump", RolloutOptions(step=10), log=lambda line: None)
    assert made.manifest.facts["step"] == 10
    assert made.manifest.num_rows == 2 * len(problems)


def test_a_folder_of_prime_rl_is_read_once(tmp_path: Path, make_project: MakeProject) -> None:
    _, _, problems = project(make_project)
    for kind in ("all", "effective"):
        write_lines(tmp_path / "rollouts/step_7/train" / kind / "traces.jsonl", [trace(problems[0], TEXTS[0])])
    (rollout,) = read_rollouts(tmp_path / "rollouts").rollouts
    assert rollout.step == 7


def test_ids_follow_from_the_bytes_of_tokens_only_where_they_say_which(
    make_project: MakeProject, tmp_path: Path
) -> None:
    partition, store, problems = project(make_project)
    sample = inspect_sample(problems[0], TEXTS[0], 0)
    content = sample["output"]["choices"][0]["logprobs"]["content"]
    content.append({"token": "<|im_end|>", "logprob": -2.0, "bytes": list(b"<|im_end|>")})
    path = write_eval(tmp_path / "whole.eval", [sample])
    row = import_rollouts(partition, store, path, log=lambda line: None).generation.read().to_pylist()[0]
    assert row["token_ids"] == ids_of(TEXTS[0])
    assert row["token_ids"][-1] == STOP
    content[0]["bytes"] = list(b"two bytes")
    made = import_rollouts(partition, store, write_eval(tmp_path / "unknown.eval", [sample]), log=lambda line: None)
    assert made.generation.read().to_pylist()[0]["rollout_logprobs"] is None
    assert made.manifest.facts["token_ids_from"] == "tokenizing the text"
    assert made.manifest.facts["num_logprobs_dropped"] == 1


def test_a_log_that_is_compressed_by_zstandard_is_read(make_project: MakeProject, tmp_path: Path) -> None:
    """Inspect writes such members where it may; the frames of a large sample are several."""
    _, _, problems = project(make_project)
    sample = json.dumps(inspect_sample(problems[0], TEXTS[0], 1)).encode()
    packed = b"".join(pa.compress(part, "zstd", asbytes=True) for part in (sample[:50], sample[50:]))
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("samples/a_epoch_1.json", packed)
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):  # the method, in both headers
        at = content.index(mark) + place
        content[at : at + 2] = (93).to_bytes(2, "little")
    path.write_bytes(content)
    (rollout,) = read_rollouts(path).rollouts
    assert rollout.response == TEXTS[0]


def test_a_log_of_inspect_says_long_texts_elsewhere(make_project: MakeProject, tmp_path: Path) -> None:
    partition, store, problems = project(make_project)
    sample = inspect_sample(problems[1], TEXTS[1], 1, id=7, input="attachment://abc")
    sample["attachments"] = {"abc": problems[1].question}
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"version": 2, "eval": {}, "samples": [sample]}))
    made = import_rollouts(partition, store, path, log=lambda line: None)
    assert made.generation.read()["problem_id"].to_pylist() == [problems[1].problem_id]


def test_questions_and_answers_can_come_from_the_file(make_project: MakeProject, tmp_path: Path) -> None:
    partition, store, _problems = project(make_project)
    rows = [{"question": "How old?", "answer": "4", "response": text} for text in TEXTS]
    path = write_lines(tmp_path / "r.jsonl", rows)
    made = import_rollouts(partition, store, path, RolloutOptions(own_problems=True), log=lambda line: None)
    assert made.generation.read()["problem_id"].to_pylist() == ["imported-0"] * 2
    del rows[1]["answer"]
    with pytest.raises(ExchangeError, match="row 1: has no gold answer"):
        import_rollouts(partition, store, write_lines(path, rows), RolloutOptions(own_problems=True))


def test_an_id_of_somebody_elses_does_not_outdo_the_question(make_project: MakeProject, tmp_path: Path) -> None:
    """Programs number their samples too, and the numbers may be ids of ours by chance."""
    partition, store, problems = project(make_project)
    rows = [{"problem_id": problems[0].problem_id, "question": problems[2].question, "response": "4"}]
    made = import_rollouts(partition, store, write_lines(tmp_path / "r.jsonl", rows), log=lambda line: None)
    assert made.generation.read()["problem_id"].to_pylist() == [problems[2].problem_id]


def test_texts_that_ids_do_not_give_are_said_where_they_are_few(make_project: MakeProject, tmp_path: Path) -> None:
    partition, store, problems = project(make_project)
    rows = plain_rows(problems)
    for row in rows:
        row["response"] = bytes(row["token_ids"][:-1]).decode()
    rows[0]["response"] = "Something else."
    made = import_rollouts(partition, store, write_lines(tmp_path / "r.jsonl", rows), log=lambda line: None)
    assert made.manifest.facts["num_texts_differing"] == 1
    assert "row 0: the file says 'Something else.'" in made.manifest.facts["first_text_differing"]
    assert made.generation.read()["response"].to_pylist()[0] == TEXTS[0]  # the ids count


def test_the_command_says_what_the_file_does_not_have(
    make_project: MakeProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, problems = project(make_project)
    path = write_lines(tmp_path / "12.jsonl", verl_dump(problems, 12))
    assert main(["import", str(path)]) == 0
    said = capsys.readouterr().out
    assert "note: the file carries no token ids (format: rows), so they come from tokenizing the text" in said
    assert "there are no log-probabilities to compare with ours" in said
    assert main(["import", str(write_lines(tmp_path / "p.jsonl", plain_rows(problems)))]) == 0
    assert "does not say at which temperature" in capsys.readouterr().out
    assert main(["import", str(path), "--step", "3"]) == 1
    assert main(["import", str(tmp_path / "none.jsonl")]) == 1
    assert "none.jsonl: no such file" in capsys.readouterr().err


def test_the_same_rollouts_again_are_the_same_samples(make_project: MakeProject, tmp_path: Path) -> None:
    partition, store, problems = project(make_project)
    path = write_lines(tmp_path / "r.jsonl", plain_rows(problems))
    first = import_rollouts(partition, store, path, log=lambda line: None)
    assert not import_rollouts(partition, store, path, log=lambda line: None).computed
    other = plain_rows(problems)
    other[0]["trainer_logprobs"][0] = -3.0
    again = import_rollouts(partition, store, write_lines(path, other), log=lambda line: None)
    assert again.computed
    assert again.generation.fingerprint != first.generation.fingerprint


def test_imported_responses_say_where_they_think(make_project: MakeProject, tmp_path: Path) -> None:
    tags = {"open": "<r>", "close": "</r>"}
    partition, store, problems = project(make_project, task={"thinking": tags})
    texts = ["<r>a\n\nb</r>c", "<r>never", "none"]
    kept = ("problem_id", "prompt_token_ids")
    rows = [
        {**{name: row[name] for name in kept}, "token_ids": list(text.encode()), "finish_reason": "length"}
        for row, text in zip(plain_rows(problems), texts, strict=False)
    ]
    import_rollouts(partition, store, write_lines(tmp_path / "r.jsonl", rows))
    samples = store.require("samples", partition.names)
    found = {row["response"]: row for row in samples.read().to_pylist()}
    told = [(found[text]["answer_start"], found[text]["step_starts"], found[text]["finish_reason"]) for text in texts]
    assert told == [(11, [0, 6], "length"), (None, [0], "length_in_thinking"), (None, [], "length")]
    assert samples.manifest().facts["thinking"] == {**tags, "auto": False}
