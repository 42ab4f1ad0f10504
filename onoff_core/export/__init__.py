"""A partition's results as the research scripts' files, and their results back into the store.

`results` and `distributions` write, streaming; `importing` reads. What they wrote is read back by
`onoff_core.distributions.load_distributions`, which needs nothing of this package.
"""

from onoff_core.export.distributions import ExportOptions, export_distributions
from onoff_core.export.results import export_results

__all__ = ["ExportOptions", "export_distributions", "export_results"]
