"""Known traps, each a labelled case in `cases.jsonl`; one test, so that the pool starts once."""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from onoff_core.rewards import STATUSES, Grader, GradingTask, Verdict
from onoff_core.study import ThinkingTags

CASES = [json.loads(line) for line in (Path(__file__).parent / "cases.jsonl").read_text().splitlines()]
TRAPS = {
    "several boxes", "a part is not the answer", "thousands", "interval", "set", "ordered", "matrix", "words",
    "x= before the value", "decimal", "percent", "mixed number", "unit", "base", "condition",
    "gold that cannot be parsed", "equal where both are real", "plus or minus", "equation states no value",
    "a name and its value", "a chain of equations", "ellipsis", "numbers in words", "unit on both sides", "money",
    "degrees and radians", "dozens", "sets in words", "reversed brackets", "a set by its condition",
    "inequality turned around", "a point with its name", "vector", "ways to choose", "functions by other names",
    "identical, whatever the parser says", "thinking", "words around the value", "a choice and its value",
    "a sentence in the answer part",
}  # fmt: skip


def graded() -> list[tuple[dict[str, Any], Verdict]]:
    """Each case with its verdict; cases that are asked for alike go together."""
    alike: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for case in CASES:
        asked = [case.get("format_type", "boxed"), case.get("thinking"), case.get("reward_type", "math_verify")]
        alike[json.dumps(asked)].append(case)
    found = []
    for key, cases in alike.items():
        format_type, tags, reward_type = json.loads(key)
        thinking = None if tags is None else ThinkingTags(**tags)
        with Grader(format_type, thinking=thinking, reward_type=reward_type) as grader:
            found += zip(cases, grader.grade([GradingTask(c["response"], c["gold"]) for c in cases]), strict=True)
    return found


def test_every_labelled_case_has_its_verdict() -> None:
    wrong = [
        f"{case['trap']}: gold {case['gold']!r}, response {case['response']!r}: {verdict.status}, not {case['status']}"
        for case, verdict in graded()
        if verdict.status != case["status"]
    ]
    assert not wrong, "\n".join(wrong)


def test_the_cases_cover_the_traps_both_ways() -> None:
    assert {case["trap"] for case in CASES} >= TRAPS
    assert {case["status"] for case in CASES} == set(STATUSES) - {"timeout"}
    for trap in TRAPS - {"gold that cannot be parsed", "a part is not the answer"}:
        found = Counter(case["status"] for case in CASES if case["trap"] == trap)
        assert min(found["correct"], found["wrong"]) > 0, trap
