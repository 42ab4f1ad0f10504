"""Bring a `results.json` into the store as a `samples` generation, to be graded, scored and browsed like any other.

What the file does not say is said to be unknown or is made anew, and recorded in the manifest's facts: token ids come
from tokenizing the texts (an empty text is the end token alone, as it was sampled), prompts from the file where it has
them and from the study's task settings where not, `token_logprobs` is empty and `finish_reason` is `unknown`. The
fingerprint is of the imported content, so an import is never mistaken for samples that the settings would give.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from onoff_core.exchange.comparing import Comparison, compare
from onoff_core.exchange.results_file import Result, match_problems, own_problems, read_results
from onoff_core.grid import fingerprints
from onoff_core.grid.materialize import Log, Made, already, finish, keep_problems, keep_vocabulary
from onoff_core.grid.thinking import partition_tags
from onoff_core.problems import Problem, load_problems, problems_version
from onoff_core.sampling import ThinkingPlan, facts_of_tags, resolve_tags
from onoff_core.store import Store
from onoff_core.study import Partition
from onoff_core.tables import SCHEMAS, UNKNOWN
from onoff_core.tasks import Prompt, render_prompt

if TYPE_CHECKING:
    from onoff_core.backends.contract import Tokenizer

_RESPONSES_PER_FRAGMENT = 512


@dataclass(frozen=True)
class Imported(Made):
    """What an import made, and how the file differs from what the study would say."""

    comparison: Comparison  # of the file's rewards and extracted answers with ours
    failed: tuple[str, ...]  # samples of the file that hold an error instead of a response; they were left out


def import_results(
    partition: Partition, store: Store, path: Path, own: bool = False, log: Log | None = None
) -> Imported:
    """Make a results file (or the folder of a `results.json`) the partition's current samples.

    Its questions have to be the data set's, unless `own` says to take questions and references from the file. `log`
    takes the lines a person should see.
    """
    say = log or logging.getLogger("onoff").info
    results = read_results(path)
    problems, of_dataset = _problems(partition, results, path, own)
    task = partition.task.model_copy(update={"thinking": partition_tags(partition)})
    comparison = compare(problems, results, task)
    failed = tuple(chain.from_iterable(result.failed for result in results))
    version = problems_version(of_dataset)
    settings = _settings(partition, problems, results)
    fingerprint = fingerprints.fingerprint_of({"asset": "samples", "problems": version, **settings})
    generation = store.generation("samples", (partition.dataset, partition.model), fingerprint)
    with store.writing(generation):
        if generation.is_complete:
            made = already(store, generation, say)
            return Imported(made.generation, made.manifest, made.computed, comparison, failed)
        keep_problems(store, partition.dataset, of_dataset, version, replace_current=not own)
        prompts = Prompts(partition)
        for index, chunk in enumerate(_chunks(list(zip(problems, results, strict=True)))):
            generation.write_fragment(index, [_table(prompts, chunk)])
        keep_vocabulary(store, partition.model, prompts.tokenizer.vocabulary)
        facts = {
            "imported": True,
            "imported_from": str(path),
            "token_ids_from": "tokenizing the text",
            **facts_of_tags(partition.task, prompts.thinking.tags),
            "prompts_from": prompts.come_from,
            "num_prompts_differing": prompts.num_differing,
            "first_prompt_differing": prompts.first_differing,
            "problems_from": "the file" if own else "the data set",
            "num_references_differing": sum(
                p.answer.strip() != r.reference.strip() for p, r in zip(problems, results, strict=True)
            ),
            "num_verdicts_compared": comparison.num_compared,
            "num_rewards_differing": comparison.num_rewards_differing,
            "num_answers_differing": comparison.num_answers_differing,
            "failed": list(failed),
            "seed": None,
            "model_revision": None,
            "torch_dtype": None,
        }
        made = finish(store, generation, {"problems": version}, settings, facts)
        return Imported(made.generation, made.manifest, made.computed, comparison, failed)


def _problems(
    partition: Partition, results: Sequence[Result], path: Path, own: bool
) -> tuple[list[Problem], tuple[Problem, ...]]:
    """(the problem of each result, the set of problems they are of)."""
    if own:
        made = own_problems(results)
        return made, tuple(made)
    of_dataset = load_problems(partition.dataset, partition.dataset_settings, partition.base_dir)
    return match_problems(results, of_dataset, f"{path}: datasets.{partition.dataset}"), of_dataset


def _settings(partition: Partition, problems: Sequence[Problem], results: Sequence[Result]) -> dict[str, Any]:
    """What decides the content: the texts, whose they are, and what prompts and token ids are made with."""
    sampling = fingerprints.sampling_settings(partition)
    content = [_content(problem, result) for problem, result in zip(problems, results, strict=True)]
    return {
        "imported": fingerprints.fingerprint_of(content),
        "model": sampling["model"],
        "task": sampling["task"],
    }


def _content(problem: Problem, result: Result) -> list[Any]:
    """What a file says of a problem; its prompt only where it has one, as not every file does."""
    content: list[Any] = [problem.problem_id, result.samples]
    if result.prompt is not None:
        content.append({"prompt": result.prompt})
    return content


def _chunks(pairs: Sequence[tuple[Problem, Result]]) -> Iterator[list[tuple[Problem, Result]]]:
    """Whole problems, a fragment's worth at a time."""
    chunk: list[tuple[Problem, Result]] = []
    for pair in pairs:
        if chunk and sum(len(r.samples) for _, r in chunk) + len(pair[1].samples) > _RESPONSES_PER_FRAGMENT:
            yield chunk
            chunk = []
        chunk.append(pair)
    yield chunk


