"""Responses -> the distribution behind every token, one table (and so one row group) a response; several
where a response has many whole-vocabulary rows.

torch is imported when `extract_distributions` is first used. `load_distributions` and `TopK`, which read exported files
back, live in `onoff_core.exchange.load`; notebooks import them from here.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onoff_core.distributions.extract import extract_distributions
    from onoff_core.exchange.load import TopK, load_distributions

__all__ = ["TopK", "extract_distributions", "load_distributions"]


def __getattr__(name: str) -> Any:
    if name == "extract_distributions":
        from onoff_core.distributions.extract import extract_distributions

        return extract_distributions
    if name in ("TopK", "load_distributions"):
        from onoff_core.exchange import load

        return getattr(load, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
