"""What a reader comes for, job by job, in a real browser over one served store."""

import csv
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from onoff_assets.browser import components
from onoff_assets.browser.numbers import mass_text, probability_text
from onoff_core.progress import Progress
from onoff_core.store import Store, publish_catalog
from onoff_core.store.life_signs import Signs
from onoff_core.store.notes import Notes
from tests.browser import jobs_store
from tests.browser.jobs_store import GOOD, P0, PARTING, TRIED, WRONG
from tests.browser.test_chromium import bars, go, wait_for_bars


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return jobs_store.make(tmp_path_factory.mktemp("jobs"))


def test_the_place_stays_over_every_page_and_one_step_back_leaves(tab: Any, own_server: str) -> None:
    go(tab, own_server, "problem", **P0)
    tab.get_by_text("a correct and a wrong one").wait_for()
    go(tab, own_server, "response", **P0, status="wrong")
    tab.locator("#t3").click()
    wait_for_bars(tab, 3)
    tab.locator("#measure").select_option("rank")
    tab.get_by_text("Lens: what a sampler").click()
    tab.wait_for_url(re.compile("lens=0.6"))
    asked = {**P0, "token": 3, "status": "wrong", "colour": "rank", "lens": "0.6%2C0.95%2C0"}
    for page in ("Tokens", "Notes", "Response"):
        tab.get_by_role("link", name=page, exact=True).click()
        tab.wait_for_url(re.compile(f"/{page.lower()}\\?" + "".join(f"(?=.*{k}={v})" for k, v in asked.items())))
    tab.reload()
    wait_for_bars(tab, 3)
    assert tab.locator("#measure").input_value() == "rank"
    assert tab.locator("#bars .g2").count() > 0  # the lens is on
    tab.get_by_text("Lens: what a sampler").click()  # looking otherwise is no step to go back by
    tab.wait_for_url(lambda url: "lens" not in url)
    tab.locator("#tokens").focus()
    tab.keyboard.press("ArrowRight")
    wait_for_bars(tab, 4)
    tab.go_back()
    tab.wait_for_url(re.compile("/notes"))
    assert tab.faults == []


def test_the_strip_says_settings_prompt_and_its_tokens(tab: Any, own_server: str) -> None:
    for page in ("response", "problem", "tokens", "side_by_side"):
        go(tab, own_server, page, **P0)
        line = tab.locator("#facts .line").first
        line.wait_for()
        text = line.inner_text()
        for part in ("synthetic", "chatml", "0.6", "0.95", "seed 0", "4096", "made"):
            assert part in text, (page, part)
        assert line.locator("a").first.get_attribute("href") == f"http://127.0.0.1:3000/runs/{jobs_store.RUN}"
    go(tab, own_server, "response", **P0)
    tab.locator("#facts summary").click()
    blocks = tab.locator("#facts pre").all_inner_texts()
    assert blocks == ["What is $\\frac{2}{1}$?", "1:⟨U+0000⟩"]


def test_a_run_is_followed_until_it_is_complete(tab: Any, own_server: str, store: Store) -> None:
    """On the grid, whose cell leads to the first responses, and on a response."""
    generation = store.generation("samples", ("d", "going"), "9" * 16)
    with store.writing(generation):
        go(tab, own_server, "")
        cell = tab.locator("#table td", has=tab.locator("a[aria-label^='d, going']"))
        tab.locator("#now a", has_text="d|going, samples running: 8 of 16 responses").wait_for()
        assert cell.locator("a").inner_text() == "8 of 16 responses"
        jobs_store.write_unfinished(store, 3)
        progress = Progress("sampling", 16, lambda line: None, most_tokens=1000)
        progress.began -= 10
        progress.add_tokens(570)
        Signs(generation)(progress)
        said = "12 of 16 responses, 57 tokens/s, at most 8 s left, last progress"
        tab.locator("#now a", has_text=said).wait_for()
        assert cell.inner_text().split("\n")[:2] == ["12 of 16 responses", "samples running · S◐ R– A– T–"]
        go(tab, own_server, "response", dataset="d", model="going")
        tab.locator("#tokens .t").first.wait_for()
        strip = tab.locator("#facts .running")
        assert "57 tokens/s" in strip.inner_text()
        assert strip.evaluate("e => getComputedStyle(e, '::before').content").startswith('"▶')
        assert tab.get_by_text("dagster asset materialize").count() == 0  # a run is at it already
        go(tab, own_server, "", dataset="d", model="going")
        tab.get_by_text("Open it in").wait_for()
        assert tab.get_by_text("What is not complete is filled by").count() == 0
        cell.locator("a").click()  # to the responses that are there already
        tab.get_by_text("12 of 12").wait_for()
        go(tab, own_server, "response", dataset="d", model="going")
        tab.get_by_text("samples running: 12 of 16 responses").wait_for()
        tab.locator("#tokens .t").first.wait_for()  # what is there can be read
        jobs_store.write_unfinished(store, jobs_store.PARTS)
        tab.get_by_text("samples running: 16 of 16 responses").wait_for()
        jobs_store.finish(store)
    tab.get_by_text("complete", exact=True).wait_for()
    tab.get_by_text("response 1 of 16").wait_for()
    publish_catalog(store)
    go(tab, own_server, "")
    following = re.compile(r"Between two assets: something of d\|going .* go on with rewards")
    tab.locator("#now", has_text=following).wait_for()


