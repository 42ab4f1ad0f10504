"""Which problem of the data set each rollout answers."""

from collections.abc import Callable, Sequence

from onoff_core.errors import ExchangeError
from onoff_core.exchange.rollouts.rollout import Rollout
from onoff_core.problems import Problem

_LONG_QUESTION = 40  # characters; a shorter question may stand in another text by chance

Grouped = list[tuple[Problem, list[Rollout]]]  # each problem once, with its rollouts in the order of the file


def matched(
    rollouts: Sequence[Rollout], problems: Sequence[Problem], prompt_of: Callable[[Rollout], str | None], where: str
) -> Grouped:
    """Group rollouts by the problem they name, else by the one whose question stands in the question or prompt that
    they have; `prompt_of` decodes a prompt that is ids alone. Raises `ExchangeError` where one has no problem.
    """
    finder = _Finder(problems)
    found: dict[str, list[Rollout]] = {problem.problem_id: [] for problem in problems}
    unknown = []
    for rollout in rollouts:
        text = rollout.question or rollout.prompt or prompt_of(rollout)
        problem = finder.find(rollout, text)
        if problem is None:
            unknown.append((rollout, text))
        else:
            found[problem.problem_id].append(rollout)
    if unknown:
        first, text = unknown[0]
        asked = f"its question: {text[-200:]!r}" if text else "it says neither a question nor a prompt"
        raise ExchangeError(
            f"{where}: {len(unknown)} of {len(rollouts)} rollouts are of no problem of the data set, the first is "
            f"{first.place}; {asked}. Name the right data set, or add --own-problems to take questions and gold "
            "answers from the file"
        )
    return [(problem, found[problem.problem_id]) for problem in problems if found[problem.problem_id]]


class _Finder:
    """The problems by id and by question; a text is looked up once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self._by_id = {problem.problem_id: problem for problem in problems}
        self._by_question: dict[str, Problem] = {}
        for problem in problems:
            self._by_question.setdefault(_plain(problem.question), problem)
        self._longest_first = sorted(self._by_question, key=len, reverse=True)
        self._known: dict[str, Problem | None] = {}

    def find(self, rollout: Rollout, text: str | None) -> Problem | None:
        named = self._by_id.get(rollout.problem_id or "")
        if named is not None and (text is None or _plain(named.question) in _plain(text)):
            return named
        if text is None:
            return None
        if text not in self._known:
            self._known[text] = self._of(_plain(text))
        return self._known[text]

    def _of(self, text: str) -> Problem | None:
        if text in self._by_question:
            return self._by_question[text]
        inside = (question for question in self._longest_first if _stands_in(question, text))
        return self._by_question[first] if (first := next(inside, None)) is not None else None


def _stands_in(question: str, text: str) -> bool:
    """Whether a question is a part of a text; a short one only between white space, such as a line of its own."""
    if not question or question not in text:
        return False
    return len(question) >= _LONG_QUESTION or f" {question} " in f" {text} "


def own_problems(rollouts: Sequence[Rollout], where: str) -> Grouped:
    """Problems made of the file's own questions and gold answers, in the order of the file."""
    groups: dict[tuple[str, str], list[Rollout]] = {}
    for rollout in rollouts:
        question = rollout.question or rollout.prompt
        if question is None or rollout.answer is None:
            lacks = "question" if question is None else "gold answer"
            raise ExchangeError(f"{rollout.place}: has no {lacks}, which --own-problems takes from the file ({where})")
        groups.setdefault((question, rollout.answer), []).append(rollout)
    return [
        (Problem(f"imported-{number}", question, answer), group)
        for number, ((question, answer), group) in enumerate(groups.items())
    ]


def _plain(text: str) -> str:
    return " ".join(text.split())
