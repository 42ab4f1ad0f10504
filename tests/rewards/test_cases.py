"""Known traps, each a labelled case in `cases.jsonl`; one test, so that the pool starts once."""

import json
from collections import Counter
from pathlib import Path

from onoff_core.rewards import STATUSES, GradingTask, grade

CASES = [json.loads(line) for line in (Path(__file__).parent / "cases.jsonl").read_text().splitlines()]
TRAPS = {
    "several boxes", "a part is not the answer", "thousands", "interval", "set", "ordered", "matrix", "words",
    "x= before the value", "decimal", "percent", "mixed number", "unit", "base", "condition",
    "gold that cannot be parsed",
}  # fmt: skip


def test_every_labelled_case_has_its_verdict() -> None:
    verdicts = grade([GradingTask(case["response"], case["gold"]) for case in CASES], "boxed")
    wrong = [
        f"{case['trap']}: gold {case['gold']!r}, response {case['response']!r}: {verdict.status}, not {case['status']}"
        for case, verdict in zip(CASES, verdicts, strict=True)
        if verdict.status != case["status"]
    ]
    assert not wrong, "\n".join(wrong)


def test_the_cases_cover_the_traps_both_ways() -> None:
    assert {case["trap"] for case in CASES} >= TRAPS
    assert {case["status"] for case in CASES} == set(STATUSES) - {"timeout"}
    for trap in TRAPS - {"gold that cannot be parsed", "a part is not the answer"}:
        found = Counter(case["status"] for case in CASES if case["trap"] == trap)
        assert min(found["correct"], found["wrong"]) > 0, trap
