"""What another program made of the same responses, beside what we make of them: rewards and extracted answers.

Nothing here decides a reward. The responses are graded by the study's task, and where the file says otherwise is a
`Difference`, to be looked at.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from onoff_core.exchange.files import WRITTEN_BY, Say, replacing
from onoff_core.exchange.results_file import Result
from onoff_core.problems import Problem
from onoff_core.rewards import Grader, GradingTask, Verdict, whole_gold
from onoff_core.study import TaskSettings


@dataclass(frozen=True)
class Difference:
    """A response of which the file has another reward or another extracted answer than ours."""

    problem_id: str
    sample_index: int
    reward_of_file: float | None  # None: the file has none
    reward: int | None  # ours; None: the gold answer cannot be parsed
    status: str  # what ours rests on
    extracted_answer_of_file: str | None
    extracted_answer: str | None
    reference_of_file: str
    answer: str  # the gold answer that ours is of
    response: str


@dataclass(frozen=True)
class Comparison:
    """Their verdicts and ours."""

    num_compared: int  # responses of which the file says a reward or an answer
    num_rewards_differing: int
    num_answers_differing: int
    differences: tuple[Difference, ...]
    nan_rewards: tuple[str, ...] = ()  # responses whose reward in the file is NaN, which is no verdict


def compare(problems: Sequence[Problem], results: Sequence[Result], task: TaskSettings) -> Comparison:
    """Grade what the file graded, by the study's task, and say where the two disagree. An answer is the same where its
    text is, but for white space.
    """
    of_problem = list(zip(problems, results, strict=True))
    said = [
        (problem, result)
        for problem, result in of_problem
        if result.extracted_answers is not None
        or any(_reward_of_file(result, place) is not None for place in range(len(result.samples)))
    ]
    nan_rewards = tuple(
        f"response {place} to problem {problem.problem_id}"
        for problem, result in of_problem
        for place, reward in enumerate(result.rewards or ())
        if reward is not None and math.isnan(reward)
    )
    # Of a prompt only its end matters, where the thinking may have begun; a file without prompts has the study's.
    tasks = [
        GradingTask(text, _gold(problem), problem.problem_id, result.prompt or task.prefill or "")
        for problem, result in said
        for text in result.samples
    ]
    if not tasks:
        return Comparison(0, 0, 0, (), nan_rewards)
    assert not isinstance(task.thinking, str), "which tags `auto` means is found out before"
    with Grader(task.format_type, reward_type=task.reward_type, thinking=task.thinking) as grader:
        verdicts = iter(grader.grade(tasks))
    rewards, answers, differences = 0, 0, []
    for problem, result in said:
        for place in range(len(result.samples)):
            verdict = next(verdicts)
            other_reward, other_answer = (
                _rewards_differ(result, place, verdict),
                _answers_differ(result, place, verdict),
            )
            rewards, answers = rewards + other_reward, answers + other_answer
            if other_reward or other_answer:
                differences.append(_difference(problem, result, place, verdict))
    return Comparison(len(tasks), rewards, answers, tuple(differences), nan_rewards)


def _gold(problem: Problem) -> str:
    """The gold answer that rewards go by."""
    return whole_gold(problem.answer, problem.solution)


def _reward_of_file(result: Result, place: int) -> float | None:
    """None: the file says none, or NaN, as programs write what is missing."""
    reward = None if result.rewards is None else result.rewards[place]
    return None if reward is None or math.isnan(reward) else reward


def _rewards_differ(result: Result, place: int, verdict: Verdict) -> bool:
    theirs = _reward_of_file(result, place)
    return theirs is not None and theirs != verdict.reward


def _answers_differ(result: Result, place: int, verdict: Verdict) -> bool:
    if result.extracted_answers is None:
        return False
    return _plain(result.extracted_answers[place]) != _plain(verdict.extracted_answer)


def _plain(answer: str | None) -> str | None:
    """An empty answer is none: the scripts wrote both."""
    return " ".join((answer or "").split()) or None


def _difference(problem: Problem, result: Result, place: int, verdict: Verdict) -> Difference:
    return Difference(
        problem_id=problem.problem_id,
        sample_index=place,
        reward_of_file=_reward_of_file(result, place),
        reward=verdict.reward,
        status=verdict.status,
        extracted_answer_of_file=result.extracted_answers[place] if result.extracted_answers is not None else None,
        extracted_answer=verdict.extracted_answer,
        reference_of_file=result.reference,
        answer=_gold(problem),
        response=result.samples[place],
    )


def write_report(differences: Sequence[Difference], path: Path, say: Say) -> None:
    """One JSON object a line, in the order of the file; each begins with our mark, so that one replaces another."""
    with replacing(path, say) as scratch, scratch.open("w", encoding="utf-8") as file:
        for difference in differences:
            file.write(json.dumps({"written_by": WRITTEN_BY, **asdict(difference)}, ensure_ascii=False) + "\n")
