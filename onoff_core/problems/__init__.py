"""Data sets -> problems. In: a data set's settings. Out: `Problem`s with stable, unique ids, and their version.

Knows nothing of prompts or models. Only `hub` touches the `datasets` library, and only when a hub data set is read.
"""

from onoff_core.problems.loading import load_problems, problems_source
from onoff_core.problems.problem import Problem, problems_version

__all__ = ["Problem", "load_problems", "problems_source", "problems_version"]
