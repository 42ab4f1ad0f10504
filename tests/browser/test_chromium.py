"""The real app in a real browser: click, read, follow, walk, and a response that wants to be more than text."""

import http.client
import io
import itertools
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmarks.browser import served
from benchmarks.synthetic import PIECES
from onoff_assets.browser.pieces import label_of
from onoff_core.store import Store
from tests.browser.conftest import HOSTILE, HOSTILE_ID, responses

OPEN = {"dataset": "d", "model": "m", "problem": "p0"}


def go(tab: Any, server: str, page: str, **query: object) -> None:
    tab.goto(f"{server}/{page}?{urlencode(query)}")


def rows_of(store: Store, problem: str, sample: int) -> list[dict[str, Any]]:
    folder = store.require("token_distributions", ("d", "m")).folder
    table = pq.read_table(f"{store.root}/{folder}/00000.parquet").to_pylist()
    return [row for row in table if (row["problem_id"], row["sample_index"]) == (problem, sample)]


def bars(tab: Any) -> list[list[str]]:
    """The cells of every bar: rank, token, id, (bar), stored probability."""
    return [row.locator("td").all_inner_texts() for row in tab.locator("#bars tbody tr").all()]


def wait_for_bars(tab: Any, position: int) -> None:
    tab.locator("#bars caption", has_text=re.compile(rf"^token {position}:")).wait_for()


def test_a_click_shows_the_stored_row(tab: Any, server: str, made_store: Store) -> None:
    go(tab, server, "response", **OPEN, sample=0)
    tab.locator("#t3").click()
    wait_for_bars(tab, 3)
    row = rows_of(made_store, "p0", 0)[3]
    shown = bars(tab)
    for number, (token_id, logprob) in enumerate(zip(row["topk_ids"], row["topk_logprobs"], strict=True)):
        rank, label, shown_id, _, probability = shown[number]
        assert (int(rank), int(shown_id)) == (number + 1, token_id)
        assert label.removeprefix("▶ ") == label_of(PIECES[token_id], False, token_id)
        assert label.startswith("▶") == (token_id == row["token_id"])
        assert float(probability) == pytest.approx(2.718281828**logprob, abs=1e-4)
    assert "outside the top 5" in shown[-1][1]
    tab.wait_for_url(re.compile("token=3"))
    assert tab.faults == []


def test_the_grids_name_in_the_address_opens_it(tab: Any, server: str) -> None:
    """Streamlit serves the default page at / alone."""
    go(tab, server, "grid", dataset="d", model="bare")
    tab.locator("#table td a").first.wait_for()
    tab.get_by_text("d|bare").first.wait_for()
    assert tab.get_by_role("dialog").count() == 0
    assert tab.url.split("/")[-1] == "?dataset=d&model=bare"
    assert tab.locator("[data-testid=stTopNavLink]").all_inner_texts() == [
        "Grid", "Problems", "Responses", "Response", "Problem", "Side by side", "Compare", "Tokens", "Opinions",
        "Rollouts", "Notes",
    ]  # fmt: skip


def test_a_page_s_title_in_the_address_opens_it(tab: Any, server: str) -> None:
    go(tab, server, "Response", **OPEN, sample=1)
    tab.locator("#tokens .t").first.wait_for()
    assert tab.get_by_role("dialog").count() == 0
    assert "/response?" in tab.url
    assert "sample=1" in tab.url


