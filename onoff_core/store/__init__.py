"""Where results live: immutable Parquet fragments, a manifest written last, and a catalog published from them.

Layout, below the store's root:

    problems/<dataset>/<fingerprint>/            one generation: fragments 00000.parquet, ..., begun.json, manifest.json
    <asset>/<dataset>/<model>/<fingerprint>/     the same for samples, rewards, statistics, token_distributions
    cross_*/<dataset>/<model>/<reference>/<fingerprint>/    the same for cross-scores, by each reference
    vocabulary/<model>/<fingerprint>/            the bytes of each token id, so that readers need no tokenizer
    .../current.json                             which generation of that folder is the current one
    .../.<fingerprint>.lock, .progress.json      while a run writes there: that it does, and how far it says it is
    catalog.duckdb                               a snapshot for SQL, replaced whole at every publication
    notes/<dataset>/<model>/<revision>.json      what people noted on responses and tokens; no result knows of them
    changed/<note>.json                          partitions whose current generation is not in the catalog yet
    schema/<asset>-<hash>-<store>.parquet        empty, with today's columns: the catalog's views begin with it

A generation without a manifest is unfinished and is never read as a result. Values in, values out: this package knows
nothing of models or settings.
"""

from onoff_core.store.catalog import CATALOG_NAME, publish_catalog
from onoff_core.store.generation import Generation
from onoff_core.store.judging import Judge, Judged, Judgement
from onoff_core.store.manifest import Fragment, Manifest
from onoff_core.store.reading import Catalog, Current, connect_catalog, current_generations, reading_catalog
from onoff_core.store.store import Store

__all__ = [
    "CATALOG_NAME",
    "Catalog",
    "Current",
    "Fragment",
    "Generation",
    "Judge",
    "Judged",
    "Judgement",
    "Manifest",
    "Store",
    "connect_catalog",
    "current_generations",
    "publish_catalog",
    "reading_catalog",
]
