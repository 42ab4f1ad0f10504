"""What became of a response, in the same words and with the same sign on every page."""

VERDICTS = {
    "correct": "✓ correct: the extracted answer equals the gold answer",
    "wrong": "✗ wrong: the extracted answer differs from the gold answer",
    "no_answer": "✗ no answer: nothing could be extracted from the response",
    "gold_unparsed": "? not graded: the gold answer cannot be parsed, so this response does not count",
    "timeout": "✗ timeout: grading the extracted answer took too long, which counts as wrong",
    None: "not graded yet",
}


def verdict_sentence(status: str | None) -> str:
    """The verdict and what it means, by the status of `rewards`; None: not graded yet."""
    return VERDICTS.get(status, str(status))


def short_verdict(status: str | None) -> str:
    """The verdict alone, such as `✗ no answer`: for lists and titles."""
    return verdict_sentence(status).partition(":")[0]