def test_a_page_that_is_empty_fills_when_the_first_responses_are_there(tab: Any, own_server: str, store: Store) -> None:
    jobs_store.write_unfinished(store, 0, "starting")
    with store.writing(store.generation("samples", ("d", "starting"), "9" * 16)):
        go(tab, own_server, "responses", dataset="d", model="starting")
        tab.get_by_text("samples running: 0").wait_for()
        tab.get_by_text("The first responses of d|starting are being made").wait_for()
        assert tab.get_by_text("dagster asset materialize").count() == 0
        assert tab.get_by_text("8 of 8").count() == 0
        jobs_store.write_unfinished(store, 2, "starting")
        tab.get_by_text("samples running: 8 of 16 responses").wait_for()
        tab.get_by_text("8 of 8").wait_for()


def test_an_alternative_tells_what_would_have_happened(tab: Any, own_server: str) -> None:
    go(tab, own_server, "response", **P0)
    tab.locator(f"#t{PARTING}.branch").click()
    wait_for_bars(tab, PARTING)
    row = tab.locator("#branches tr", has_text="then")
    assert f"{GOOD} of {TRIED} correct" in row.inner_text()
    assert "26 % to 62 %" in row.inner_text()
    assert "gained" in row.inner_text()
    assert tab.locator("#branches").evaluate("e => e.scrollWidth <= e.clientWidth + 1")  # nothing sticks out
    row.locator("button").click()
    tab.locator("#branches details").first.wait_for()
    assert tab.locator("#branches details").count() == TRIED
    tab.locator("#branches summary").first.click()
    assert "so the answer is 2" in tab.locator("#branches pre").first.inner_text()
    tab.wait_for_url(re.compile("branch="))
    assert tab.locator("#values").is_visible()
    go(tab, own_server, "response", dataset="d", model="other", problem="p0", sample=0, token=PARTING)
    wait_for_bars(tab, PARTING)
    assert tab.locator("#branches").count() + tab.locator("#values:visible").count() == 0


def test_a_flip_opens_at_the_token_where_the_two_part(tab: Any, own_server: str) -> None:
    go(tab, own_server, "compare", dataset="d", model="m", other="other")
    flips = tab.locator("table", has=tab.locator("caption", has_text="Problems by difference"))
    flips.locator("a", has_text="p0").click()
    tab.locator("#pair .sel").first.wait_for()
    picked = tab.locator("#pair .sel").evaluate_all(
        "all => all.map((e) => [e.dataset.side, e.dataset.i, e.textContent])"
    )
    assert picked == [["left", str(PARTING), " let"], ["right", str(PARTING), " then"]]
    assert "model's at temperature 1, not truncated" in tab.locator("#pair .legend").inner_text()
    assert tab.locator("#pair .title").all_inner_texts()[1:] == ["m, sample 0: ✗ wrong", "other, sample 0: ✓ correct"]
    tab.locator("#bars caption", has_text=f"token {PARTING}: ·then").wait_for()
    tab.get_by_text("one text, as other sees it too").click()
    tab.locator(f"#t{PARTING}.above").wait_for()
    assert tab.locator("#tokens .above").count() == 1
    tab.locator(f"#t{PARTING}").click()
    tab.locator("#table", has_text="-2.2000").wait_for()


