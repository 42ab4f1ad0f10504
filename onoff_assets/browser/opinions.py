"""Second opinions as their page shows them: how often the two verdicts differ, and where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from onoff_assets.browser.reading import Reader, Responses
from onoff_core.commands import materialize_command
from onoff_core.errors import MissingInputError
from onoff_core.rewards import whole_gold
from onoff_core.statistics import second_opinion_statistics
from onoff_core.store import Generation
from onoff_core.store.provenance import OpinionsProvenance

Way = Literal["first", "second", "unclear"]  # correct by the reward or the second opinion alone; no verdict
WAYS: tuple[Way, ...] = get_args(Way)


@dataclass(frozen=True)
class Disagreement:
    """A response whose verdicts differ, or on which the judge gave none."""

    problem_id: str
    sample_index: int
    way: Way
    question: str
    gold: str
    answer: str  # as extracted from the response
    reward: int | None
    status: str
    second: bool | None
    same_text: bool
    same_number: bool
    judge_response: str | None  # None: the rules said it


@dataclass(frozen=True)
class Opinions:
    """The second opinions on a partition's verdicts."""

    rates: dict[str, Any]  # the row of `second_opinion_statistics`
    by: str  # whose opinion it is
    disagreements: Sequence[Disagreement]  # in the order of the responses

    def of(self, way: Way | None) -> list[Disagreement]:
        """Those that differ this way; None: all whose two verdicts differ."""
        return [one for one in self.disagreements if (one.way != "unclear" if way is None else one.way == way)]


def read_opinions(reader: Reader, responses: Responses) -> Opinions:
    """The second opinions on these very verdicts; else a `MissingInputError` that says what to do."""
    key = responses.samples.partition
    found, command = (
        reader.store.current("second_opinions", key),
        materialize_command(["second_opinions"], "|".join(key)),
    )
    if found is None:
        raise MissingInputError(
            f"there is no second opinion of {'|'.join(key)}: set task.second_opinion: {{kind: rules}}, or {{kind: "
            f"model, model: NAME}}, then run: {command}"
        )
    if responses.rewards is None or found.manifest().inputs["rewards"] != responses.rewards.fingerprint:
        raise MissingInputError(f"the second opinions of {'|'.join(key)} are on former verdicts; run: {command}")
    cache_key = ("opinions", found.folder, responses.rewards.folder)
    return reader.kept(cache_key, lambda: _read(reader, responses, found), lambda read: 2000 * len(read.disagreements))


def _read(reader: Reader, responses: Responses, found: Generation) -> Opinions:
    table, manifest = found.read(), found.manifest()
    version = responses.samples.manifest().inputs["problems"]
    problems = {
        row["problem_id"]: row
        for row in reader.store.generation("problems", (found.partition[0],), version).read().to_pylist()
    }
    columns = ("problem_id", "sample_index", "extracted_answer", "status")
    verdicts = {
        (row[0], row[1]): row[2:] for row in zip(*(responses.table[c].to_pylist() for c in columns), strict=True)
    }
    rows = []
    for row in table.to_pylist():
        way = _way(row)
        if way is not None:
            answer, status = verdicts[row["problem_id"], row["sample_index"]]
            problem = problems[row["problem_id"]]
            rows.append(
                Disagreement(
                    row["problem_id"],
                    row["sample_index"],
                    way,
                    problem["question"],
                    whole_gold(problem["answer"], problem["solution"]),
                    answer,
                    row["reward"],
                    status,
                    row["second_verdict"],
                    row["same_text"],
                    row["same_number"],
                    row["judge_response"],
                )
            )
    rates: dict[str, Any] = second_opinion_statistics(table).to_pylist()[0]
    how = OpinionsProvenance.of(manifest)
    asked = "the rules and, where these or the reward say wrong, by the judge"
    by = "the rules" if how.kind == "rules" else asked if how.judge is None else f"{asked} {how.judge}"
    return Opinions(rates, by, rows)


def _way(row: dict[str, Any]) -> Way | None:
    if row["same_text"] is not None and row["second_verdict"] is None:
        return "unclear"
    if row["agrees"] is not False:
        return None
    return "second" if row["second_verdict"] else "first"
