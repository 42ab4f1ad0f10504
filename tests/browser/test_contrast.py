"""Every text of every page is legible in both themes (WCAG 2.2, success criterion 1.4.3) and has room, in Chromium."""

from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_chromium import OPEN, go

AUDIT = Path(__file__).with_name("contrast.js").read_text()
PAGES = {
    "": {"dataset": "d", "model": "bare"},
    "problems": {"dataset": "d", "model": "m", "sort": "pass_rate"},
    "responses": {"dataset": "d", "model": "m", "status": "wrong", "text": "answer"},
    "response": {**OPEN, "sample": 2, "token": 1},
    "problem": OPEN,
    "compare": {"dataset": "d", "model": "m", "other": "another"},
    "tokens": {"dataset": "d", "model": "m"},
    "opinions": {"dataset": "d", "model": "m"},
    "rollouts": {"dataset": "d", "model": "m"},
    "side_by_side": {**OPEN, "other": "another"},
    "notes": {"dataset": "d", "model": "m"},
}


@pytest.mark.parametrize(("theme", "width"), [("light", 700), ("dark", 1200)])
def test_every_text_is_legible_and_nothing_is_wider_than_its_place(
    tab: Any, server: str, theme: str, width: int
) -> None:
    """A window that becomes narrower is not scrolled sideways, page or table, though a problem's id is long."""
    tab.emulate_media(color_scheme=theme)
    faint, wide = {}, {}
    for page, query in PAGES.items():
        tab.set_viewport_size({"width": 1400, "height": 1000})
        go(tab, server, page, **query)
        tab.locator("#table, #data, #bars").first.wait_for()
        if page == "response":  # with all that opens
            tab.get_by_text("Lens: what a sampler").click()
            tab.locator("#bars .g2").first.wait_for()
            tab.get_by_text("Filter: which responses").click()
            tab.locator("#facts summary").click()
        if page in ("compare", "tokens"):
            tab.locator("svg.marks text").first.wait_for()
        tab.wait_for_timeout(1500)
        audit = tab.evaluate(AUDIT)
        assert audit["looked"] > 20, page
        assert tab.get_by_role("dialog").count() == 0, page  # the page itself, not a message over it
        faint[page] = audit["found"]
        tab.set_viewport_size({"width": width, "height": 900})
        tab.wait_for_timeout(1000)
        wide[page] = tab.locator(".stMain, .stMain #table, .stMain #tokens").evaluate_all(
            "all => all.filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => [e.id, e.scrollWidth])"
        )
    assert not any(faint.values()), faint
    assert not any(wide.values()), wide
