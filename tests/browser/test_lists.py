"""Tables in the real app: the worst problems, a confident mistake, flips, filters, a search, each in a few clicks."""

import csv
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow.compute as pc
import pytest

from benchmarks.synthetic import STOP, MadeUp, MadeUpProblem, encode, write_partition
from onoff_assets.browser.reading import Reader
from onoff_assets.browser.views import noting
from onoff_core.statistics import problem_means
from onoff_core.store import Store, publish_catalog
from onoff_core.store.notes import Notes
from tests.browser.listed import write_listed
from tests.browser.test_chromium import go

MANY = 3000  # responses


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(str(tmp_path_factory.mktemp("listed") / "store"))
    write_listed(made)
    responses = [MadeUp([*encode(" so" * (i % 7)), STOP], i % 2, str(i)) for i in range(10)]
    problems = [MadeUpProblem(f"p{i}", responses) for i in range(MANY // 10)]
    write_partition(made, "many", "m", problems, with_distributions=False)
    for i in range(40):
        write_partition(made, "many", f"m-{i}b", problems[:1], with_distributions=False)
    publish_catalog(made)
    return made


def rows(tab: Any) -> list[list[str]]:
    """The cells of the rows that are drawn."""
    tab.locator("#data tbody td.named").first.wait_for()
    shown = tab.locator("#data tbody tr:not(.spacer, .excerpt)").all()
    return [row.locator("td").all_inner_texts() for row in shown]


def headers(tab: Any) -> list[str]:
    return [text.split(" ")[0] if text[-1] in "↑↓●" else text for text in tab.locator("#data th").all_inner_texts()]


def column(tab: Any, name: str) -> list[str]:
    shown = rows(tab)
    at = next(i for i, text in enumerate(tab.locator("#data th").all_inner_texts()) if text.startswith(name))
    return [row[at] for row in shown]


def query(tab: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(tab.url).query).items()}


def mean_entropies(store: Store, key: tuple[str, str]) -> dict[tuple[str, int], float]:
    table = store.require("token_distributions", key).read()
    means = table.group_by(["problem_id", "sample_index"]).aggregate([("entropy", "mean")]).to_pylist()
    return {(row["problem_id"], row["sample_index"]): row["entropy_mean"] for row in means}


def test_one_click_from_the_grid_shows_the_worst_problems(tab: Any, own_server: str, store: Store) -> None:
    go(tab, own_server, "")
    tab.locator("#table a[aria-label^='algebra, medium']").click()
    means = problem_means(store.require("rewards", ("algebra", "medium")).read())
    lowest = [name for name, mean in means.items() if mean == min(means.values())]
    assert set(column(tab, "problem")[: len(lowest)]) == set(lowest)
    assert [float(rate) for rate in column(tab, "pass rate")] == sorted(round(mean, 2) for mean in means.values())
    tab.locator("#data tbody tr", has_text=lowest[0]).first.click()  # and one more opens it
    tab.wait_for_url(re.compile(rf"/problem\?.*problem={lowest[0]}"))
    assert tab.faults == []


def test_two_clicks_from_the_grid_show_a_confident_mistake(tab: Any, own_server: str, store: Store) -> None:
    go(tab, own_server, "")
    tab.locator("#table a[aria-label^='algebra, small']").click()
    tab.locator("#data .chip", has_text="confidently wrong").click()
    tab.wait_for_url(re.compile("/responses"))
    tab.locator("#data .chip.on", has_text="confidently wrong").wait_for()
    rewards = store.require("rewards", ("algebra", "small")).read()
    wrong = rewards.filter(pc.equal(rewards["status"], "wrong")).to_pylist()
    entropies = mean_entropies(store, ("algebra", "small"))
    surest = min(wrong, key=lambda row: entropies[row["problem_id"], row["sample_index"]])
    first = [column(tab, name)[0] for name in ("problem", "sample")]
    assert first == [surest["problem_id"], str(surest["sample_index"])]
    assert column(tab, "entropy")[0] == f"{entropies[surest['problem_id'], surest['sample_index']]:.3f}"
    tab.locator("#data tbody tr").nth(1).click()
    tab.locator("#tokens .t").first.wait_for()
    assert query(tab)["sample"] == str(surest["sample_index"])


def test_models_are_compared_and_a_problem_that_flips_is_opened(tab: Any, own_server: str) -> None:
    go(tab, own_server, "compare", dataset="geometry", model="small")
    matrix = tab.locator("#table", has=tab.locator("caption", has_text="Row minus column"))
    matrix.locator("tr", has_text="large").last.locator("a").first.wait_for()
    assert matrix.locator("th").all_inner_texts() == ["", "large", "medium", "small"]
    tab.locator("svg.marks").nth(2).wait_for()
    assert matrix.locator("td.chosen").inner_text() == matrix_cell(tab, "small", "large").inner_text()
    matrix_cell(tab, "large", "small").locator("a").click()
    tab.wait_for_url(re.compile("model=large.*other=small|other=small.*model=large"))
    tab.get_by_text("large minus small: ").wait_for()
    assert matrix_cell(tab, "large", "small").get_attribute("aria-current") == "true"
    solved, flips = (
        tab.locator("#table", has=tab.locator("caption", has_text=text))
        for text in ("Solved by", "Problems by difference")
    )
    beside, two, three = (place.bounding_box() for place in (matrix, solved, flips))
    assert beside["x"] + beside["width"] <= two["x"]
    assert abs(beside["y"] - two["y"]) < 300
    assert two["y"] < three["y"] < two["y"] + 400  # the flips right after the two by two
    with tab.expect_download() as taken:  # of a chart, below it
        tab.get_by_role("button", name="SVG").first.click()
    with open(taken.value.path()) as file:
        assert re.match(r"<svg [^>]*xmlns=\"http://www.w3.org/2000/svg\"", file.read())
    with tab.expect_download() as taken:
        tab.get_by_role("button", name="data as CSV").first.click()
    with open(taken.value.path()) as file:
        lines = list(csv.DictReader(file))
    assert set(lines[0]) == {"k", "pass@k", "low", "high", "name"}
    tab.get_by_role("link", name="Entropy of tokens").click()  # one click away, whatever stands between
    tab.wait_for_function("() => document.querySelector('.stMain').scrollTop > 1000")
    assert 0 <= tab.locator("#entropy").bounding_box()["y"] < 300
    tab.go_back()  # to the two that were chosen before
    tab.get_by_text("small minus large: ").wait_for()
    assert matrix_cell(tab, "small", "large").get_attribute("aria-current") == "true"
    tab.set_viewport_size({"width": 1400, "height": 500})
    link = flips.locator("a").first
    link.scroll_into_view_if_needed()
    top = tab.locator(".stMain").evaluate("e => e.scrollTop")
    assert top > 100
    link.click()
    tab.wait_for_url(re.compile("/side_by_side"))
    tab.locator("#pair .t").first.wait_for()
    tab.go_back()  # to the place on the page, too
    flips.wait_for()
    tab.wait_for_function("top => Math.abs(document.querySelector('.stMain').scrollTop - top) < 2", arg=top)


def matrix_cell(tab: Any, row: str, column: str) -> Any:
    """Of the paired differences."""
    table = tab.locator("#table", has=tab.locator("caption", has_text="Row minus column"))
    number = table.locator("th").all_inner_texts().index(column)
    name = re.compile(f"^{row}$")
    return table.locator("tbody tr", has=tab.locator("td:first-child", has_text=name)).locator("td").nth(number)


def test_the_menu_leads_to_no_empty_page(tab: Any, own_server: str) -> None:
    go(tab, own_server, "")
    tab.locator("#table td a").first.wait_for()
    links = tab.locator("[data-testid=stTopNavLink]")
    of_all = ["Grid", "Problems", "Responses", "Response", "Problem", "Side by side", "Compare", "Tokens", "Notes"]
    assert links.all_inner_texts() == of_all
    go(tab, own_server, "series")  # who gets there by the address sees what would fill it, and where that is
    tab.get_by_text("series: NAME").wait_for()
    assert "Series" in links.all_inner_texts()
    tab.set_viewport_size({"width": 390, "height": 844})
    button = tab.get_by_role("button", name="Menu", exact=True)
    button.wait_for()
    assert button.evaluate("e => getComputedStyle(e, '::after').content") == '"Menu"'


def test_filters_and_columns_live_in_the_address(tab: Any, own_server: str) -> None:
    tab.set_viewport_size({"width": 1440, "height": 900})
    go(tab, own_server, "responses", dataset="algebra", model="large")
    needed = ["problem", "sample", "question", "status", "reward", "answer", "gold", "pass rate", "entropy", "tokens"]
    rows(tab)
    assert headers(tab)[1 : len(needed) + 1] == needed
    assert tab.locator("#rows").evaluate("e => e.scrollWidth - e.clientWidth") <= 1  # all of it in sight
    assert "mean log-prob" not in tab.locator("#data th").all_inner_texts()
    tab.locator("#data button", has_text="Columns").click()
    tab.get_by_label("show mean log-prob").check()
    tab.get_by_label("show gold").uncheck()
    tab.wait_for_url(re.compile("columns=mean_log_prob%2C-answer"))
    tab.locator("#data th", has_text="mean log-prob").wait_for()
    tab.locator("#data th", has_text="gold").wait_for(state="detached")
    tab.locator("#data button", has_text="Filters").click()
    tab.get_by_label("tokens at least").fill("40")
    tab.get_by_label("tokens at most").fill("90")  # as one types: neither Enter nor another field
    tab.wait_for_url(re.compile(r"tokens=40-90"))
    tab.get_by_label("status", exact=True).select_option("wrong")
    tab.wait_for_url(re.compile("status=wrong"))
    tab.locator("#data th button", has_text="tokens").click()
    tab.wait_for_url(re.compile("sort=-tokens"))

    def are_shown() -> bool:
        lengths = [int(text) for text in column(tab, "tokens")]
        statuses = set(column(tab, "status"))
        return statuses == {"wrong"} and lengths == sorted(lengths, reverse=True) and lengths[0] <= 90

    tab.wait_for_timeout(600)
    assert are_shown()
    assert int(column(tab, "tokens")[-1]) >= 40
    tab.reload()
    tab.locator("#data").wait_for()
    assert are_shown()
    assert {"mean log-prob", "gold"} & set(tab.locator("#data th").all_inner_texts()) == {"mean log-prob"}
    tab.get_by_label("take away the filter of status").click()
    tab.wait_for_url(lambda url: "status" not in url)
    assert query(tab)["tokens"] == "40-90"


@pytest.mark.parametrize(("text", "regex"), [("WAIT, let", False), (r"check \d × \d", True)])
def test_all_responses_are_searched(tab: Any, own_server: str, store: Store, text: str, regex: bool) -> None:
    go(tab, own_server, "responses", dataset="algebra", model="large")
    tab.locator("#scope").select_option("all")
    tab.wait_for_url(re.compile("over=all"))
    if regex:
        tab.locator("#regex").click()
        tab.locator("#search").fill("(" + text)
        tab.locator("#fault", has_text="no regular expression").wait_for()
    tab.locator("#search").fill("")
    tab.locator("#search").press_sequentially(text)  # as one types: without Enter, and the field stays as it is
    tab.locator("#data mark").first.wait_for()
    assert tab.locator("#search").evaluate("e => e.getRootNode().activeElement === e")
    assert tab.locator("#search").input_value() == text
    assert tab.locator("#fault").is_hidden()
    tab.wait_for_url(re.compile("text="))
    hits = tab.locator("#data mark").all_inner_texts()
    assert set(hits) == ({"check 3 × 4"} if regex else {"Wait, let"})
    found = sum(
        len(re.findall("Wait, let me check 3", response)) > 0
        for key in store.partitions("samples")
        for response in store.require("samples", key).read()["response"].to_pylist()
    )
    assert tab.locator("#count").inner_text().startswith(f"{found} of ")


def test_a_star_is_set_in_the_table_and_filtered_by(tab: Any, own_server: str, store: Store) -> None:
    go(tab, own_server, "responses", dataset="geometry", model="large", sort="-tokens")
    stars = tab.locator("#data td.star button")
    stars.nth(3).click()
    stars.nth(1).click()
    tab.locator("#data td.star button[aria-pressed=true]").nth(1).wait_for()
    wanted = [
        (problem, int(sample)) for problem, sample in zip(column(tab, "problem"), column(tab, "sample"), strict=True)
    ]

    def starred() -> set[tuple[str, int]]:
        return {
            (n.problem_id, n.sample_index) for n in Notes(store.files).of_partition(("geometry", "large")) if n.star
        }

    tab.locator("#data .chip", has_text="starred").click()
    tab.locator("#count", has_text="2 of ").wait_for()
    assert starred() == {wanted[1], wanted[3]}
    tab.wait_for_url(re.compile("star=starred"))
    stars.first.click()
    tab.locator("#count", has_text="1 of ").wait_for()
    assert len(starred()) == 1
    go(tab, own_server, "problems", dataset="geometry", model="large", num_starred="1-")
    tab.locator("#count", has_text="1 of 12").wait_for()
    assert tab.faults == []


def test_a_long_table_is_drawn_where_one_looks(tab: Any, own_server: str) -> None:
    go(tab, own_server, "responses", dataset="many", model="m")
    assert len(rows(tab)) < 100
    tab.locator("#rows").evaluate("frame => { frame.scrollTop = frame.scrollHeight * 0.5; }")
    middle = tab.locator("#data tbody tr", has_text=re.compile(r"\bp150"))
    middle.first.wait_for()
    tab.locator("#rows").focus()
    tab.keyboard.press("End")
    last = tab.locator(f"#data #r{MANY - 1}", has_text="p299")
    last.wait_for()
    tab.keyboard.press("Enter")
    tab.wait_for_url(re.compile("/response.*problem=p299"))


def test_what_is_shown_is_taken_away(tab: Any, own_server: str, store: Store) -> None:
    go(tab, own_server, "responses", dataset="many", model="m", tokens="7-", sort="-tokens")
    rows(tab)
    with tab.expect_download() as taken:
        tab.get_by_role("button", name="CSV").click()
    with open(taken.value.path()) as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == MANY // 10
    assert {line["num_tokens"] for line in lines} == {"7"}
    assert {line["dataset"] for line in lines} == {"many"}
    for asset in ("samples", "rewards"):  # what they were made from goes along
        assert {line[asset] for line in lines} == {store.require(asset, ("many", "m")).fingerprint}


def test_on_a_phone_tables_scroll_inside_themselves(tab: Any, own_server: str, store: Store) -> None:
    noting.set_star(Reader(store), ("algebra", "small"), "algebra-1", 0, True)
    tab.set_viewport_size({"width": 390, "height": 844})
    for page in ("", "problems", "tokens", "responses", "compare"):
        go(tab, own_server, page, dataset="algebra", model="small")
        tab.locator("#table, #data").first.wait_for()
        tab.wait_for_timeout(700)
        wide = tab.locator(".stMain").evaluate("e => e.scrollWidth - e.clientWidth")
        assert wide <= 1, page
        cut = tab.evaluate(
            "() => [...document.querySelectorAll('*')].flatMap((e) => e.shadowRoot ? "
            "[...e.shadowRoot.querySelectorAll('table')] : []).filter((t) => { "
            "let e = t.parentElement; const box = t.getBoundingClientRect(); "
            "return box.right > innerWidth + 1 && getComputedStyle(e).overflowX !== 'auto'; }).length"
        )
        assert cut == 0, page
        if page in ("problems", "tokens", "responses"):  # rows are cards, with all that there is
            tab.locator("#data td.card a").first.wait_for()
            assert tab.locator("#rows").evaluate("e => e.scrollWidth - e.clientWidth") <= 1, page
            assert tab.locator("#data td.card .item").evaluate_all(
                "all => { const right = (e) => e.getBoundingClientRect().right; "
                "return all.every((e) => right(e) <= right(e.closest('td'))); }"
            ), page
        if page == "problems":
            with_star = tab.locator("#data td.card", has_text="★")  # where there is none, it is left out
            assert (with_star.count(), tab.locator("#data td.card").count() > 2) == (1, True)
        if page == "responses":
            card = tab.locator("#data td.card").first.inner_text()
            assert all(name in card for name in ("answer", "gold", "pass rate", "entropy", "tokens", "What is")), card
            tab.locator("#order").select_option("num_tokens")
            tab.wait_for_url(re.compile("sort=-tokens"))
            tab.locator("#turn").click()
            tab.wait_for_url(re.compile("sort=tokens"))
            tab.locator("#data button", has_text="Filters").click()
            tab.get_by_label("status", exact=True).select_option("wrong")
            tab.wait_for_url(re.compile("status=wrong"))


def test_a_grid_of_many_models_fits_the_window(tab: Any, own_server: str) -> None:
    tab.set_viewport_size({"width": 1440, "height": 500})
    go(tab, own_server, "")
    tab.locator("#table tbody td a").first.wait_for()
    models = tab.locator("#table thead").first.locator("th.model").all_inner_texts()
    assert [model for model in models if model.startswith("m-")] == [f"m-{i}b" for i in range(40)]
    frame = tab.locator("#table .frame").first
    assert frame.evaluate("e => e.scrollWidth - e.clientWidth") <= 1
    frame.evaluate("e => { e.scrollTop = e.scrollHeight; }")
    top, head = (
        frame.evaluate(f"e => {of}.getBoundingClientRect().top") for of in ("e", "e.querySelector('thead th')")
    )
    assert abs(top - head) < 2  # the header stays
    tab.locator("#table caption", has_text="State of each asset").wait_for()
    cell = tab.locator("#table a[aria-label^='many, m-3b']")
    cell.scroll_into_view_if_needed()
    tab.wait_for_timeout(500)
    places = (cell, tab.locator("#table .hint").first, tab.get_by_text("One partition"))
    before = [place.bounding_box() for place in places]
    cell.hover()
    assert "many | m-3b" in tab.locator("#table .about").first.inner_text()
    assert [place.bounding_box() for place in places] == before  # nothing moves
    foot, last = (tab.locator(f"#table {of} td.mean").last.bounding_box() for of in ("tfoot", "tbody tr:last-child"))
    assert foot["y"] >= last["y"] + last["height"] - 1  # the means of the models lie over no row


def test_the_grid_is_ordered_and_filtered_in_the_address(tab: Any, own_server: str) -> None:
    go(tab, own_server, "")
    tab.locator("#table thead th button", has_text="small").click()
    tab.wait_for_url(re.compile("rows=-small"))
    tab.locator("#find_dataset").fill("al")
    tab.locator("#find_dataset").press("Enter")
    tab.wait_for_url(re.compile("find_dataset=al"))
    assert tab.locator("#table table").first.locator("tbody th").all_inner_texts() == ["algebra"]
    tab.reload()
    tab.locator("#table tbody th").first.wait_for()
    assert tab.locator("#table table").first.locator("tbody th").all_inner_texts() == ["algebra"]
