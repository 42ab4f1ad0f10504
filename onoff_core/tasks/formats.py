r"""What a response is asked to end with, and where its answer is looked for."""

from onoff_core.boxes import last_boxed

INSTRUCTIONS = {
    "boxed": r"Please reason step by step, and put your final answer within \boxed{}.",
    "structured": (
        "Please reason step by step within <think> and </think>, then give your final answer "
        r"within <answer> and </answer>, as in <think> ... </think> <answer> \boxed{...} </answer>."
    ),
}
_OPEN, _CLOSE = "<answer>", "</answer>"


def instruction(format_type: str) -> str:
    """The sentence that asks for this format."""
    return INSTRUCTIONS[format_type]


def extract_answer(response: str, format_type: str) -> str | None:
    r"""The final answer of a response as LaTeX, or None where it gives none.

    `boxed`: the content of the last balanced `\boxed{...}` or `\fbox{...}`. `structured`: the last box of the last
    `<answer>` part, else all of that part, even where an earlier box stands in the reasoning: that is the answer the
    response was asked to give. Without such a part, the last box of the response.
    """
    if format_type == "structured":
        part = _answer_part(response)
        if part:
            return last_boxed(part) or part
    return last_boxed(response) or None


def _answer_part(response: str) -> str:
    """The last `<answer>` part that closes; where none closes (the response was cut off), the last that opens."""
    end = response.rfind(_CLOSE)
    before = response[:end] if end >= 0 else response
    return before.rpartition(_OPEN)[2].strip() if _OPEN in before else ""
