"""`onoff grade`: grade a file of responses, wherever they were made."""

import argparse
import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from onoff_core.cli.printing import fraction, table
from onoff_core.errors import OnoffError
from onoff_core.study import TaskSettings

_FORMATS = get_args(TaskSettings.model_fields["format_type"].annotation)
_SHOWN_FAULTS = 10
_MOST_INDEX = 2**31 - 1  # as in every table of responses


class LinesError(OnoffError):
    """A file of responses that cannot be graded as it stands."""


@dataclass(frozen=True)
class _Line:
    """One readable line."""

    fields: dict[str, Any]
    response: str
    answer: str
    problem_id: str
    sample_index: int


def add(commands: Any) -> None:
    command = commands.add_parser(
        "grade",
        help="grade a file of responses",
        description=(
            "Grade JSON lines with `response` and `answer`, and perhaps `problem_id` and `sample_index`. Every line of "
            "the output is the line of the input with `reward`, `status` and `extracted_answer`, in the same order."
        ),
        epilog=(
            "Lines with the same problem_id are responses to one problem; a line without one is a problem of its own. "
            "A null reward says that the line's own answer cannot be parsed."
        ),
    )
    command.add_argument("input", type=Path, metavar="IN.jsonl")
    command.add_argument("--output", type=Path, required=True, metavar="OUT.jsonl")
    command.add_argument("--statistics", type=Path, metavar="STATS.json", help="also write the statistics of it all")
    command.add_argument("--format-type", choices=_FORMATS, default="boxed", help="what responses end with")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from onoff_core.progress import Progress
    from onoff_core.rewards import GradingTask, grade

    _check_places(args.output, args.statistics)
    lines = read_lines(args.input)
    tasks = [GradingTask(line.response, line.answer, line.problem_id) for line in lines]
    verdicts = grade(tasks, args.format_type, Progress("grading", len(tasks)).add)
    graded = [
        {
            **line.fields,
            "reward": verdict.reward,
            "status": verdict.status,
            "extracted_answer": verdict.extracted_answer,
        }
        for line, verdict in zip(lines, verdicts, strict=True)
    ]
    _write(args.output, "".join(json.dumps(row) + "\n" for row in graded))
    statistics = _statistics(lines, verdicts)
    if args.statistics is not None:
        _write(args.statistics, json.dumps(statistics, indent=1) + "\n")
    _report(statistics, Counter(verdict.status for verdict in verdicts), args.output)
    return 0


def _check_places(output: Path, statistics: Path | None) -> None:
    """Refuse what could not be written in the end, before an hour of grading."""
    for path in filter(None, (output, statistics)):
        folder = path.absolute().parent
        if not folder.is_dir():
            raise LinesError(f"{path}: there is no folder {path.parent}; make it first")
        if path.exists() and not path.is_file():
            raise LinesError(f"{path}: is a folder, a pipe or a device; name a file")
        if not os.access(path.resolve().parent, os.W_OK):
            raise LinesError(f"{path}: the folder {path.resolve().parent} cannot be written to")
    if statistics is not None and statistics.resolve() == output.resolve():
        raise LinesError(f"{output}: --output and --statistics are the same file; name two")


def read_lines(path: Path) -> list[_Line]:
    """The lines of a file or a pipe; blank ones are passed over. All faults are named by line number in one error."""
    if not path.exists() or path.is_dir():
        raise LinesError(f"{path}: is a folder; name a file" if path.is_dir() else f"{path}: no such file")
    lines, faults = [], []
    seen: dict[tuple[str, int], int] = {}
    answers: dict[str, tuple[str, int]] = {}
    next_index: Counter[str] = Counter()
    for number, raw in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not raw.strip():
            continue
        try:
            line = _line(raw, number, next_index)
            first = seen.setdefault((line.problem_id, line.sample_index), number)
            if first != number:
                raise ValueError(f"problem {line.problem_id!r}, sample {line.sample_index} stands on line {first} too")
            answer, first = answers.setdefault(line.problem_id, (line.answer, number))
            if answer != line.answer:
                raise ValueError(f"problem {line.problem_id!r} has another answer on line {first}")
            lines.append(line)
        except (ValueError, RecursionError) as error:  # JSON and encoding errors are ValueErrors too
            faults.append(f"  line {number}: {error}")
    if faults:
        more = f"\n  and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else ""
        shown = "\n".join(faults[:_SHOWN_FAULTS])
        raise LinesError(f"{path}: nothing was graded; mend or remove these lines:\n{shown}{more}")
    return lines


