"""Where results live: immutable Parquet fragments, a manifest written last, and a catalog published from them.

Layout, below the store's root:

    problems/<dataset>/<fingerprint>/            one generation: fragments 00000.parquet, ..., begun.json, manifest.json
    <asset>/<dataset>/<model>/<fingerprint>/     the same for samples, rewards, statistics, token_distributions
    vocabulary/<model>/<fingerprint>/            what token ids stand for, so that readers need no tokenizer
    .../current.json                             which generation of that folder is the current one
    catalog.duckdb                               a snapshot for SQL, replaced whole at every publication

A generation without a manifest is unfinished and is never read as a result. Values in, values out: this package knows nothing of
models or settings.
"""

from onoff_core.store.catalog import connect_catalog, publish_catalog
from onoff_core.store.generation import Generation, Manifest
from onoff_core.store.store import Store

__all__ = ["Generation", "Manifest", "Store", "connect_catalog", "publish_catalog"]