class Prompts:
    """The prompt of each result: the file's own where it has one, else what the study renders; and how they differ."""

    def __init__(self, partition: Partition) -> None:
        from onoff_core.backends import open_tokenizer

        self.task = partition.task
        self.tokenizer: Tokenizer = open_tokenizer(partition.model, partition.model_settings, partition.base_dir)
        self.thinking = ThinkingPlan(resolve_tags(self.task.thinking, self.tokenizer, self.task.format_type))
        self.pieces, self.special = self.tokenizer.vocabulary.pieces, self.tokenizer.vocabulary.special
        self.num_given = self.num_rendered = self.num_differing = 0
        self.first_differing: str | None = None  # problem, and from which character on

    def of(self, problem: Problem, given: str | None) -> Prompt:
        """`given`: as the file has it."""
        rendered = render_prompt(problem.question, self.task, self.tokenizer.chat_template)
        if given is None:
            self.num_rendered += 1
            return rendered
        self.num_given += 1
        if given == rendered.text:
            return rendered
        self._differs(problem, given, rendered.text)
        return Prompt(given, add_special_tokens=not self._brings_its_own(given))

    def of_rollout(
        self, problem: Problem, given: str | None, token_ids: Sequence[int] | None
    ) -> tuple[str, Sequence[int]]:
        """(text, ids) of a prompt of which the file may have the ids as well, which then count."""
        if token_ids is None:
            prompt = self.of(problem, given)
            return prompt.text, self.tokenizer.encode(prompt)
        self.num_given += 1
        rendered = render_prompt(problem.question, self.task, self.tokenizer.chat_template)
        text = self.tokenizer.decode(token_ids) if given is None else given
        if self.tokenizer.encode(rendered) != list(token_ids):
            self._differs(problem, text, rendered.text)
        return text, token_ids

    def _differs(self, problem: Problem, given: str, rendered: str) -> None:
        self.num_differing += 1
        if self.first_differing is None:
            self.first_differing = f"problem {problem.problem_id}: {_where_they_part(given, rendered)}"

    def _brings_its_own(self, text: str) -> bool:
        """Whether a prompt begins with a special token, and so needs no first token from the tokenizer."""
        start = text.encode()
        return any(
            piece and start.startswith(piece) for piece, flag in zip(self.pieces, self.special, strict=True) if flag
        )

    def token_ids(self, text: str) -> list[int]:
        """Of a response."""
        ids = self.tokenizer.encode(Prompt(text, add_special_tokens=False))
        return ids or sorted(self.tokenizer.stop_token_ids)[:1]

    @property
    def come_from(self) -> str:
        if not self.num_given:
            return "the study's task settings"
        return "the file" if not self.num_rendered else "the file, and where it has none the study's task settings"


def _where_they_part(file: str, study: str) -> str:
    """Where two prompts differ first, a few characters of each."""
    place = next((i for i, (a, b) in enumerate(zip(file, study, strict=False)) if a != b), min(len(file), len(study)))
    start = max(0, place - 10)
    return (
        f"from character {place} on the file has {file[start : place + 30]!r}, the study {study[start : place + 30]!r}"
    )


def _table(prompts: Prompts, chunk: Sequence[tuple[Problem, Result]]) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for problem, result in chunk:
        prompt = prompts.of(problem, result.prompt)
        prompt_ids = prompts.tokenizer.encode(prompt)
        for index, text in enumerate(result.samples):
            token_ids = prompts.token_ids(text)
            rows.append(
                {
                    "problem_id": problem.problem_id,
                    "sample_index": index,
                    "prompt": prompt.text,
                    "prompt_token_ids": prompt_ids,
                    "response": text,
                    "token_ids": token_ids,
                    "token_logprobs": [],
                    "finish_reason": UNKNOWN,
                    "num_tokens": len(token_ids),
                    **prompts.thinking.columns(prompts.tokenizer.vocabulary, token_ids, prompt.text, UNKNOWN),
                }
            )
    return pa.Table.from_pylist(rows, schema=SCHEMAS["samples"])
