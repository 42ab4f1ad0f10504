r"""What a response is asked to end with, and where its answer is looked for."""

import re

from onoff_core.boxes import last_boxed

INSTRUCTIONS = {
    "boxed": r"Please reason step by step, and put your final answer within \boxed{}.",
    "structured": (
        "Please reason step by step within <think> and </think>, then give your final answer "
        r"within <answer> and </answer>, as in <think> ... </think> <answer> \boxed{...} </answer>."
    ),
}
_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL)


def instruction(format_type: str) -> str:
    """The sentence that asks for this format."""
    return INSTRUCTIONS[format_type]


def extract_answer(response: str, format_type: str) -> str | None:
    r"""The final answer of a response as LaTeX, or None where it gives none.

    `boxed`: the content of the last balanced `\boxed{...}` or `\fbox{...}`. `structured`: the last `<answer>` part,
    its last box where it has one, else all of it; without such a part, the last box of the response.
    """
    if format_type == "structured":
        parts = _ANSWER.findall(response)
        if parts:
            return last_boxed(parts[-1]) or parts[-1].strip() or None
    return last_boxed(response) or None
