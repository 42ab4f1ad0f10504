"""The `output` folders of a research file: the scripts' files are also written there, in the scripts' own shape."""

from pathlib import Path

from onoff_core.exchange.distributions import export_distributions
from onoff_core.exchange.files import Say, info
from onoff_core.exchange.options import ExportOptions
from onoff_core.exchange.results import RESULTS_NAME, export_results
from onoff_core.store import Store
from onoff_core.study import Outputs, Partition


def write_outputs(outputs: Outputs, partition: Partition, store: Store, asset: str, say: Say = info) -> list[Path]:
    """Write what can be written once `asset` of the partition is there; the files written.

    `results.json` and `statistics.json` follow the statistics; `distributions.json` and its NPZ the distributions,
    with a `statistics.json` of their own where their folder is another than that of the results.
    """
    key, split = (partition.dataset, partition.model), partition.dataset_settings.split
    if asset == "statistics" and outputs.results is not None:
        return export_results(store, key, outputs.results, ExportOptions(shape="scripts", split=split), say)
    if asset == "token_distributions" and outputs.distributions is not None:
        options = ExportOptions(
            use_logits=partition.distribution.use_logits,
            shape="scripts",
            input_file=None if outputs.results is None else str(outputs.results / RESULTS_NAME),
        )
        own = outputs.distributions != outputs.results
        return export_distributions(store, key, outputs.distributions, options, say, statistics=own)
    return []
