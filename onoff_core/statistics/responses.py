"""What statistics need of each problem's responses: how many, how many right, and the sizes of their answer classes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from onoff_core.statistics.majority import Ballot


@dataclass(frozen=True)
class ProblemResponses:
    """The responses of one problem, counted. What has no verdict is counted too, so that nothing leaves unseen."""

    problem_id: str
    ballot: Ballot  # correct, wrong and unanswered responses
    num_timeouts: int = 0  # their grading ran out of time: reward 0, but not known to be wrong
    num_ungraded: int = 0  # the gold answer cannot be read: no reward
    num_missing: int = 0  # asked for and not there

    @property
    def num_graded(self) -> int:
        """Responses with a reward."""
        return self.ballot.num_votes + self.num_timeouts

    @property
    def num_samples(self) -> int:
        """Responses that the problem was to have."""
        return self.num_graded + self.num_ungraded + self.num_missing

    @property
    def num_unknown(self) -> int:
        """Responses of which nobody knows whether they are right."""
        return self.num_timeouts + self.num_ungraded + self.num_missing

    @property
    def pass_rate(self) -> float:
        """The mean reward of those that have one."""
        return self.ballot.correct / self.num_graded

    def as_graded(self) -> Ballot:
        """Everything that has a reward; a response whose grading ran out of time gave no vote."""
        return self.ballot._replace(abstentions=self.ballot.abstentions + self.num_timeouts)

    def at_worst(self) -> Ballot:
        """Everything unknown wrong, and voting for the strongest wrong answer."""
        correct, others, abstentions = self.ballot
        if not self.num_unknown:
            return self.ballot
        return Ballot(correct, (*others[:-1], sum(others[-1:]) + self.num_unknown), abstentions)

    def at_best(self) -> Ballot:
        """Everything unknown right."""
        return self.ballot._replace(correct=self.ballot.correct + self.num_unknown)


def responses_by_problem(
    rewards: pa.Table, num_samples: int | None = None, problem_ids: Iterable[str] = ()
) -> dict[str, ProblemResponses]:
    """The table `rewards`, counted by problem.

    `num_samples` None: it is not known how many responses there were to be, and those that are there are all. Problems
    of `problem_ids` without any row have all their responses missing.
    """
    statuses: dict[str, Counter[str]] = {problem: Counter() for problem in problem_ids}
    wrong: dict[str, Counter[int]] = {}
    columns = (rewards[name].to_pylist() for name in ("problem_id", "reward", "status", "answer_class"))
    for problem, reward, status, answer_class in zip(*columns, strict=True):
        counts = statuses.setdefault(problem, Counter())
        if reward is None:
            counts["ungraded"] += 1
        elif reward:
            counts["correct"] += 1
        elif status == "timeout":
            counts["timeout"] += 1
        elif answer_class is None:
            counts["no_answer"] += 1
        else:
            counts["wrong"] += 1
            wrong.setdefault(problem, Counter())[answer_class] += 1
    return {
        problem: _missing_counted(
            ProblemResponses(
                problem,
                Ballot(counts["correct"], tuple(sorted(wrong.get(problem, Counter()).values())), counts["no_answer"]),
                num_timeouts=counts["timeout"],
                num_ungraded=counts["ungraded"],
            ),
            num_samples,
        )
        for problem, counts in statuses.items()
    }


def _missing_counted(found: ProblemResponses, num_samples: int | None) -> ProblemResponses:
    return replace(found, num_missing=max(0, (num_samples or 0) - found.num_samples))


def graded(problems: Mapping[str, ProblemResponses]) -> dict[str, ProblemResponses]:
    """Those of which at least one response has a reward."""
    return {problem: found for problem, found in problems.items() if found.num_graded}
