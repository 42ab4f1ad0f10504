"""A second opinion by a model: what it is asked about an answer, and what its response says.

Knows no model and no template: a text to ask with, and a text that came back.
"""

import re

_QUESTION = """\
A problem, its correct answer, and an answer that somebody gave are below. Decide whether the given answer is \
mathematically the same as the correct one. Do not solve the problem. Another spelling of the same value is the same; \
a value that is only near, a part of the answer, or an answer with more than was asked for is not.

Problem:
{question}

Correct answer: {gold}

Given answer: {answer}

End with one line that is either "Verdict: same" or "Verdict: different"."""
_VERDICT = re.compile(r"verdict\W{0,6}(same|different)\b", re.IGNORECASE)


def judge_question(question: str, gold: str, answer: str) -> str:
    """What the judge is asked: the extracted answer, and not the whole response, which could talk to the judge."""
    return _QUESTION.format(question=question.strip(), gold=gold.strip(), answer=" ".join(answer.split()))


def judgement_in(response: str) -> bool | None:
    """Whether the judge calls the answers the same, by the last verdict of its response; None where it gives none.

    Thinking before the last `</think>` is not listened to.
    """
    said = _VERDICT.findall(response.rpartition("</think>")[2])
    return said[-1].lower() == "same" if said else None
