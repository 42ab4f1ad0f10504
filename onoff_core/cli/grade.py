"""`onoff grade`: grade a file of responses, wherever they were made, or the gold answers of a data set."""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from onoff_core.cli.grade_files import Line, LinesError, Output, check_places, parse_lines, read_input, write_whole
from onoff_core.cli.printing import fraction, interval, table
from onoff_core.study import TaskSettings, ThinkingTags

_FORMATS = get_args(TaskSettings.model_fields["format_type"].annotation)
_REWARD_TYPES = get_args(TaskSettings.model_fields["reward_type"].annotation)
_BATCH_LINES = 512  # graded, then written; a problem's lines are graded together wherever they stand


def add(commands: Any) -> None:
    command = commands.add_parser(
        "grade",
        help="grade a file of responses, or a data set's gold answers",
        description=(
            "Grade JSON lines with `response` and `answer`, and perhaps `problem_id`, `sample_index` and `prompt`. "
            "Every line of the output is the line of the input with `reward`, `status`, `extracted_answer` and "
            "`answer_class` (equal answers of one problem share a number, 0 is the gold answer), and with `reason` "
            "where there is one, in the same order. It is written as it is made: the same call goes on where one was "
            "interrupted."
        ),
        epilog=(
            "Lines with the same problem_id are responses to one problem; a line without one is a problem of its own. "
            "A null reward says that the line's own answer cannot be read, or not be worked out in time. With "
            "--check-gold no responses are graded: every gold answer of a data set is graded against itself, and "
            "every solution against its gold answer."
        ),
    )
    command.add_argument("input", type=Path, nargs="?", metavar="IN.jsonl", help="a file or a pipe; - is what comes in")
    command.add_argument("--output", type=Path, metavar="OUT.jsonl")
    command.add_argument("--statistics", type=Path, metavar="STATS.json", help="also write the statistics of it all")
    command.add_argument("--format-type", choices=_FORMATS, default="boxed", help="what responses end with")
    command.add_argument(
        "--reward-type", choices=_REWARD_TYPES, default=_REWARD_TYPES[0], help="how answers are compared"
    )
    command.add_argument(
        "--thinking",
        nargs=2,
        metavar=("OPEN", "CLOSE"),
        help="tags around thinking, which is not looked at for an answer; <think> and </think> are known beside them",
    )
    command.add_argument(
        "--check-gold",
        metavar="DATA",
        help="a data set of onoff.yaml, a file or a folder: list the gold answers that cannot be read or graded",
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.check_gold is not None:
        from onoff_core.cli.grade_gold import check_gold

        if args.input is not None or args.output is not None or args.statistics is not None:
            raise LinesError("--check-gold grades a data set and no responses: leave IN.jsonl and the outputs away")
        return check_gold(args.check_gold, args.format_type, args.reward_type)
    if args.input is None or args.output is None:
        raise LinesError("name the responses and the file to write: onoff grade IN.jsonl --output OUT.jsonl")
    return _grade_lines(args)


def _grade_lines(args: argparse.Namespace) -> int:
    check_places(args.output, args.statistics)
    thinking = None if args.thinking is None else ThinkingTags(open=args.thinking[0], close=args.thinking[1])
    raw = read_input(args.input)
    lines = parse_lines(raw, args.input)
    options = [args.format_type, args.reward_type, args.thinking]
    with Output(args.output, args.input, raw, options) as output:
        graded = output.graded(len(lines))
        if graded:
            print(f"{args.output}: {len(graded):,} of {len(lines):,} lines are graded; going on")
        _grade_rest(args, lines, thinking, output, graded)
        output.finish()
    statistics = _statistics(lines, graded)
    if args.statistics is not None:
        import json

        write_whole(args.statistics, json.dumps(statistics, indent=1) + "\n")
    _report(statistics, Counter(row["status"] for row in graded), args.output)
    return 0


def _grade_rest(
    args: argparse.Namespace,
    lines: Sequence[Line],
    thinking: ThinkingTags | None,
    output: Output,
    graded: list[dict[str, Any]],
) -> None:
    """Grade what is not written yet, and write it; `graded` grows by it."""
    from onoff_core.progress import Progress
    from onoff_core.rewards import Grader, GradingTask, Verdict

    of_problem: dict[str, list[int]] = {}
    for place, line in enumerate(lines):
        of_problem.setdefault(line.problem_id, []).append(place)
    verdicts: dict[int, Verdict] = {}
    progress = Progress("grading", len(lines) - len(graded))
    with Grader(args.format_type, reward_type=args.reward_type, thinking=thinking) as grader:
        while len(graded) < len(lines):
            begin, end = len(graded), min(len(graded) + _BATCH_LINES, len(lines))
            problems = dict.fromkeys(lines[place].problem_id for place in range(begin, end) if place not in verdicts)
            places = [place for problem in problems for place in of_problem[problem]]
            tasks = [
                GradingTask(line.response, line.answer, line.problem_id, line.prompt) for line in _at(lines, places)
            ]
            verdicts.update(zip(places, grader.grade(tasks), strict=True))
            rows = [_row(lines[place], verdicts.pop(place)) for place in range(begin, end)]
            output.append(rows)
            graded.extend(rows)
            progress.add(end - begin)


def _at(lines: Sequence[Line], places: Sequence[int]) -> list[Line]:
    return [lines[place] for place in places]


def _row(line: Line, verdict: Any) -> dict[str, Any]:
    said = {
        "reward": verdict.reward,
        "status": verdict.status,
        "extracted_answer": verdict.extracted_answer,
        "answer_class": verdict.answer_class,
    }
    return {**line.fields, **said, **({} if verdict.reason is None else {"reason": verdict.reason})}


def _statistics(lines: Sequence[Line], graded: Sequence[dict[str, Any]]) -> dict[str, Any]:
    import pyarrow as pa

    from onoff_core.statistics import summarise
    from onoff_core.tables import SCHEMAS

    rows = [
        {
            # JSON can hold half a surrogate pair, Arrow cannot; the statistics need no answer texts
            "problem_id": line.problem_id.encode("utf-8", "backslashreplace").decode(),
            "sample_index": line.sample_index,
            "extracted_answer": None,
            "reward": row["reward"],
            "status": row["status"],
            "answer_class": row["answer_class"],
        }
        for line, row in zip(lines, graded, strict=True)
    ]
    return summarise(None, pa.Table.from_pylist(rows, schema=SCHEMAS["rewards"]))


def _report(statistics: dict[str, Any], statuses: "Counter[str]", output: Path) -> None:
    why = {one["statistic"]: one["reason"] for one in statistics["missing"]}.get("interval_low")
    found = interval(statistics["interval_low"], statistics["interval_high"], "on other problems like these", why)
    rows = [[status, f"{count:,}"] for status, count in statuses.most_common()]
    print(table(["status", "responses"], rows))
    print(f"\naccuracy {fraction(statistics['accuracy'])}, 95 %: {found}")
    print(f"{statistics['num_problems']:,} problems, {statistics['num_samples']:,} responses with a reward -> {output}")
