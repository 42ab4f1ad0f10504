"""LaTeX of questions and answers is set where it can be, and shown as it is stored where it cannot."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.browser import _wait_for, free_port
from onoff_assets.browser.katex import fault
from onoff_assets.browser.latex import as_answer, as_markdown
from tests.browser.latex_texts import ANSWERS, QUESTIONS
from tests.browser.test_text import HOSTILE

PAGE = """
import streamlit as st
from onoff_assets.browser.latex import as_answer, as_markdown
from tests.browser.latex_texts import ANSWERS, QUESTIONS
for number, (text, *_) in enumerate(QUESTIONS):
    st.container(key=f"question-{number}").markdown(as_markdown(text))
for number, (answer, _) in enumerate(ANSWERS):
    st.container(key=f"answer-{number}").markdown(as_answer(answer))
"""


def test_maths_is_kept_and_all_else_escaped() -> None:
    assert as_markdown("Let $x^2$ be *big*.") == r"Let $x^2$ be \*big\*\."
    assert as_markdown(r"\(a\) and \[b\]") == "$a$ and \n\n$$\nb\n$$\n\n"


def test_money_is_no_maths() -> None:
    assert as_markdown("It costs $5 and $6.") == r"It costs \$5 and \$6\."
    assert as_markdown(r"\$5, $\$6$") == '\\$5, ${\\char"24}6$'


@pytest.mark.parametrize("latex", ["a\n\n# heading", "a$ <b>x</b> $b", "a\n$$\n\n![x](y)", "x\\", "`a`", "``\n```\nb"])
def test_an_answer_stays_on_its_line(latex: str) -> None:
    shown = as_answer(latex)
    assert "\n" not in shown
    assert shown.startswith("`")


@pytest.mark.parametrize(
    ("latex", "block", "why"),
    [
        (r"\frac{1}{2}", False, None),
        (r"\frac1", False, "ends"),
        (r"\foo", False, "not known"),
        ("x^2^3", False, "two ^"),
        ("x^2'", False, "prime"),
        ("x'^2", False, None),
        ("a & b", False, "outside"),
        (r"\begin{matrix}a & b\end{matrix}", False, None),
        (r"\begin{align*}a & b\end{align*}", False, "environment"),
        (r"\begin{align*}a & b\end{align*}", True, None),
        (r"\left( a", False, "right"),
        (r"\left( a \right.", False, None),
        (r"\left a \right.", False, "delimiter"),
        ("a}", False, "without its beginning"),
        ("50%", False, "comment"),
        (r"\text{a_b}", False, "among words"),
        (r"\text{a \(b_1\)}", False, None),
        (r"\hspace{x}", False, "length"),
        ("{" * 3000, False, "deep"),
    ],
)
def test_what_katex_would_refuse_is_known_before(latex: str, block: bool, why: str | None) -> None:
    found = fault(latex, block)
    assert found is None if why is None else found is not None and why in found


@pytest.mark.parametrize(
    "text",
    [r"$\text{a}" * 3000, r"\[" * 20000, r"\begin{itemize}" * 3000, "$a" * 30000, r"\textbf{" * 20000, "[asy]" * 10000,
     r"\begin{itemize}\item " * 2000 + r"\end{itemize}" * 2000, "``" * 20000],
)  # fmt: skip
def test_no_text_takes_long(text: str) -> None:
    started = time.process_time()
    as_markdown(text)
    as_answer(text)
    assert time.process_time() - started < 10


def test_the_page_of_every_kind(tab: Any, tmp_path: Path) -> None:
    """Every formula is set, none in red, and the words stand there as they are."""
    script = tmp_path / "page.py"
    script.write_text(PAGE)
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.address", "127.0.0.1"]
    command += ["--server.port", str(port), "--server.headless", "true", "--browser.gatherUsageStats", "false"]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    try:
        _wait_for(f"http://127.0.0.1:{port}", process)
        tab.goto(f"http://127.0.0.1:{port}")
        tab.locator(f".st-key-answer-{len(ANSWERS) - 1} code").wait_for()
        tab.wait_for_timeout(1000)
        wrong = []
        for number, (text, words, formulas) in enumerate(QUESTIONS):
            place = tab.locator(f".st-key-question-{number}")
            shown = " ".join(place.inner_text().split())
            if place.locator(".katex").count() != formulas or " ".join(words.split()) not in shown:
                wrong.append((text, shown, place.locator(".katex").count()))
        for number, (answer, is_set) in enumerate(ANSWERS):
            place = tab.locator(f".st-key-answer-{number}")
            source = place.locator("code").inner_text()
            if source != answer.replace("\n", "↵") or place.locator(".katex").count() != is_set:
                wrong.append((answer, source, place.locator(".katex").count()))
        assert not wrong, json.dumps(wrong, indent=1, ensure_ascii=False)
        assert tab.locator(".katex-error, .katex [style*='cc0000']").count() == 0
        assert tab.faults == []
    finally:
        process.terminate()
        process.wait(20)


def test_hostile_text_becomes_no_markup() -> None:
    shown = as_markdown(HOSTILE)
    assert "<script" not in shown.replace("\\<", "")
    assert r"\!\[x\]\(" in shown