def test_a_linked_token_has_the_focus_and_its_verdict_in_sight(tab: Any, own_server: str) -> None:
    """The keys work at once; but where one types, the focus stays."""
    tab.set_viewport_size({"width": 390, "height": 844})
    go(tab, own_server, "response", **P0, token=3)
    wait_for_bars(tab, 3)
    tab.locator("#tokens:focus").wait_for()
    tab.keyboard.press("ArrowRight")
    wait_for_bars(tab, 4)
    verdict = tab.locator("#verdict")
    assert [part in verdict.inner_text() for part in ("✗ wrong", "reward 0", "extracted 3")] == [True] * 3
    tab.wait_for_timeout(1700)  # the page has come to rest
    for wanted in (0, 9999):  # wherever one scrolls among the tokens
        tab.locator("#tokens").evaluate("list => list.scrollIntoView({block: 'end'})")
        tab.locator("#tokens").evaluate("(list, y) => { list.scrollTop = y; }", wanted)
        box = verdict.bounding_box()
        assert 0 < box["y"] < 844 - box["height"]
    scrolled = "document.querySelector('.stMain').scrollTop"
    lens = tab.locator(".st-key-lens-on label")
    lens.scroll_into_view_if_needed()
    tab.wait_for_timeout(300)
    before, box = tab.evaluate(scrolled), lens.bounding_box()
    for wanted in (1, 0):  # the page is shorter while the bars are drawn anew, and longer with the lens
        tab.mouse.click(box["x"] + 10, box["y"] + box["height"] / 2)
        tab.locator(".st-key-lens-temperature").wait_for(state="visible" if wanted else "detached")
        tab.wait_for_timeout(500)
        assert tab.evaluate(scrolled) == before
    tab.locator("#limit").focus()
    tab.evaluate("document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'l', bubbles: true}))")
    assert tab.locator("#said").inner_text() == ""


def test_walking_goes_on_in_the_order_of_the_table(tab: Any, own_server: str) -> None:
    go(tab, own_server, "responses", dataset="d", model="m", sort="-tokens", status="correct")
    tab.get_by_text("p3", exact=True).first.click()
    tab.locator("#tokens .t").first.wait_for()
    tab.get_by_text(re.compile("of 7 that match, 16 in all, by tokens, largest first")).wait_for()


def test_hovering_shows_the_most_probable_and_moves_nothing(tab: Any, own_server: str) -> None:
    go(tab, own_server, "response", **P0, token=1)
    wait_for_bars(tab, 1)
    shown = [(row[1].removeprefix("▶ "), row[4]) for row in bars(tab)[:5]]
    tab.locator("#t4").click()
    wait_for_bars(tab, 4)
    before = tab.locator("#t4").bounding_box()
    tab.locator("#t1").hover()
    tab.locator("#tip .row5").nth(4).wait_for()
    rows = [
        (row.locator(".label5").inner_text(), row.locator(".p5").inner_text()) for row in tab.locator(".row5").all()
    ]
    assert [(label, pytest.approx(float(p), abs=2e-4)) for label, p in shown] == [(a, float(b)) for a, b in rows]
    assert tab.locator("#t4").bounding_box() == before
    wait_for_bars(tab, 4)  # what was clicked stays
    assert tab.locator("#tip .head5").inner_text() == "token 1, probabilities at temperature 1"
    assert "probabilities at temperature 1" in tab.locator("#bars caption").inner_text()
    numbers = [1.0, 0.25, 9.4e-5, 1e-6, 2.71e-9, 0.0]  # in scripts as elsewhere: nothing positive reads as zero
    script = f"all => {{ {components.script('probability')}\nreturn all.map((p) => [probability(p), mass(p)]); }}"
    assert tab.evaluate(script, numbers) == [[probability_text(p), mass_text(p)] for p in numbers]
    tab.locator(".legend summary").click()
    assert "the response was drawn at temperature 0.6, top-p 0.95. The lens" in tab.locator(".legend").inner_text()
    for height in (1000, 420):  # above the token or below it, a line away
        tab.set_viewport_size({"width": 700, "height": height})
        for token in ("#t2", "#t12"):
            tab.locator(token).hover()
            tab.locator("#tip .row5").nth(4).wait_for()
            tip, at = tab.locator("#tip").bounding_box(), tab.locator(token).bounding_box()
            above, below = at["y"] - (tip["y"] + tip["height"]), tip["y"] - (at["y"] + at["height"])
            assert max(above, below) >= 15


