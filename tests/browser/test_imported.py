"""Imported samples can be browsed before they are scored, though nothing is known of their tokens."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.synthetic import write_partition
from onoff_core.store import Store, publish_catalog
from onoff_core.tables import SCHEMAS, UNKNOWN
from tests.browser.conftest import problems
from tests.browser.test_pages import components, texts


def test_their_text_is_shown_and_what_to_run(page: Callable[..., Any], tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    write_partition(store, "d", "m", problems(), with_distributions=False)
    samples = store.require("samples", ("d", "m"))
    rows = [row | {"token_logprobs": [], "finish_reason": UNKNOWN} for row in samples.read().to_pylist()]
    samples.write_fragment(0, [pa.Table.from_pylist(rows, schema=SCHEMAS["samples"])])
    publish_catalog(store)
    test = page("response", store, dataset="d", model="m", problem="p0", sample=0)
    assert not test.exception
    assert "onoff_token_view" not in components(test)
    assert "imported" in texts(test)
    assert any("so the answer is 2" in code.value for code in test.code)
