"""Responses and gold answers -> verdicts. Values in, values out; the store and the model are not known here."""

from onoff_core.rewards.grading import GradingTask, grade
from onoff_core.rewards.verdict import STATUSES, Verdict

__all__ = ["STATUSES", "GradingTask", "Verdict", "grade"]
