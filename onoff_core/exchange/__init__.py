"""Other tools' files, out and in: the research scripts' results and distributions.

`results` and `distributions` write a partition's results, streaming, in one of two shapes (`options`; `scripts_shape`
has the entries of the scripts' own), `process_rewards` the values of the steps of its responses, `notes` what people
noted on them; `importing` reads a `results.json` of either shape into the store; `load` reads `distributions.json` and
its NPZ back into arrays, and knows no store. Each is imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onoff_core.exchange.distributions import export_distributions
    from onoff_core.exchange.load import TopK, load_distributions
    from onoff_core.exchange.notes import export_notes
    from onoff_core.exchange.options import ExportOptions
    from onoff_core.exchange.process_rewards import export_process_rewards
    from onoff_core.exchange.results import export_results

__all__ = [
    "ExportOptions",
    "TopK",
    "export_distributions",
    "export_notes",
    "export_process_rewards",
    "export_results",
    "load_distributions",
]

_MODULES = {
    "ExportOptions": "options",
    "TopK": "load",
    "export_distributions": "distributions",
    "export_notes": "notes",
    "export_process_rewards": "process_rewards",
    "export_results": "results",
    "load_distributions": "load",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"onoff_core.exchange.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
