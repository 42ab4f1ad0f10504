"""Responses and gold answers -> verdicts. Values in, values out; the store and the model are not known here.

grading      responses -> verdicts, in order
pool         processes with a deadline for each item; processes is one of them, worker what runs in it
answers      what an answer says (its docstring names the parts); comparisons: when two say the same
opinions     second opinions, by rules that share nothing with these; judging: by a model
"""

from onoff_core.boxes import whole_gold
from onoff_core.rewards.grading import Grader, GradingTask, grade
from onoff_core.rewards.pool import GradingError
from onoff_core.rewards.verdict import STATUSES, Verdict

__all__ = ["STATUSES", "Grader", "GradingError", "GradingTask", "Verdict", "grade", "whole_gold"]
