r"""Boxes between which a response does not decide, as one text: what the parent sends, and a grading process reads."""

_OR = r"} \text{ or } \boxed{"


def undecided_answer(alternatives: tuple[str, ...]) -> str:
    r"""`2`, `5` -> `\boxed{2} \text{ or } \boxed{5}`."""
    return rf"\boxed{{{_OR.join(alternatives)}}}"


def alternatives_in(answer: str) -> list[str]:
    """The answers that a text leaves open; none where it is a plain answer."""
    if not answer.startswith(r"\boxed{") or _OR not in answer:
        return []
    return answer.removeprefix(r"\boxed{").removesuffix("}").split(_OR)
