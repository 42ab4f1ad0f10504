"""The `output` folders of a research file: the scripts' files are also written there, as the scripts did."""

from pathlib import Path

from onoff_core.exchange.distributions import ExportOptions, export_distributions
from onoff_core.exchange.results import export_results
from onoff_core.store import Store
from onoff_core.study import Outputs, Partition


def write_outputs(outputs: Outputs, partition: Partition, store: Store, asset: str) -> list[Path]:
    """Write what can be written once `asset` of the partition is there; the files written.

    `results.json` and `statistics.json` follow the statistics, `distributions.json` and its NPZ the distributions.
    """
    key = partition.dataset, partition.model
    if asset == "statistics" and outputs.results is not None:
        return export_results(store, key, outputs.results)
    if asset == "token_distributions" and outputs.distributions is not None:
        options = ExportOptions(use_logits=partition.distribution.use_logits)
        return export_distributions(store, key, outputs.distributions, options)
    return []
