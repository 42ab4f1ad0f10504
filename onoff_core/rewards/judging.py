"""A second opinion by a model: what it is asked about an answer, and what its response says."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from onoff_core.backends.contract import OnTokens, Sampler
from onoff_core.backends.requests import Request
from onoff_core.rewards.opinions import Row, is_for_the_judge, judged
from onoff_core.study import Judge, SamplingSettings, ThinkingTags
from onoff_core.tasks import render_message, without_thinking

_QUESTION = """\
A problem, its correct answer, and an answer that somebody gave are below. Decide whether the given answer is \
mathematically the same as the correct one. Do not solve the problem. Another spelling of the same value is the same; \
a value that is only near, a part of the answer, or an answer with more than was asked for is not.

Problem:
{question}

Correct answer: {gold}

Given answer: {answer}

End with one line that is either "Verdict: same" or "Verdict: different"."""
_VERDICT = re.compile(r"verdict\W{0,6}(?:the\s+|\\(?:boxed|text)\s*\{\s*)*(same|different)\b", re.IGNORECASE)
_MARK = re.compile(r"<(?=[|/\w])")  # what a tokenizer may take for the end of a turn


def judge_question(question: str, gold: str, answer: str) -> str:
    """What the judge is asked: the extracted answer, and not the whole response, which could talk to the judge.

    It stays on its line, and no special token begins in it.
    """
    on_a_line = _MARK.sub("< ", " ".join(answer.split()))
    return _QUESTION.format(question=question.strip(), gold=gold.strip(), answer=on_a_line)


def judgement_in(response: str, thinking: ThinkingTags | None = None, prompt: str = "") -> bool | None:
    """Whether the judge calls the answers the same, by the last verdict of its response; None where it gives none.

    Its thinking is not listened to, no more than where an answer is looked for (`tasks.find_answer`).
    """
    said = _VERDICT.findall(without_thinking(response, thinking, prompt)[0])
    return said[-1].lower() == "same" if said else None


@dataclass
class _Asked:
    """A fragment's questions, as far as they are not answered yet."""

    rows: list[Row]
    waiting: dict[tuple[str, int], list[Row]]  # (problem_id, sample_index) of the first with an answer -> all with it


def judge_fragments(
    sampler: Sampler,
    fragments: Mapping[int, list[Row]],
    questions: Mapping[str, str],
    gold: Mapping[str, str],
    judge: Judge,
    max_tokens: int,
    on_tokens: OnTokens = lambda tokens: None,
) -> Iterator[tuple[int, list[Row]]]:
    """Ask the judge where `opinions.is_for_the_judge`, and yield each fragment when its last question is answered.

    Equal answers to one problem are one question. All go to the sampler at once, at temperature 0. An answer that is
    too long for the judge is not asked about.
    """
    assert not isinstance(judge.thinking, str), "which tags `auto` means is found out before"
    prompts: dict[tuple[str, int], str] = {}
    requests: list[Request] = []
    place: dict[tuple[str, int], int] = {}
    asked: dict[int, _Asked] = {}
    for index, rows in fragments.items():
        asked[index] = _Asked(rows, {})
        for alike in _alike(rows):
            problem = alike[0]["problem_id"]
            text = judge_question(questions[problem], gold[problem], alike[0]["extracted_answer"])
            prompt = render_message(text, judge.template_type, sampler.tokenizer.chat_template, judge.chat_template)
            ids = tuple(sampler.tokenizer.encode(prompt))
            if sampler.info.max_positions is not None and len(ids) >= sampler.info.max_positions:
                continue
            sampler.info.check_token_ids(ids, f"problem {problem}: what the judge is asked")
            key = (problem, alike[0]["sample_index"])
            prompts[key], place[key], asked[index].waiting[key] = prompt.text, index, alike
            requests.append(Request(*key, ids))
    for index in [index for index, one in asked.items() if not one.waiting]:
        yield index, asked.pop(index).rows
    greedy = SamplingSettings(max_length=max_tokens, temperature=0.0, do_sample=False, batch_size=judge.batch_size)
    for response in sampler.sample(requests, greedy, 0, on_tokens) if requests else ():
        key = (response.request.problem_id, response.request.sample_index)
        text = sampler.tokenizer.decode(response.token_ids) if response.text is None else response.text
        verdict = judgement_in(text, judge.thinking, prompts[key])
        index = place[key]
        for row in asked[index].waiting.pop(key):
            judged(row, text, response.finish_reason, verdict)
        if not asked[index].waiting:
            yield index, asked.pop(index).rows


def _alike(rows: list[Row]) -> list[list[Row]]:
    """The responses to ask about, those with the same answer to a problem together."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if is_for_the_judge(row):
            found.setdefault((row["problem_id"], " ".join(row["extracted_answer"].split())), []).append(row)
    return list(found.values())
