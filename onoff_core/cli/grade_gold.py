"""`onoff grade --check-gold`: which gold answers of a data set cannot be read, or do not agree with their solutions."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onoff_core.cli.printing import table
from onoff_core.errors import DatasetError, SettingsError
from onoff_core.study import DatasetSettings, load_study

if TYPE_CHECKING:
    from onoff_core.problems import Problem
    from onoff_core.rewards import Verdict

_SHOWN = 60  # characters of an answer


def check_gold(data: str, format_type: str, reward_type: str) -> int:
    """Print the counts and every fault; 1 where there is one."""
    from onoff_core.rewards import GradingTask, grade, whole_gold

    problems = _problems(data)
    gold = [whole_gold(problem.answer, problem.solution) for problem in problems]
    with_solution = [place for place, problem in enumerate(problems) if _has_box(problem)]
    itself = grade(
        [GradingTask(_as_response(one, format_type), one, p.problem_id) for p, one in zip(problems, gold, strict=True)],
        format_type,
        reward_type=reward_type,
    )
    solutions = grade(
        [
            GradingTask(problems[place].solution or "", gold[place], problems[place].problem_id)
            for place in with_solution
        ],
        "boxed",
        reward_type=reward_type,
    )
    print(f"{len(problems):,} gold answers against themselves: {_counts(itself)}")
    print(f"{len(solutions):,} solutions with a box against their gold answers: {_counts(solutions)}")
    faults = [
        *_faults("gold", problems, gold, range(len(problems)), itself),
        *_faults("solution", problems, gold, with_solution, solutions),
    ]
    if faults:
        print("\n" + table(["what", "problem", "gold answer", "status", "found", "reason"], faults))
    return int(bool(faults))


def _problems(data: str) -> "tuple[Problem, ...]":
    """A data set by its key in the study, else a file or a folder of its own."""
    from onoff_core.problems import load_problems

    path = Path(data)
    try:
        study = load_study()
    except SettingsError:
        if not path.exists():
            raise
    else:
        if data in study.datasets:
            return load_problems(data, study.datasets[data], study.base_dir)
    if not path.exists():
        raise DatasetError(f"{data}: neither a data set of onoff.yaml nor a file or folder")
    place = str(path.absolute())
    settings = DatasetSettings(data_dir=place) if path.is_dir() else DatasetSettings(path=place)
    return load_problems(path.stem, settings, Path.cwd())


def _has_box(problem: "Problem") -> bool:
    from onoff_core.boxes import last_boxed

    return problem.solution is not None and last_boxed(problem.solution) is not None


def _as_response(answer: str, format_type: str) -> str:
    box = rf"\boxed{{{answer}}}"
    return box if format_type == "boxed" else f"<answer>{box}</answer>"


def _counts(verdicts: "Sequence[Verdict]") -> str:
    counts = Counter(verdict.status for verdict in verdicts)
    return ", ".join(f"{count:,} {status}" for status, count in counts.most_common()) or "none"


def _faults(
    what: str, problems: "Sequence[Problem]", gold: Sequence[str], places: Sequence[int], verdicts: "Sequence[Verdict]"
) -> list[list[str]]:
    return [
        [
            what,
            problems[place].problem_id,
            _short(gold[place]),
            verdict.status,
            _short(verdict.extracted_answer or ""),
            verdict.reason or "",
        ]
        for place, verdict in zip(places, verdicts, strict=True)
        if verdict.status != "correct"
    ]


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
