"""Bring a `results.json` into the store as a `samples` generation, to be graded, scored and browsed like any other.

What the file does not say is said to be unknown or is made anew, and recorded in the manifest's facts: token ids come
from tokenizing the texts (an empty text is the end token alone, as it was sampled), prompts from the study's task
settings, `token_logprobs` is empty and `finish_reason` is `unknown`. The fingerprint is of the imported content, so an
import is never mistaken for samples that the settings would give.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from onoff_core.exchange.results_file import Result, match_problems, own_problems, read_results
from onoff_core.grid import fingerprints
from onoff_core.grid.materialize import Made, already, finish, keep_problems, keep_vocabulary
from onoff_core.problems import Problem, load_problems, problems_version
from onoff_core.store import Store
from onoff_core.study import Partition
from onoff_core.tables import SCHEMAS, UNKNOWN
from onoff_core.tasks import Prompt, render_prompt

if TYPE_CHECKING:
    from onoff_core.backends.loading import LoadedModel

_RESPONSES_PER_FRAGMENT = 512


def import_results(partition: Partition, store: Store, path: Path, own: bool = False) -> Made:
    """Make a results file (or the folder of a `results.json`) the partition's current samples.

    Its questions have to be the data set's, unless `own` says to take questions and references from the file.
    """
    from onoff_core.backends.tokenizing import load_tokenizer

    results = read_results(path)
    problems, of_dataset = _problems(partition, results, path, own)
    version = problems_version(of_dataset)
    settings = _settings(partition, problems, results)
    fingerprint = fingerprints.fingerprint_of({"asset": "samples", "problems": version, **settings})
    generation = store.generation("samples", (partition.dataset, partition.model), fingerprint)
    with store.writing(generation):
        if generation.is_complete:
            return already(store, generation, logging.getLogger("onoff").info)
        keep_problems(store, partition.dataset, of_dataset, version, replace_current=not own)
        tokenizer = load_tokenizer(partition.model, partition.model_settings, partition.base_dir)
        keep_vocabulary(store, partition.model, tokenizer.vocabulary.pieces, tokenizer.vocabulary.special)
        for index, chunk in enumerate(_chunks(list(zip(problems, results, strict=True)))):
            generation.write_fragment(index, [_table(partition, tokenizer, chunk)])
        facts = {
            "imported": True,
            "imported_from": str(path),
            "token_ids_from": "tokenizing the text",
            "prompts_from": "the study's task settings",
            "problems_from": "the file" if own else "the data set",
            "num_references_differing": sum(
                p.answer.strip() != r.reference.strip() for p, r in zip(problems, results, strict=True)
            ),
            "seed": None,
            "model_revision": None,
            "torch_dtype": None,
        }
        return finish(store, generation, {"problems": version}, settings, facts)


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
    content = [[problem.problem_id, result.samples] for problem, result in zip(problems, results, strict=True)]
    return {
        "imported": fingerprints.fingerprint_of(content),
        "model": sampling["model"],
        "task": sampling["task"],
    }


def _chunks(pairs: Sequence[tuple[Problem, Result]]) -> Iterator[list[tuple[Problem, Result]]]:
    """Whole problems, a fragment's worth at a time."""
    chunk: list[tuple[Problem, Result]] = []
    for pair in pairs:
        if chunk and sum(len(r.samples) for _, r in chunk) + len(pair[1].samples) > _RESPONSES_PER_FRAGMENT:
            yield chunk
            chunk = []
        chunk.append(pair)
    yield chunk


def _table(partition: Partition, tokenizer: "LoadedModel", chunk: Sequence[tuple[Problem, Result]]) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for problem, result in chunk:
        prompt = render_prompt(problem.question, partition.task, tokenizer.chat_template)
        prompt_ids = tokenizer.encode(prompt)
        for index, text in enumerate(result.samples):
            token_ids = tokenizer.encode(Prompt(text, add_special_tokens=False)) or sorted(tokenizer.stop_token_ids)[:1]
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
                }
            )
    return pa.Table.from_pylist(rows, schema=SCHEMAS["samples"])
