"""Walking from a table over responses and problems, what a search found, and the heads of both pages, in Chromium."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pytest
from playwright.sync_api import TimeoutError

from onoff_core.store import Store
from onoff_core.tables import SCHEMAS
from tests.browser import jobs_store
from tests.browser.jobs_store import P0, PARTING, WRONG
from tests.browser.test_chromium import go, wait_for_bars


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return jobs_store.make(tmp_path_factory.mktemp("walking"))


@pytest.mark.parametrize(("over", "said"), [("all", "all partitions"), ("models", "all models of the data set")])
def test_a_walk_goes_over_the_partitions_of_the_table(tab: Any, own_server: str, over: str, said: str) -> None:
    """The same responses in the same order, from whichever of them one looks; the address names each."""
    asked = {"text": "LET x", "sort": "-tokens", "status": "wrong", "problem_id": "p0", "over": over}
    go(tab, own_server, "responses", dataset="d", model="other", **asked)
    links = tab.locator("#data td.named a")
    links.nth(3).wait_for()
    assert all(f"over={over}" in link.get_attribute("href") for link in links.all())  # in a new tab too
    names = ("dataset", "model", "problem", "sample")
    listed = [place_of(link.get_attribute("href"), names) for link in links.all()]
    assert {place[1] for place in listed} == {"m", "other"}
    links.first.click()
    seen = []
    for at, place in enumerate(listed, 1):
        tab.get_by_text(
            re.compile(rf"response {at} of {len(listed)} that match, \d\d in all, over {said}, by tok")
        ).wait_for()
        wait_for_bars(tab, PARTING)  # it opens at the hit
        tab.locator("#tokens mark", has_text="let").wait_for()
        seen.append(place_of(tab.url, names))
        assert seen[-1] == place
        settle(tab)
        if at < len(listed):
            press(tab, "j", tab.get_by_text(f"response {at + 1} of {len(listed)} that match"))
    assert tab.get_by_role("button", name="next").first.is_disabled()
    press(tab, "k", tab.get_by_text(f"response {len(listed) - 1} of {len(listed)} that match"))
    tab.keyboard.press("w")
    tab.locator("#verdict", has_text="✗ wrong").wait_for()
    assert place_of(tab.url, names) in listed
    assert tab.get_by_text("made on other responses").count() == 0


def settle(tab: Any) -> None:
    """Until the page is drawn as a whole: Streamlit leaves out a key pressed before."""
    tab.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def press(tab: Any, key: str, until: Any) -> None:
    """Press a key until it is heard, for Streamlit may begin to draw the page anew after it has settled."""
    for _ in range(4):
        tab.keyboard.press(key)
        try:
            until.wait_for(timeout=12_000)
        except TimeoutError:
            continue
        return
    until.wait_for()


def place_of(address: str, names: tuple[str, ...]) -> tuple[str, ...]:
    query = parse_qs(urlsplit(address).query)
    return tuple(query[name][0] for name in names)


@pytest.mark.parametrize(
    ("asked", "marked", "firsts"),
    [
        ({"text": "SO 3"}, ["so 3"], [12]),  # whatever its case
        ({"text": r"[a-z]+ x|so 3", "regex": "1"}, ["let x", "so 3"], [7, 12]),
        ({"text": "LET", "regex": "1"}, [], []),
        ({"text": "("}, [], []),
    ],
)
def test_what_a_search_found_is_marked_and_gone_to(
    tab: Any, own_server: str, asked: dict[str, str], marked: list[str], firsts: list[int]
) -> None:
    go(tab, own_server, "response", **P0, **asked)
    tab.locator("#tokens .t").first.wait_for()
    for number, at in enumerate(firsts, 1):  # it opens at the first
        wait_for_bars(tab, at)
        assert f"hit {number} of {len(firsts)}" in tab.locator("#hits").inner_text()
        assert tab.locator("#tokens .sel").get_attribute("aria-label").endswith(f"hit {number} of {len(firsts)}")
        tab.keyboard.press(".")
    for at in reversed(firsts[:-1]):
        tab.keyboard.press(",")
        wait_for_bars(tab, at)
    pieces = tab.locator("#tokens mark").evaluate_all(
        "all => all.map((e) => [e.textContent, e.classList.contains('ends'), getComputedStyle(e).borderTopWidth])"
    )
    assert {width for *_, width in pieces} <= {"2px"}  # not by colour alone
    whole = "".join(text + "|" * ends for text, ends, _ in pieces).split("|")[:-1]
    assert whole == marked
    assert tab.locator("#hits").is_hidden() == (not marked)
    assert "token" not in tab.url or marked
    assert tab.locator("#tokens").evaluate("list => list.textContent") == WRONG
    assert tab.faults == []


def test_the_head_leaves_the_room_to_the_tokens(tab: Any, own_server: str) -> None:
    """Buttons on one row, question and verdict on a line each; on a phone nothing lies over a button."""
    tab.set_viewport_size({"width": 1440, "height": 900})
    go(tab, own_server, "response", dataset="d", model="other", problem="p0", sample=0)
    tab.locator("#tokens .t").first.wait_for()
    tab.wait_for_timeout(500)
    assert tab.locator("#tokens").bounding_box()["y"] < 480
    boxes = [one.bounding_box() for one in tab.locator(".st-key-walk button, .st-key-walk a").all()]
    assert len(boxes) >= 8
    assert max(box["y"] for box in boxes) < min(box["y"] + box["height"] for box in boxes)
    assert tab.locator("#verdict").bounding_box()["height"] < 70
    assert tab.locator(".st-key-question").bounding_box()["height"] < 50
    tab.set_viewport_size({"width": 390, "height": 844})
    go(tab, own_server, "response", **P0, token=3)
    wait_for_bars(tab, 3)
    tab.wait_for_timeout(2000)
    for name in (".copy", ".menu summary", ".keys"):
        assert tab.locator(name).evaluate(
            """e => { const at = e.getBoundingClientRect(), root = e.getRootNode();
              const top = root.elementFromPoint(at.x + at.width / 2, at.y + at.height / 2);
              return e.contains(top) && at.right <= innerWidth; }"""
        ), name


def test_a_problem_shows_where_they_part_and_leads_to_the_next(tab: Any, own_server: str) -> None:
    tab.set_viewport_size({"width": 1440, "height": 900})
    go(tab, own_server, "problem", dataset="d", model="m", problem="p2", sort="pass_rate")
    tab.get_by_text("problem p2: problem 1 of 4, by pass rate, smallest first").wait_for()
    settle(tab)
    press(tab, "j", tab.get_by_text("problem p0: problem 2 of 4"))
    table = tab.locator("table", has=tab.locator("caption", has_text="Correct and wrong part most at"))
    for part in (table, tab.get_by_text("a correct and a wrong one"), tab.get_by_text("Where they part")):
        box = part.bounding_box()
        assert box["y"] + box["height"] < 900
    table.locator("a", has_text="let").click()  # the wrong ones go on by it
    tab.locator("#pair .sel").first.wait_for()
    picked = tab.locator("#pair .sel").evaluate_all(
        "all => all.map((e) => [e.dataset.side, e.dataset.i, e.textContent])"
    )
    assert picked == [["left", str(PARTING), " let"], ["right", str(PARTING), " then"]]
    tab.go_back()
    table.locator("a", has_text=f"token {PARTING}").click()
    tab.locator("#pair .title", has_text="correct").first.wait_for()
    titles = tab.locator("#pair .title").all_inner_texts()[1:]
    assert [title.split(": ")[1] for title in titles] == ["✓ correct", "✗ wrong"]


def test_a_partition_that_was_not_run_says_so_and_follows_its_first_run(
    tab: Any, own_server: str, store: Store
) -> None:
    """It is in onoff.yaml; and while a run is known to be at it, nobody is told to start one."""
    key = ("arithmetic", "smollm2-135m")
    go(tab, own_server, "response", dataset=key[0], model=key[1])
    tab.get_by_text("arithmetic|smollm2-135m is in this study and was not run yet").wait_for()
    assert "--partition 'arithmetic|smollm2-135m'" in tab.locator("[data-testid=stCode]").inner_text()
    assert tab.get_by_text("Did you mean").count() == 0
    generation = store.generation("samples", key, "9" * 16)
    with store.writing(generation):
        generation.begin({"seed": 0, "responses": 8})
        tab.get_by_text("samples: 0 of 8 responses").wait_for()
        assert tab.get_by_text("materialize").count() == 0
        made = jobs_store.problems(False)[0]
        rows = [jobs_store.sample_row(made, i, one) for i, one in enumerate(made.responses)]
        generation.write_fragment(0, [pa.Table.from_pylist(rows, schema=SCHEMAS["samples"])])
        tab.get_by_text("problem p0, sample 0: response 1 of 4").wait_for()
    assert tab.faults == []
