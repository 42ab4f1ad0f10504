"""Which pages have something to show, so that the menu leads to no empty one."""

import time
from collections import Counter

from onoff_assets.browser.noted import notes_in
from onoff_assets.browser.reading import Reader
from onoff_core.series import series_names
from onoff_core.store.catalog import CATALOG_NAME

OF_RESPONSES = ("problems", "responses", "response", "problem", "side_by_side")
# Pages of an asset, by one of its tables.
_OF_TABLES = {
    "tokens": "token_distributions",
    "opinions": "second_opinions",
    "rollouts": "rollout_mismatch_statistics",
}
_LOOKED_EVERY = 5.0  # seconds; each look lists folders, and every click asks
_LOOKED: dict[tuple[str, bool], tuple[float, frozenset[str]]] = {}


def pages_with_content(reader: Reader, is_read_only: bool) -> frozenset[str]:
    """The names of the pages that have something to show of some partition, besides the grid."""
    place = (str(reader.store.root), is_read_only)
    looked_at, found = _LOOKED.get(place, (0.0, frozenset()))
    now = time.monotonic()
    if place not in _LOOKED or now - looked_at > _LOOKED_EVERY:
        found = frozenset(_look(reader, is_read_only))
        _LOOKED[place] = (now, found)
    return found


def _look(reader: Reader, is_read_only: bool) -> set[str]:
    keys = reader.partitions()
    if not keys:
        return set()
    found = {*OF_RESPONSES, *(page for page, table in _OF_TABLES.items() if reader.store.partitions(table))}
    if max(Counter(dataset for dataset, _ in keys).values()) > 1:
        found.add("compare")
    if _has_series(reader):
        found.add("series")
    if not is_read_only or notes_in(reader).partitions():
        found.add("notes")
    return found


def _has_series(reader: Reader) -> bool:
    version = reader.store.files.version(CATALOG_NAME)
    return reader.kept(
        ("has series", str(reader.store.root), version),
        lambda: bool(series_names(reader.store, publish=False)),
        lambda _: 100,
    )
