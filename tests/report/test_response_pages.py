"""The page of one response: of a size that opens, wrapped whole, and its tokens told as the browser tells them."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from onoff_assets.browser.components import token_view
from onoff_assets.browser.reading import Reader
from onoff_assets.report import embedding
from onoff_assets.report.response_page import response_page, tokens_of
from onoff_core.errors import ExchangeError
from onoff_core.frames import open_study
from onoff_core.store import Store
from tests.report.making import FIRST
from tests.report.test_report import Page


def test_thinking_and_forced_tokens_are_told_apart_as_in_the_browser(made_study: Path) -> None:
    reader = Reader(open_study(made_study).store)
    responses = reader.responses(("sums", "first"))
    tokens = tokens_of(reader, responses, responses.problem_ids[0], 0)
    thinking = replace(tokens, sample=replace(tokens.sample, answer_start=4, forced_positions=(2, 3)))
    plain, told = (json.loads(Page(response_page(one)).data["response"])["content"] for one in (tokens, thinking))
    assert (told["answer"], told["forced"]) == (4, [2, 3])
    assert (plain["answer"], plain["forced"]) == (None, [])


def test_a_page_has_fewer_alternatives_where_it_would_be_too_long() -> None:
    asked: list[int] = []

    def build(shown: int) -> str:
        asked.append(shown)
        return "x" * (1_000_000 * (1 + shown))

    numbers = embedding.tries(20, 30_000)
    assert numbers == [20, 10, 5, 3, 1, 0]
    assert embedding.tries(20, 100) == [20]  # always small enough, so nothing else is made
    assert embedding.tries(20, 200_000) == [3, 1, 0]
    page, shown = embedding.first_that_fits(build, numbers, "it")
    assert (len(page), shown, asked) == (4_000_000, 3, [20, 10, 5, 3])
    with pytest.raises(ExchangeError, match="over 5 MB"):
        embedding.first_that_fits(lambda shown: "x" * 5_000_000, numbers, "it")


def test_the_components_are_wrapped_whole() -> None:
    """Their one default export becomes a value; a second one, or an import, would be refused."""
    for name in ("token_view", "bar_view"):
        assert re.search(r"^export", embedding.component_script(name), re.MULTILINE) is None
    assert "writeAddress" in embedding.component_script("token_view")
    assert token_view.payload([], token_view.Overlay([], None, None))


def test_a_notebook_shows_a_response_in_a_frame(made_study: Path) -> None:
    study = open_study(made_study)
    problem = study.problems("sums")["problem_id"][0].as_py()
    shown = study.view(FIRST, problem, 1, token=2, theme="dark")
    frame = Page(shown._repr_html_())
    ((tag, attributes),) = frame.elements
    assert (tag, attributes["sandbox"]) == ("iframe", "allow-scripts allow-downloads")
    assert attributes["srcdoc"] == shown.page
    told = json.loads(Page(shown.page).data["response"])
    assert (told["opened"], told["theme"], told["address"]) == (2, "dark", False)


def test_a_partition_without_distributions_is_coloured_by_surprisal(made_study: Path, tmp_path: Path) -> None:
    shutil.copytree(made_study / "store", tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / "token_distributions")
    store = Store(str(tmp_path / "store"))
    reader = Reader(store)
    responses = reader.responses(("sums", "first"))
    page = Page(response_page(tokens_of(reader, responses, responses.problem_ids[0], 0)))
    assert "There are no token distributions of this response" in page.text
    told = json.loads(page.data["response"])
    assert [measure["name"] for measure in told["content"]["measures"]] == ["surprisal"]
    assert told["alternatives"] is None
