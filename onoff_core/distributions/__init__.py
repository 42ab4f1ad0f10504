"""Responses -> the distribution behind every token, one table (and so one row group) a response."""

from onoff_core.distributions.extract import extract_distributions

__all__ = ["extract_distributions"]
