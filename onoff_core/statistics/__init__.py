"""Verdicts and lengths -> one row of statistics. Formulas only; every function names its source.

estimators   accuracy, its standard error, pass@k     majority   maj@k
intervals    of an accuracy, and of the difference between two models      summary    the row
"""

from onoff_core.statistics.intervals import PairedDifference, accuracy_interval, paired_difference
from onoff_core.statistics.summary import problem_means, summarise

__all__ = ["PairedDifference", "accuracy_interval", "paired_difference", "problem_means", "summarise"]
