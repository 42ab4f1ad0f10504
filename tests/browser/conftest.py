"""A made-up store with everything that goes wrong in it, the pages by themselves, and the real app in Chromium."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks import browser
from benchmarks.synthetic import STOP, MadeUp, MadeUpProblem, encode, write_partition
from onoff_core.rewards.opinions import (
    is_for_the_judge,
    judged,
    opinions_table,
    rule_opinions,
    without_the_rules_word,
)
from onoff_core.statistics.mismatch import Compared, partition_row, response_row
from onoff_core.store import Store, publish_catalog
from onoff_core.store.notes import Notes, new_note
from tests.store.making import filled

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> ![i](http://127.0.0.1:9/i.png)"
    " [l](javascript:alert(1)) **bold** $\\href{javascript:alert(1)}{x}$ \u202etxet\u202c \x07 :red[r]\n\n# heading\n"
)
HOSTILE_ID = "<img src=x onerror=\"document.title='owned'\">"
LONG = 20_000  # tokens
RUN = "6eb66dca-0000-4000-8000-1234567890ab"  # of Dagster, that made d|m
RIGHT, WRONG = " so the answer is 2", " so the answer is 3"


def responses() -> list[MadeUp]:
    return [
        MadeUp([*encode(RIGHT), STOP], 1, "2"),
        MadeUp([*encode(WRONG), STOP], 0, "3"),
        MadeUp([*encode(" so 😀\tx  =\n\n2"), STOP], 1, "2"),
        MadeUp([], 0, None, finish_reason="length", status="no_answer"),
    ]


def problems() -> list[MadeUpProblem]:
    hostile = MadeUp([*encode(HOSTILE), STOP], 0, HOSTILE)
    return [
        MadeUpProblem("p0", responses(), question="What is $\\frac{2}{1}$?"),
        MadeUpProblem("p1", [MadeUp([*encode(WRONG), STOP], 0, "3") for _ in range(4)]),
        MadeUpProblem(HOSTILE_ID, [hostile, hostile], question=HOSTILE, answer="<b>2</b>", solution=HOSTILE),
    ]


def write_opinions(store: Store) -> None:
    """Of d|m, by a judge: it calls p1's first answer right, gives no verdict on its second, and writes hostile text."""
    rewards = store.require("rewards", ("d", "m"))
    rows = rule_opinions(rewards.read(), {problem.problem_id: problem.answer for problem in problems()})
    without_the_rules_word(rows)
    for row in rows:
        if is_for_the_judge(row):
            said = {("p1", 0): True, ("p1", 1): None}.get((row["problem_id"], row["sample_index"]), False)
            judged(row, f"{HOSTILE} Verdict: {said}", "stop", said)
    generation = store.generation("second_opinions", ("d", "m"), "e" * 16)
    generation.write_fragment(0, [opinions_table(rows)])
    generation.complete({"rewards": rewards.fingerprint}, {"kind": "model"}, {"judge": "judge"})
    store.make_current(generation)


def write_mismatch(store: Store) -> None:
    """Of d|m, as if it were imported: the trainer is half a nat lower at one token of each response."""
    scored, samples = store.require("token_distributions", ("d", "m")), store.require("samples", ("d", "m"))
    rows = [row for row in samples.read().to_pylist() if row["num_tokens"]]
    lower = [
        Compared(row["problem_id"], row["sample_index"], np.array([-0.5 - at, *[0.0] * (row["num_tokens"] - 1)]))
        for at, row in enumerate(rows)
    ]
    pair = {"numerator": "trainer", "denominator": "rollout"}
    missing = {"numerator": "ours", "denominator": "rollout", "reason": "at another temperature"}
    tables = {
        "rollout_mismatch": [{**response_row(one), **pair} for one in lower],
        "rollout_mismatch_statistics": [
            {**partition_row(lower), **pair, "logprobs_temperature": 1.0},
            {**partition_row([]), **missing, "logprobs_temperature": 1.0},
        ],
    }
    for name, content in tables.items():
        generation = store.generation(name, ("d", "m"), scored.fingerprint)
        generation.write_fragment(0, [filled(name, content)])
        generation.complete({"samples": samples.fingerprint}, {}, {})
        store.make_current(generation)


