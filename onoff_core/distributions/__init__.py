"""Responses -> the distribution behind every token, one table (and so one row group) a response, several where
whole-vocabulary rows are many; and exported files of them, back into arrays.

Reading files (`load_distributions`) needs numpy only; torch is imported when `extract_distributions` is first used.
"""

from typing import TYPE_CHECKING, Any

from onoff_core.distributions.load import TopK, load_distributions

if TYPE_CHECKING:
    from onoff_core.distributions.extract import extract_distributions

__all__ = ["TopK", "extract_distributions", "load_distributions"]


def __getattr__(name: str) -> Any:
    if name == "extract_distributions":
        from onoff_core.distributions.extract import extract_distributions

        return extract_distributions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
