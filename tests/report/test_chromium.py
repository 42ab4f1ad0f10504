"""A response's page opened from the disk in a real browser: a token is clicked, and nothing is asked of anybody."""

import re
from pathlib import Path
from typing import Any

import pytest

from onoff_assets.browser.pieces import label_of
from onoff_core.cli.main import main
from onoff_core.frames import open_study
from tests.browser.conftest import chromium, tab  # noqa: F401  (fixtures)
from tests.report.making import FIRST, WRONG


def test_a_click_from_the_disk_and_in_a_notebooks_frame(
    tab: Any,  # noqa: F811
    made_study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(made_study)
    assert main(["report", "--partitions", FIRST, "--output", str(tmp_path / "report")]) == 0
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: message.type in ("error", "warning") and tab.faults.append(message.text))
    tab.goto((tmp_path / "report" / "index.html").as_uri())
    tab.get_by_role("link", name=re.compile("sample 1")).click()
    assert tab.locator("#tokens").inner_text().startswith(WRONG)
    tab.locator("#t3").click()
    tab.locator("#bars caption", has_text=re.compile(r"^token 3:")).wait_for()
    assert tab.locator("#bars tbody tr.chosen td").nth(2).inner_text() == str(ord(WRONG[3]))
    assert tab.locator("#bars tbody tr").count() == 5 + 1 + 1  # stored, the drawn one outside of them, all others
    note = "entropy 5.553 nats, surprisal 5.553 nats, rank 1, mass outside the stored top 5: 0.9806"  # ln 258, uniform
    assert tab.locator("#bars p").inner_text() == note
    tab.wait_for_url(re.compile(r"#token=3$"))
    tab.locator("#t7").hover()
    tab.locator("#tip .label5").first.wait_for()
    assert tab.locator("#tip .label5").all_inner_texts() == [label_of(bytes([i]), False, i) for i in range(5)]
    tab.keyboard.press("ArrowRight")
    tab.locator("#bars caption", has_text=re.compile(r"^token 4:")).wait_for()
    tab.reload()  # the link names the token
    tab.locator("#bars caption", has_text=re.compile(r"^token 4:")).wait_for()
    copied = "window.copied"  # a page from the disk has no clipboard to read
    tab.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    tab.keyboard.press("l")  # the linked token has the focus
    tab.get_by_text("link to token 4 copied").wait_for()
    assert tab.evaluate(copied) == tab.url.partition("#")[0] + "#token=4"
    assert "probabilities at temperature 1" in tab.locator("#bars caption").inner_text()
    for scheme in ("light", "dark"):
        tab.locator("#theme").click()
        assert tab.evaluate("document.documentElement.style.colorScheme") == scheme
    assert {url.partition(":")[0] for url in asked} == {"file"}
    study = open_study()
    view = study.view(FIRST, study.problems("sums")["problem_id"][0].as_py(), 1)
    (tmp_path / "notebook.html").write_text(f"<!doctype html><body>{view._repr_html_()}</body>")
    tab.goto((tmp_path / "notebook.html").as_uri())
    frame = tab.frame_locator("iframe")
    frame.locator("#t2").click()
    frame.locator("#bars caption", has_text=re.compile(r"^token 2:")).wait_for()
    assert tab.title() == ""
    assert tab.faults == []
