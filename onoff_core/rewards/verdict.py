"""The verdict on one response."""

from dataclasses import dataclass
from typing import Literal, get_args

Status = Literal["correct", "wrong", "no_answer", "gold_unparsed", "timeout"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class Verdict:
    """What was decided of a response, and on what it rests.

    `reason` says of what is neither correct nor wrong why: where an answer was looked for, what took too long.

    `answer_class` numbers the mathematically different answers of one problem: 0 is the gold answer, 1, 2, ... are the
    others, by which was given first; None where there is no answer to compare. It is what a majority is counted by.
    """

    status: Status
    extracted_answer: str | None
    answer_class: int | None = None
    reason: str | None = None

    @property
    def reward(self) -> int | None:
        """1 for a correct response, 0 for any other; None where the gold answer cannot be parsed or worked out, which
        is not the model's fault.
        """
        if self.status == "gold_unparsed":
            return None
        return int(self.status == "correct")