def test_the_first_key_leads_to_the_tokens_and_a_sheet_has_all_keys(tab: Any, own_server: str) -> None:
    go(tab, own_server, "response", **P0)
    tab.locator("#tokens .t").first.wait_for()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.keyboard.press("ArrowRight")
    wait_for_bars(tab, 0)
    tab.keyboard.press("?")
    assert "copy the response" in tab.get_by_role("dialog").inner_text()
    tab.keyboard.press("Escape")
    assert tab.get_by_role("dialog").count() == 0


def test_what_is_shown_can_be_taken_away(tab: Any, own_server: str, store: Store, tmp_path: Path) -> None:
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    go(tab, own_server, "response", **P0, token=2)
    wait_for_bars(tab, 2)
    tab.locator("#tokens").focus()
    tab.keyboard.press("c")
    tab.get_by_text("response copied").wait_for()
    assert tab.evaluate("navigator.clipboard.readText()") == WRONG
    tab.keyboard.press("l")
    tab.get_by_text("link to token 2 copied").wait_for()
    assert tab.evaluate("navigator.clipboard.readText()") == tab.url
    for label, wanted in (
        (".csv", "position,text,mark,entropy,surprisal,rank,excess"),
        (".html", "so the answer"),
        (".png", None),
    ):
        tab.locator(".menu summary").click()
        with tab.expect_download() as download:
            tab.locator(".choices button", has_text=label).click()
        download.value.save_as(tmp_path / "file")
        if wanted is None:
            assert Image.open(tmp_path / "file").size == (2400, 2 * (400 + 150))  # with the values of its branches
            continue
        content = (tmp_path / "file").read_text()
        assert wanted in re.sub("<[^>]*>", "", content)
        assert label == ".csv" or "<script" not in content  # a table may have a token that is called so
        if label == ".csv":
            assert_table(list(csv.DictReader(io.StringIO(content))), store)


def assert_table(rows: list[dict[str, str]], store: Store) -> None:
    """A row a token, with its id, its response, the temperatures, and what else could have been said."""
    scored = store.require("token_distributions", ("d", "m")).read().to_pylist()
    stored = [row for row in scored if (row["problem_id"], row["sample_index"]) == ("p0", 0)]
    assert [int(row["token_id"]) for row in rows] == [row["token_id"] for row in stored]
    assert [int(row["position"]) for row in rows] == list(range(len(stored)))
    assert {(row["dataset"], row["model"], row["problem"], row["sample"]) for row in rows} == {("d", "m", "p0", "0")}
    assert {(row["temperature"], row["drawn_at_temperature"]) for row in rows} == {("1", "0.6")}
    for row, of in zip(rows, stored, strict=True):
        assert [int(row[f"top{k}_id"]) for k in range(1, 6)] == of["topk_ids"]
        assert float(row["top5_probability"]) == pytest.approx(math.exp(of["topk_logprobs"][4]), rel=1e-4)


def test_a_note_is_kept_listed_and_taken_away(tab: Any, own_server: str, store: Store) -> None:
    go(tab, own_server, "response", **P0, token=PARTING)
    wait_for_bars(tab, PARTING)
    tab.keyboard.press("s")
    tab.get_by_role("button", name="★ starred").wait_for()
    tab.get_by_text("✎ note").click()
    tab.get_by_text("the token that is picked").click()
    tab.get_by_label("Comment").fill("here it goes wrong <b>")
    tab.get_by_text("keep the note").click()
    tab.get_by_text("The note is kept.").wait_for()
    tab.get_by_label("Comment").wait_for(state="hidden")  # the form is closed
    tab.locator("#verdict", has_text="★ starred").wait_for()
    assert "✎ 1 note" in tab.locator("#verdict").inner_text()
    tab.locator(f"#t{PARTING}.noted").wait_for()
    kept = {note.position: note for note in Notes(store.files).of_partition(("d", "m"))}
    assert kept[None].star
    assert (kept[PARTING].comment, kept[PARTING].excerpt) == ("here it goes wrong <b>", "·let")
    tab.get_by_role("link", name="Notes", exact=True).click()
    row = tab.locator("#table tr", has_text="here it goes wrong <b>")
    row.locator("a").click()
    wait_for_bars(tab, PARTING)
    tab.get_by_role("button", name="remove").click()
    tab.locator(f"#t{PARTING}.noted").wait_for(state="detached")
    assert [note.position for note in Notes(store.files).of_partition(("d", "m"))] == [None]
    assert json.loads((Path(store.root) / "samples/d/m/current.json").read_text())["fingerprint"] == "a" * 16
