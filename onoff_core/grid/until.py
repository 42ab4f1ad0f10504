"""Draw in rounds until the accuracy is known well enough: `sampling.until`.

Between two rounds the responses are graded as `rewards` grades them. The verdicts are not kept, for `rewards` needs
each problem's answers together. Rounds depend on the settings alone and decisions on the responses, so an interrupted
run and the one that goes on from it stop at the same place.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from onoff_core.grid.drawing import Drawing
from onoff_core.grid.thinking import partition_tags
from onoff_core.problems import Problem
from onoff_core.rewards import Grader, GradingTask, whole_gold
from onoff_core.sampling import Piece, Pieces
from onoff_core.statistics.sequence import Sequence95, as_matrix, rounds_of
from onoff_core.study import UntilSettings

Stopped = Literal["narrow enough", "most reached", "no verdicts"]
_COLUMNS = ["problem_id", "sample_index", "prompt", "response"]


@dataclass(frozen=True)
class Round:
    """What was known after a round."""

    num_samples: int  # of each problem, in all
    accuracy: float | None  # None: no problem has verdicts
    low: float | None
    high: float | None


def sequence_of(until: UntilSettings) -> Sequence95:
    """The interval that the setting is about."""
    return Sequence95(until.half_width, until.least, until.most)


class Until:
    """The rounds of one run."""

    def __init__(self, drawing: Drawing, problems: Sequence[Problem], until: UntilSettings) -> None:
        self.drawing, self.until = drawing, until
        self.gold = {one.problem_id: whole_gold(one.answer, one.solution) for one in problems}
        self.rewards: dict[str, dict[int, int | None]] = {one.problem_id: {} for one in problems}
        self.rounds: list[Round] = []

    def draw(self, pieces: Pieces) -> int:
        """Draw round after round. Returns how many responses each problem has."""
        task, thinking = self.drawing.partition.task, partition_tags(self.drawing.partition)
        with Grader(task.format_type, reward_type=task.reward_type, thinking=thinking) as grader:
            for num_samples in rounds_of(self.until.least, self.until.most):
                of_round = pieces.up_to(num_samples)
                self.drawing.fill(of_round)
                self._grade(of_round, grader)
                self.rounds.append(self._look(num_samples))
                self.drawing.say(self._said())
                if self.stopped is not None:
                    return num_samples
        raise AssertionError("the last round reaches `most`")

    @property
    def stopped(self) -> Stopped | None:
        """Why it stopped; None: it goes on."""
        last = self.rounds[-1]
        if last.low is None or last.high is None:
            return "no verdicts"
        if (last.high - last.low) / 2 <= self.until.half_width:
            return "narrow enough"
        return "most reached" if last.num_samples >= self.until.most else None

    @property
    def facts(self) -> dict[str, Any]:
        return {"until": {"stopped": self.stopped, "rounds": [asdict(one) for one in self.rounds]}}

    def _grade(self, pieces: Sequence[Piece], grader: Grader) -> None:
        generation = self.drawing.generation
        there = generation.fragment_indices()
        for index in sorted({index for piece in pieces for index in piece.indices} & there):
            rows = generation.read_fragment(index, _COLUMNS).to_pylist()
            names = [row["problem_id"] for row in rows]
            tasks = [
                GradingTask(row["response"], self.gold[name], name, row["prompt"])
                for name, row in zip(names, rows, strict=True)
            ]
            for name, row, verdict in zip(names, rows, grader.grade(tasks), strict=True):
                self.rewards[name][row["sample_index"]] = verdict.reward

    def _look(self, num_samples: int) -> Round:
        rewards = as_matrix(self.rewards)
        interval = sequence_of(self.until).interval(rewards)
        if interval is None:
            return Round(num_samples, None, None, None)
        return Round(num_samples, float(np.mean(rewards)), *interval)

    def _said(self) -> str:
        last = self.rounds[-1]
        if last.accuracy is None or last.low is None or last.high is None:
            return "sampling.until: no response has a verdict, so more of them would say nothing"
        return (
            f"sampling.until: after {last.num_samples} responses a problem the accuracy is {last.accuracy:.3f}, "
            f"between {last.low:.3f} and {last.high:.3f} on these problems; half of that width is to be "
            f"{self.until.half_width:g} at most: {self.stopped or 'going on'}"
        )