def write_notes(store: Store) -> None:
    """On d|m: hostile ones on the hostile response and on its first token, a plain one on p1."""
    samples = store.require("samples", ("d", "m")).fingerprint
    on: dict[str, Any] = {"author": HOSTILE[:150], "key": ("d", "m"), "samples": samples}
    for problem_id, position in ((HOSTILE_ID, None), (HOSTILE_ID, 0), ("p1", None)):
        note = new_note(**on, problem_id=problem_id, sample_index=0, position=position, excerpt=HOSTILE)
        text = HOSTILE if problem_id == HOSTILE_ID else "plain"
        Notes(store.files).write(replace(note, tags=(text[:50],), comment=text, star=position is None))


@pytest.fixture(scope="session")
def made_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """d|m and d|another complete, d|m with second opinions; d|bare without token distributions; d|begun half-finished;
    long|m of many tokens, line|m of as many in one single line.

    Tests do not change it.
    """
    store = Store(str(tmp_path_factory.mktemp("made") / "store"))
    write_partition(Store(str(store.root), {"dagster_run_id": RUN}), "d", "m", problems())
    write_opinions(Store(str(store.root), {"dagster_run_id": RUN}))
    write_mismatch(Store(str(store.root)))
    flipped = [
        replace(problems()[0], responses=[MadeUp(made.token_ids, 0, "3") for made in responses()]),
        replace(problems()[1], responses=[MadeUp([*encode(RIGHT), STOP], 1, "2") for _ in range(4)]),
        replace(problems()[2], responses=[]),
    ]
    write_partition(store, "d", "another", flipped, seed=1, fingerprint="bbbbbbbbbbbbbbbb")
    write_partition(store, "d", "bare", problems(), with_distributions=False, fingerprint="cccccccccccccccc")
    begun = store.generation("samples", ("d", "begun"), "dddddddddddddddd")
    begun.begin({"seed": 0})
    lines = encode(" so the answer is 2.\n then let x = 3, so")
    long = MadeUp([*lines * (LONG // len(lines)), STOP], 1, "2")
    write_partition(store, "long", "m", [MadeUpProblem("p0", [long])])
    words = encode(" so the answer is 2, then let x = 3.")
    one_line = MadeUp([*words * (LONG // len(words)), STOP], 1, "2")
    write_partition(store, "line", "m", [MadeUpProblem("p0", [one_line])])
    write_notes(store)
    publish_catalog(store)
    return store


Page = Callable[..., Any]


@pytest.fixture
def page(made_store: Store, monkeypatch: pytest.MonkeyPatch) -> Page:
    """Run one page by itself: `page("response", dataset="d", ...)`."""
    from streamlit.testing.v1 import AppTest

    def run(name: str, store: Store | None = None, **query: object) -> Any:
        monkeypatch.setenv("ONOFF_STORE", str((store or made_store).root))
        test = AppTest.from_string(
            "import streamlit as st\n"
            f"from onoff_assets.browser.views import common, {name}\n"
            "st.session_state['pages'] = {}\n"
            f"common.guarded({name}.show)()\n",
            default_timeout=60,
        )
        for key, value in query.items():
            test.query_params[key] = str(value)
        return test.run()

    return run


@pytest.fixture(scope="session")
def server(made_store: Store) -> Iterator[str]:
    """The real app over the made-up store, started in the checkout; its address."""
    with browser.served(made_store) as address:
        yield address


@pytest.fixture(scope="module")
def own_server(store: Store) -> Iterator[str]:
    """The real app over the `store` of a module that makes its own; its address."""
    with browser.served(store) as address:
        yield address


@pytest.fixture(scope="module")  # and no longer: while it runs, Playwright's event loop is the thread's running one
def chromium() -> Iterator[Any]:
    """Debian's Chromium, headless. Where ONOFF_REQUIRE_CHROMIUM is set, as in CI, it must be there."""
    is_missing = shutil.which("chromium") is None
    if is_missing and os.environ.get("ONOFF_REQUIRE_CHROMIUM"):
        pytest.fail("ONOFF_REQUIRE_CHROMIUM is set and there is no chromium")
    if is_missing:
        pytest.skip("no chromium on this machine; apt-get install chromium, or run .ci/run")
    with browser.chromium() as opened:
        yield opened


@pytest.fixture
def tab(chromium: Any) -> Iterator[Any]:
    """A fresh tab that notes errors of scripts and dialogs in `tab.faults`."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    opened.faults = []
    opened.on("pageerror", lambda error: opened.faults.append(str(error)))
    opened.on("dialog", lambda dialog: (opened.faults.append(dialog.message), dialog.dismiss()))
    yield opened
    context.close()
