r"""Whether two answers are mathematically equal, by math-verify.

Both sides are wrapped in `\boxed{}` before parsing: bare LaTeX often fails to parse. The gold answer is always the
first argument, since math-verify's comparison is not symmetric.
"""

from typing import Any

import math_verify


def parse_answer(answer: str) -> list[Any]:
    """What math-verify makes of an answer; an empty list where it can make nothing of it."""
    parsed: list[Any] = math_verify.parse(f"\\boxed{{{answer}}}", parsing_timeout=None, raise_on_error=False)
    return parsed


def is_equal(gold: list[Any], answer: list[Any]) -> bool:
    """Whether a parsed answer equals the parsed gold answer."""
    return bool(math_verify.verify(gold, answer, timeout_seconds=None, raise_on_error=False))
