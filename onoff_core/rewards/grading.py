"""Grade many responses: extract, compare each different answer once in the pool, and put the verdicts in order.

Extraction is linear in the text and happens here; everything that parses or computes happens in the pool.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

from onoff_core.rewards.alternatives import undecided_answer
from onoff_core.rewards.pool import Failure, Pool
from onoff_core.rewards.processes import Job
from onoff_core.rewards.verdict import Status, Verdict
from onoff_core.study import ThinkingTags
from onoff_core.tasks import Extraction, find_answer

# Longer answers are not compared but count as timed out: parsing takes time and memory in proportion at the least.
MAX_ANSWER_CHARACTERS = 20_000

OnGraded = Callable[[int], None]


@dataclass(frozen=True)
class GradingTask:
    """One response and the answer it should have given.

    Responses of one problem have their different answers numbered together; None: a problem of its own.
    """

    response: str
    gold: str
    problem_id: str | None = None
    prompt: str = ""  # where it ends with the tag that begins the thinking, the response begins within it
    known: Verdict | None = None  # its verdict, where it is known from before: then it is not graded again


class Grader:
    """Grades batch after batch with the same processes; a context manager that leaves none behind."""

    def __init__(
        self,
        format_type: str,
        num_workers: int | None = None,
        deadline_seconds: float = 5.0,
        memory_bytes: int = 1 << 30,
        reward_type: str = "math_verify",
        thinking: ThinkingTags | None = None,
    ) -> None:
        self.format_type, self.thinking = format_type, thinking
        self._pool = Pool(num_workers, deadline_seconds, memory_bytes, reward_type)

    def __enter__(self) -> "Grader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)

    def grade(self, tasks: Sequence[GradingTask], on_graded: OnGraded = lambda count: None) -> list[Verdict]:
        """A verdict for every task, in order. All responses of a problem belong in one call, or their answer classes
        are numbered apart. `on_graded` is told how many more are done.
        """
        questions = self._questions(tasks)
        self._verify(questions, on_graded)
        self._classify(questions)
        verdicts: list[Verdict | None] = [None] * len(tasks)
        for question in questions:
            for index, verdict in question.verdicts():
                verdicts[index] = verdict
        return [verdict for verdict in verdicts if verdict is not None]

    def _questions(self, tasks: Sequence[GradingTask]) -> list["_Question"]:
        questions: dict[tuple[str | int, str], _Question] = {}
        for index, task in enumerate(tasks):
            key = (index if task.problem_id is None else task.problem_id, task.gold)
            question = questions.setdefault(key, _Question(task.gold))
            if task.known is not None:
                question.add_known(index, task.known)
            else:
                question.add(index, find_answer(task.response, self.format_type, self.thinking, task.prompt))
        return list(questions.values())

    def _verify(self, questions: Sequence["_Question"], on_graded: OnGraded) -> None:
        """Compare every different answer with its gold answer. A question without any answer is asked too: whether its
        gold answer can be parsed decides what its responses are worth.
        """
        asked: list[tuple[_Question, str | None]] = []
        jobs = []
        for question in questions:
            items = []
            if question.gold_fault is not None or len(question.gold) > MAX_ANSWER_CHARACTERS:
                question.give_up(on_graded)
                continue
            on_graded(sum(len(question.answers[answer]) for answer in question.statuses))
            answers: list[str | None] = [*question.comparable(on_graded)]
            if not answers and question.is_known:
                on_graded(len(question.unanswered))
                continue
            answers = answers or [None]
            for answer in answers:
                items.append((len(asked), answer or ""))
                asked.append((question, answer))
            jobs.append(Job(question.gold, items))

        def heard(number: int, value: bool | int | Failure) -> None:
            question, answer = asked[number]
            if value == "gold_unparsed":
                question.gold_fault = self._pool.reasons[number]
            elif answer is not None:
                question.statuses[answer] = _STATUS_OF[value]
                if value == "timeout":
                    question.reasons[answer] = self._pool.reasons[number]
            if answer is not None:
                on_graded(len(question.answers[answer]))
            if number == question.first_number and question.unanswered:
                on_graded(len(question.unanswered))

        for (question, _), number in reversed(list(zip(asked, range(len(asked)), strict=True))):
            question.first_number = number
        self._pool.run(jobs, heard)

    def _classify(self, questions: Sequence["_Question"]) -> None:
        """Find which of a question's wrong answers are equal."""
        asked: list[tuple[_Question, str]] = []
        jobs = []
        for question in questions:
            if question.gold_fault is not None:
                continue
            statuses = question.statuses.items()
            wrong = [
                answer
                for answer, status in statuses
                if status == "wrong" and answer not in question.undecided and answer not in question.classes
            ]
            first_of = {number: answer for answer, number in reversed(question.classes.items())}
            if len(wrong) == 1 and not first_of:
                question.classes[wrong[0]] = 1
            elif wrong:
                items = [(len(asked) + place, answer) for place, answer in enumerate(wrong)]
                jobs.append(Job(None, items, known=sorted(first_of.items()), beside=question.gold))
                asked.extend((question, answer) for answer in wrong)
        failed: list[int] = []

        def heard(number: int, value: bool | int | Failure) -> None:
            if isinstance(value, str):
                failed.append(number)
            else:
                question, answer = asked[number]
                question.classes[answer] = value

        self._pool.run(jobs, heard)
        for number in sorted(failed):  # what cannot be compared in time is equal to nothing else
            question, answer = asked[number]
            question.classes[answer] = max(question.classes.values(), default=0) + 1


