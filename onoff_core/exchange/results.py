"""`results.json` and `statistics.json`: questions, samples, rewards and the numbers made of them."""

import json
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from onoff_core.errors import StoreError
from onoff_core.exchange.files import WRITTEN_BY, Say, info, mark_of_now, replacing
from onoff_core.exchange.options import ExportOptions
from onoff_core.exchange.scripts_shape import ResultsStatistics, result_entry
from onoff_core.grid_tables import STATISTICS_IF_ASKED
from onoff_core.store import Generation, Store
from onoff_core.store.by_problem import ByProblem, Placed
from onoff_core.tables import SCHEMAS

RESULTS_NAME, STATISTICS_NAME = "results.json", "statistics.json"

Row = dict[str, Any]


def export_results(
    store: Store, key: tuple[str, str], folder: Path, options: ExportOptions | None = None, say: Say = info
) -> list[Path]:
    """Write both files of a partition (dataset, model) into a folder; the files written.

    Samples and rewards are those its current statistics were made of, so the three always agree. `say` is told of what
    was renamed because another program had written it.
    """
    options = options or ExportOptions()
    statistics = store.require("statistics", key)
    inputs = statistics.manifest().inputs
    rewards = _complete(store.generation("rewards", key, inputs["rewards"]))
    samples = _complete(store.generation("samples", key, inputs["samples"]))
    version = samples.manifest().inputs["problems"]
    problems = {
        row["problem_id"]: row for row in _complete(store.generation("problems", key[:1], version)).read().to_pylist()
    }
    by_problem = ((problems[rows[0]["problem_id"]], rows) for rows in _joined(store, samples, rewards))
    mark = mark_of_now(folder, [RESULTS_NAME, STATISTICS_NAME])
    with (
        replacing(folder / RESULTS_NAME, say, mark) as scratch,
        replacing(folder / STATISTICS_NAME, say, mark) as statistics_scratch,
        scratch.open("w", encoding="utf-8") as file,
    ):
        file.write(f'{{"written_by": "{WRITTEN_BY}",\n"results": [')
        if options.shape == "scripts":
            summary = ResultsStatistics(key, options.split, samples.manifest(), rewards.manifest())
            for number, (problem, rows) in enumerate(by_problem):
                file.write(("\n" if not number else ",\n") + _dump(result_entry(number, problem, rows)))
                summary.add(rows)
            totals = summary.totals()
        else:
            counts: list[int] = []
            for problem, rows in by_problem:
                file.write(("\n" if not counts else ",\n") + _dump(_result(problem, rows)))
                counts.append(len(rows))
            totals = _statistics(statistics.read().to_pylist()[0], counts)
        file.write(f'\n],\n"statistics": {_dump(totals, indent=1)}}}\n')
        content = _dump({"written_by": WRITTEN_BY, **totals}, indent=1)
        statistics_scratch.write_text(content + "\n", encoding="utf-8")
    return [folder / RESULTS_NAME, folder / STATISTICS_NAME]


def _complete(generation: Generation) -> Generation:
    if not generation.is_complete:
        raise StoreError(
            f"{generation.files.location(generation.folder)}: the statistics were made of it, but it is not there (any "
            "more); materialize samples,rewards,statistics again"
        )
    return generation


def _joined(store: Store, samples: Generation, rewards: Generation) -> Iterator[list[Row]]:
    """Responses with their verdicts, problem by problem; some fragments are in memory at a time."""
    responses = ByProblem.of(store, samples, ["prompt", "response"]).problems()
    verdicts = ByProblem.of(store, samples, SCHEMAS["rewards"].names, rows=rewards).problems()
    nothing: list[Placed] = []
    for of_problem, graded in zip_longest(responses, verdicts, fillvalue=nothing):
        if [_identity(one.row) for one in of_problem] != [_identity(one.row) for one in graded]:
            where = (of_problem or graded)[0]
            raise StoreError(
                f"fragment {where.fragment} of {rewards.folder} is not of the same responses as {samples.folder}; "
                "run: onoff verify"
            )
        yield [{**verdict.row, **one.row} for one, verdict in zip(of_problem, graded, strict=True)]


def _identity(row: Row) -> tuple[str, int]:
    return row["problem_id"], row["sample_index"]


def _result(problem: Row, rows: list[Row]) -> Row:
    """One question's entry. A reward is null where the reference cannot be parsed; an answer where there is none."""
    return {
        "question": problem["question"],
        "reference": problem["answer"],
        "samples": [row["response"] for row in rows],
        "rewards": [None if row["reward"] is None else float(row["reward"]) for row in rows],
        "extracted_answers": [row["extracted_answer"] for row in rows],
    }


def _statistics(row: Row, counts: list[int]) -> Row:
    """The research scripts' four numbers, then ours under the names of the `statistics` table, as far as somebody asked
    for what they tell.
    """
    left_out = {"accuracy", *(name for name in STATISTICS_IF_ASKED if row[name] is None)}
    return {
        "accuracy": row["accuracy"],
        "avg_sampling_length": row["mean_num_tokens"],
        "num_questions": len(counts),
        "num_samples_per_question": counts[0] if len(set(counts)) == 1 else None,
        **{name: value for name, value in row.items() if name not in left_out},
    }


def _dump(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
