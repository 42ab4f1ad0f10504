"""The browser shows a response as both models see it, from what the asset really writes."""

from collections.abc import Callable
from typing import Any

import pytest

from onoff_assets.browser.reading import Reader
from onoff_assets.browser.side import references_of, same_text


def test_one_text_as_both_models_see_it(crossed: Callable[..., Any]) -> None:
    partition, store, _ = crossed(["near"])
    reader = Reader(store)
    responses = reader.responses(partition.names)
    assert references_of(reader, responses) == ["near"]
    rows = store.require("cross_scores", (*partition.names, "near")).read().to_pylist()
    for problem in responses.problem_ids:
        sample = reader.sample(responses, problem, 1)
        found = same_text(reader, responses, sample, "near")
        assert found is not None
        own = [row for row in rows if (row["problem_id"], row["sample_index"], row["text"]) == (problem, 1, "response")]
        assert [row["token_id"] for row in found.rows] == [row["token_id"] for row in own] == sample.token_ids
        _, values = found.measures[0]
        assert values == pytest.approx([row["kl"] if row["kl"] is not None else row["kl_lower"] for row in own])