_UNREAD = "the gold answer can neither be read nor compared as text"
_STATUS_OF: dict[bool | int | str, Status] = {True: "correct", False: "wrong", "timeout": "timeout"}


class _Question:
    """A gold answer, the different answers given to it, and which responses gave each."""

    def __init__(self, gold: str) -> None:
        self.gold = gold
        self.gold_fault: str | None = None
        self.first_number = -1
        self.answers: dict[str, list[int]] = {}
        self.unanswered: dict[int, str | None] = {}  # index -> why
        self.undecided: dict[str, str | None] = {}  # answer -> why it is none, unless it turns out to be right
        self.statuses: dict[str, Status] = {}
        self.reasons: dict[str, str] = {}
        self.classes: dict[str, int] = {}
        self.is_known = False  # whether the verdict on a response, and so on the gold answer, is known from before

    def add_known(self, index: int, verdict: Verdict) -> None:
        """A response whose verdict is known."""
        self.is_known = True
        answer = verdict.extracted_answer
        if verdict.status == "gold_unparsed":
            self.gold_fault = verdict.reason or _UNREAD
        if answer is None:
            self.unanswered[index] = verdict.reason
            return
        self.answers.setdefault(answer, []).append(index)
        if verdict.status == "gold_unparsed":
            return
        self.statuses[answer] = verdict.status
        if verdict.reason is not None:
            self.reasons[answer] = verdict.reason
        if verdict.status == "wrong" and verdict.answer_class is not None:
            self.classes[answer] = verdict.answer_class

    def add(self, index: int, found: Extraction) -> None:
        if found.alternatives:
            undecided = undecided_answer(found.alternatives)
            self.answers.setdefault(undecided, []).append(index)
            self.undecided[undecided] = found.reason
        elif found.answer is None:
            self.unanswered[index] = found.reason
        else:
            self.answers.setdefault(found.answer, []).append(index)

    def comparable(self, on_graded: OnGraded) -> list[str]:
        """The answers of a length that can be compared; the others have their verdict."""
        for answer, indices in self.answers.items():
            if len(answer) > MAX_ANSWER_CHARACTERS and answer not in self.statuses:
                self.statuses[answer] = "timeout"
                self.reasons[answer] = f"the answer is longer than {MAX_ANSWER_CHARACTERS:,} characters"
                on_graded(len(indices))
        return [answer for answer in self.answers if answer not in self.statuses]

    def give_up(self, on_graded: OnGraded) -> None:
        """The gold answer cannot be read, or is too long to be parsed."""
        self.gold_fault = self.gold_fault or f"the gold answer is longer than {MAX_ANSWER_CHARACTERS:,} characters"
        on_graded(len(self.unanswered) + sum(len(indices) for indices in self.answers.values()))

    def verdicts(self) -> list[tuple[int, Verdict]]:
        if self.gold_fault is not None:
            unread = [(index, Verdict("gold_unparsed", None, None, self.gold_fault)) for index in self.unanswered]
            for answer, indices in self.answers.items():
                unread.extend((index, Verdict("gold_unparsed", answer, None, self.gold_fault)) for index in indices)
            return unread
        found = [(index, Verdict("no_answer", None, None, reason)) for index, reason in self.unanswered.items()]
        numbers: dict[int, int] = {}  # a class -> its number, by which was given first: the same in every run
        for answer, indices in self.answers.items():
            status = self.statuses[answer]
            if answer in self.undecided and status != "correct":
                none = Verdict("no_answer", None, None, self.undecided[answer])
                found.extend((index, none) for index in indices)
                continue
            found_class = self.classes.get(answer)
            answer_class = None if found_class is None else numbers.setdefault(found_class, len(numbers) + 1)
            answer_class = 0 if status == "correct" else answer_class
            found.extend((index, Verdict(status, answer, answer_class, self.reasons.get(answer))) for index in indices)
        return found


def grade(
    tasks: Sequence[GradingTask],
    format_type: str,
    on_graded: OnGraded = lambda count: None,
    reward_type: str = "math_verify",
    thinking: ThinkingTags | None = None,
) -> list[Verdict]:
    """A verdict for every task, in order, by a pool that lives as long as the call."""
    with Grader(format_type, reward_type=reward_type, thinking=thinking) as grader:
        return grader.grade(tasks, on_graded)