def test_an_unsure_tokens_underline_lies_on_its_fill(tab: Any, server: str) -> None:
    """The line has the text's colour; under a dark fill it would be white on the white page."""
    go(tab, server, "response", **OPEN, sample=0, token=1)
    wait_for_bars(tab, 1)
    token = tab.locator("#t3")  # " is": no letter reaches the line
    style = token.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]")
    fill, ink = (tuple(map(int, re.findall(r"\d+", colour)[:3])) for colour in style)
    image = Image.open(io.BytesIO(token.screenshot())).convert("RGB")
    column = [image.getpixel((image.width // 4, y)) for y in range(image.height - 1)]
    assert [colour for colour, _ in itertools.groupby(column) if colour in (fill, ink)][-3:] == [fill, ink, fill]


def test_a_deep_link_opens_the_same_token(tab: Any, server: str) -> None:
    go(tab, server, "response", **OPEN, sample=1, token=2)
    wait_for_bars(tab, 2)
    assert tab.locator("#t2").get_attribute("aria-selected") == "true"


def test_started_in_another_folder_it_answers_to_its_own_names_alone(
    tab: Any, made_store: Store, tmp_path: Path
) -> None:
    """Where no settings of ours lie: a page is shown, and a WebSocket under a foreign name is refused."""
    with served(made_store, tmp_path) as address:
        go(tab, address, "response", **OPEN, sample=0, token=1)
        wait_for_bars(tab, 1)
        port = int(address.rpartition(":")[2])
        assert [handshake(port, name) for name in ("127.0.0.1", "localhost", "foreign.example")] == [101, 101, 403]


def handshake(port: int, host: str) -> int:
    """The status that a WebSocket asked for under this name is answered with."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
    headers = {"Host": f"{host}:{port}", "Upgrade": "websocket", "Connection": "Upgrade", **key}
    connection.request("GET", "/_stcore/stream", headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("size", [(1440, 900), (1000, 500), (390, 844)])
def test_a_linked_token_stands_in_the_middle_of_the_window(tab: Any, server: str, size: tuple[int, int]) -> None:
    tab.set_viewport_size({"width": size[0], "height": size[1]})
    go(tab, server, "response", dataset="long", model="m", token=9000)
    wait_for_bars(tab, 9000)
    tab.wait_for_timeout(2500)
    box = tab.locator("#t9000").bounding_box()
    assert size[1] * 0.25 < box["y"] + box["height"] / 2 < size[1] * 0.75
    assert 0 <= box["x"] <= size[0]


def test_one_step_back_leaves_the_response(tab: Any, server: str) -> None:
    """However many tokens one walked over; the address names the last, and opens it again."""
    go(tab, server, "problem", **OPEN)
    tab.locator("table", has=tab.locator("caption", has_text="Samples")).locator("td a").first.click()
    tab.locator("#tokens .t").first.click()
    wait_for_bars(tab, 0)
    for at in (1, 2, 3):
        tab.keyboard.press("ArrowRight")
        wait_for_bars(tab, at)
    tab.wait_for_url(re.compile(r"/response\?.*token=3"))
    address = tab.url
    tab.go_back()
    tab.wait_for_url(re.compile("/problem"))
    tab.goto(address)
    wait_for_bars(tab, 3)


def test_the_keyboard_walks(tab: Any, server: str, made_store: Store) -> None:
    go(tab, server, "response", **OPEN, sample=0, token=1)
    wait_for_bars(tab, 1)
    tab.locator("#tokens").focus()
    tab.keyboard.press("ArrowRight")
    wait_for_bars(tab, 2)
    tab.keyboard.press("End")
    last = len(responses()[0].token_ids) - 1
    wait_for_bars(tab, last)
    tab.keyboard.press("Home")
    wait_for_bars(tab, 0)
    unsure = [row["position"] for row in rows_of(made_store, "p0", 0) if row["entropy"] >= 1.0 and row["position"] > 0]
    tab.keyboard.press("n")
    wait_for_bars(tab, unsure[0])
    assert tab.locator("#tokens").get_attribute("aria-activedescendant") == f"t{unsure[0]}"
    tab.keyboard.press("j")  # the next response
    tab.wait_for_url(re.compile("sample=1"))
    tab.locator("#tokens .sel").wait_for(state="detached")  # the former response's, whose tokens stand until then
    tab.locator("#tokens:focus").wait_for()
    tab.keyboard.press("ArrowRight")  # the keys are in its tokens without the mouse
    wait_for_bars(tab, 0)
    assert "sample=1" in tab.url


def test_a_click_in_a_long_response_touches_no_more_than_in_a_short_one(tab: Any, server: str) -> None:
    moved = websocket_bytes(tab)
    go(tab, server, "response", dataset="long", model="m", token=10)
    wait_for_bars(tab, 10)
    tab.wait_for_timeout(1000)
    tab.locator("#tokens").evaluate(
        """list => {
          window.changes = 0;
          new MutationObserver((all) => (window.changes += all.length))
            .observe(list, {subtree: true, childList: true, attributes: true, characterData: true});
        }"""
    )
    moved.clear()
    tab.locator("#t12").click()
    wait_for_bars(tab, 12)
    tab.wait_for_timeout(500)
    assert 0 < tab.evaluate("window.changes") <= 12  # two tokens' classes and labels, and the list's active one
    assert 0 < sum(moved) < 10_000
    tab.locator("#tokens").focus()
    tab.keyboard.press("End")
    last = tab.locator("#tokens .t").count() - 1
    assert last > 19_000
    wait_for_bars(tab, last)
    assert in_sight(tab, last)
    blocks = tab.locator("#tokens .block").count()  # the browser looks at each of them in every frame
    assert 1 < blocks <= last / 200 + 1


@pytest.mark.parametrize("dataset", ["long", "line"])
def test_a_link_far_into_a_long_response_shows_its_token(tab: Any, server: str, dataset: str) -> None:
    go(tab, server, "response", dataset=dataset, model="m", token=17_000)
    wait_for_bars(tab, 17_000)
    assert in_sight(tab, 17_000)


def in_sight(tab: Any, position: int) -> bool:
    """Whether the token lies within the frame of the text."""
    tab.wait_for_timeout(500)
    return bool(
        tab.locator(f"#t{position}").evaluate(
            """token => {
              const box = token.getBoundingClientRect();
              const frame = token.closest('#tokens').getBoundingClientRect();
              return box.top >= frame.top && box.bottom <= frame.bottom;
            }"""
        )
    )


def test_what_is_copied_is_the_response(tab: Any, server: str) -> None:
    for index in (0, 2):
        go(tab, server, "response", **OPEN, sample=index)
        tab.locator("#t0").wait_for()
        copied = tab.evaluate(
            """() => {
              const host = [...document.querySelectorAll('*')].find((e) => e.shadowRoot?.querySelector('#tokens'));
              const list = host.shadowRoot.querySelector('#tokens');
              const selection = host.shadowRoot.getSelection?.() ?? document.getSelection();
              const range = document.createRange(); range.selectNodeContents(list);
              selection.removeAllRanges(); selection.addRange(range);
              const data = new DataTransfer();
              list.dispatchEvent(new ClipboardEvent('copy', {clipboardData: data, bubbles: true, cancelable: true}));
              return data.getData('text/plain');
            }"""
        )
        assert copied == responses()[index].text


def test_marks_and_bytes_are_seen(tab: Any, server: str) -> None:
    go(tab, server, "response", **OPEN, sample=2)
    tab.locator("#t0").wait_for()
    marks = tab.locator("#tokens .m").evaluate_all("all => all.map((mark) => mark.dataset.m)")
    assert {"→", "··", "↵", "⟨F0⟩", "⟨80⟩"} <= set(marks)
    assert tab.locator("#tokens .special .m").get_attribute("data-m") == "<|end|> #0"


def test_other_colours_and_thresholds(tab: Any, server: str) -> None:
    go(tab, server, "response", **OPEN, sample=0)
    tab.locator("#t0").wait_for()
    for measure in ("surprisal", "rank", "excess"):
        tab.locator("#measure").select_option(measure)
        assert tab.locator(".legend").inner_text().startswith(measure.replace("excess", "surprisal minus entropy"))
    tab.locator("#limit-kind").select_option("percentile")
    assert re.match(r"\d+ of \d+ tokens unsure: underlined", tab.locator("#count").inner_text())


def test_a_cell_of_the_grid_opens_the_partition(tab: Any, server: str) -> None:
    go(tab, server, "")
    tab.locator("#table a", has_text="%").first.click()
    tab.locator("#data tbody tr a").first.click()
    tab.locator("#table").first.wait_for()
    assert "/problem?" in tab.url


def test_a_branch_of_the_tree_opens_its_token(tab: Any, server: str) -> None:
    go(tab, server, "problem", **OPEN)
    tree = tab.locator("table", has=tab.locator("caption", has_text="Prefix tree"))
    tree.locator("a", has_text="3").first.click()
    tab.locator("#bars").wait_for()
    assert "token=" in tab.url


def test_keys_pressed_among_the_controls_leave_the_response(tab: Any, server: str) -> None:
    go(tab, server, "response", **OPEN, sample=0, token=1)
    wait_for_bars(tab, 1)
    tab.locator("#limit").focus()
    tab.keyboard.press("j")
    tab.wait_for_timeout(1500)
    assert "sample=0" in tab.url


@pytest.mark.parametrize(
    "page",
    [
        *("", "problems", "responses", "response", "problem", "side_by_side", "compare", "tokens"),
        *("opinions", "rollouts", "notes"),
    ],
)
def test_a_hostile_response_is_inert(tab: Any, server: str, page: str) -> None:
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    go(tab, server, page, dataset="d", model="m", problem=HOSTILE_ID, sample=0, token=0)
    tab.locator("#table, #data, #tokens, #pair").first.wait_for()
    tab.wait_for_timeout(1500)
    assert tab.title() != "owned"
    assert tab.faults == []
    assert tab.locator("img[src='x']").count() == 0
    assert tab.locator("a[href^='javascript']").count() == 0
    assert not [url for url in asked if not url.startswith((server, server.replace("http", "ws"), "data:", "blob:"))]
    if page == "response":
        text = tab.locator("#tokens").evaluate("list => list.textContent")
        assert text == HOSTILE
        assert tab.locator("#tokens .m[data-m='⟨U+202E⟩']").count() == 1


def test_nothing_of_the_page_is_asked_of_another_host(tab: Any, server: str) -> None:
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    go(tab, server, "response", **OPEN, sample=0, token=0)
    wait_for_bars(tab, 0)
    assert [url for url in asked if not url.startswith((server, server.replace("http", "ws"), "data:", "blob:"))] == []


def websocket_bytes(tab: Any) -> list[int]:
    """A list that grows with every message, both ways."""
    moved: list[int] = []

    def note(socket: Any) -> None:
        socket.on("framesent", lambda frame: moved.append(len(frame)))
        socket.on("framereceived", lambda frame: moved.append(len(frame)))

    tab.on("websocket", note)
    return moved


def test_a_click_moves_less_than_ten_kilobytes(tab: Any, server: str) -> None:
    moved = websocket_bytes(tab)
    go(tab, server, "response", **OPEN, sample=0, token=0)
    wait_for_bars(tab, 0)
    tab.wait_for_timeout(1000)
    moved.clear()
    tab.locator("#t4").click()
    wait_for_bars(tab, 4)
    tab.wait_for_timeout(500)
    assert 0 < sum(moved) < 10_000