def _line(raw: bytes, number: int, next_index: "Counter[str]") -> _Line:
    fields = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))  # some editors begin a file with a mark
    if not isinstance(fields, dict):
        raise ValueError('must be an object, such as {"response": "... \\\\boxed{5}", "answer": "5"}')
    problem_id = fields.get("problem_id")
    if problem_id is None:
        problem_id = f"line {number}"
    elif isinstance(problem_id, bool) or not isinstance(problem_id, str | int):
        raise ValueError(f"problem_id must be a text or a whole number, not {json.dumps(problem_id)}")
    index = fields.get("sample_index")
    if index is None:
        index = next_index[str(problem_id)]
    elif isinstance(index, bool) or not isinstance(index, int):
        raise ValueError(f"sample_index must be a whole number, not {json.dumps(index)}")
    if not 0 <= index <= _MOST_INDEX:
        raise ValueError(f"sample_index must be from 0 to {_MOST_INDEX}, not {index}")
    next_index[str(problem_id)] = max(next_index[str(problem_id)], index + 1)
    return _Line(fields, _response(fields), _answer(fields), str(problem_id), index)


def _response(fields: dict[str, Any]) -> str:
    response = fields.get("response")
    if not isinstance(response, str):
        raise ValueError("`response` is missing" if response is None else "`response` must be a text")
    return response


def _answer(fields: dict[str, Any]) -> str:
    """The gold answer; a number is one too, and 27.0 is 27."""
    answer = fields.get("answer")
    if isinstance(answer, float) and not math.isfinite(answer):
        raise ValueError(f"`answer` must be a text or a number, not {answer}")
    if isinstance(answer, float) and answer.is_integer():
        answer = int(answer)
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise ValueError("`answer` is missing" if answer is None else "`answer` must be a text or a number")
    return str(answer)


def _statistics(lines: Sequence[_Line], verdicts: Sequence[Any]) -> dict[str, Any]:
    import pyarrow as pa

    from onoff_core.statistics import summarise
    from onoff_core.tables import SCHEMAS

    rows = [
        {
            # JSON can hold half a surrogate pair, Arrow cannot; the statistics need no answer texts
            "problem_id": line.problem_id.encode("utf-8", "backslashreplace").decode(),
            "sample_index": line.sample_index,
            "extracted_answer": None,
            "reward": verdict.reward,
            "status": verdict.status,
            "answer_class": verdict.answer_class,
        }
        for line, verdict in zip(lines, verdicts, strict=True)
    ]
    return summarise(None, pa.Table.from_pylist(rows, schema=SCHEMAS["rewards"]))


def _write(path: Path, text: str) -> None:
    """All of it or nothing, and never half over a file that was there."""
    place = path.resolve()  # a link stays one
    scratch = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(place)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise LinesError(f"{path}: cannot be written: {error}") from error


def _report(statistics: dict[str, Any], statuses: "Counter[str]", output: Path) -> None:
    low, high = fraction(statistics["interval_low"]), fraction(statistics["interval_high"])
    rows = [[status, f"{count:,}"] for status, count in statuses.most_common()]
    print(table(["status", "responses"], rows))
    print(f"\naccuracy {fraction(statistics['accuracy'])}, 95 % interval [{low}, {high}]")
    print(f"{statistics['num_problems']:,} problems, {statistics['num_samples']:,} responses with a reward -> {output}")
