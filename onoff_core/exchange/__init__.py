"""Other tools' files, out and in: the research scripts' results and distributions.

`results` and `distributions` write a partition's results, streaming; `importing` reads a `results.json` into the store;
`load` reads `distributions.json` and its NPZ back into arrays, and knows no store.
"""

from onoff_core.exchange.distributions import ExportOptions, export_distributions
from onoff_core.exchange.load import TopK, load_distributions
from onoff_core.exchange.results import export_results

__all__ = ["ExportOptions", "TopK", "export_distributions", "export_results", "load_distributions"]
