"""Verdicts and lengths -> statistics. Formulas only; every function names its source.

responses    what is counted of each problem              estimators   accuracy, its standard error, pass@k
majority     maj@k                                        intervals    for other problems, for the same problems, paired
at_k         pass@k and maj@k with intervals and bounds   comparing    two models, several models
power        how many problems and responses it takes     distributions    tails and quantiles of these
summary, problem_table, comparison_table, second_opinions    the rows; stored    what a stored one says
"""

from onoff_core.statistics.comparison_table import comparison_table
from onoff_core.statistics.intervals import PairedDifference, accuracy_interval, paired_difference
from onoff_core.statistics.problem_table import problem_statistics, responses_of_table
from onoff_core.statistics.responses import ProblemResponses, responses_by_problem
from onoff_core.statistics.second_opinions import second_opinion_statistics
from onoff_core.statistics.summary import problem_means, summarise

__all__ = [
    "PairedDifference",
    "ProblemResponses",
    "accuracy_interval",
    "comparison_table",
    "paired_difference",
    "problem_means",
    "problem_statistics",
    "responses_by_problem",
    "responses_of_table",
    "second_opinion_statistics",
    "summarise",
]
