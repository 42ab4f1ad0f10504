"""Verdicts and lengths -> one row of statistics. Formulas only; every function names its source."""

from onoff_core.statistics.summary import summarise

__all__ = ["summarise"]
