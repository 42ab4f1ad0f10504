"""One response as a page of its own: the question, the verdict, and its tokens with their alternatives. One file, which
opens anywhere and can be sent to somebody who has no access to the store.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from onoff_assets.browser.branching import branching_of
from onoff_assets.browser.conditions import conditions_of
from onoff_assets.browser.reading import Overlay, Reader, Responses, Sample, Vocabulary
from onoff_assets.report import embedding
from onoff_assets.report.markup import Markup, data_block, element, joined, page
from onoff_core.errors import MissingInputError
from onoff_core.store import Generation
from onoff_core.store.provenance import SamplesProvenance

Theme = Literal["light", "dark"]
VERDICTS = {
    "correct": "✓ correct",
    "wrong": "✗ wrong",
    "no_answer": "✗ no answer",
    "gold_unparsed": "? not graded: the gold answer cannot be parsed",
    "timeout": "✗ grading took too long",
    None: "not graded yet",
}
_ENDINGS = {
    "stop": "ended by itself",
    "length": "cut off at max_length",
    "length_in_thinking": "cut off at max_length, still thinking",
    "stop_string": "ended at a stop string",
    "unknown": "imported, so it is not known why it ended",
}


@dataclass(frozen=True)
class Tokens:
    """What a page shows of a response's tokens. `missing` says why there are none, or no alternatives."""

    reader: Reader
    responses: Responses
    sample: Sample
    vocabulary: Vocabulary | None
    distributions: Generation | None
    overlay: Overlay | None
    missing: str | None


def tokens_of(reader: Reader, responses: Responses, problem_id: str, sample_index: int) -> Tokens:
    """Read one response, and as much of its distributions as there is."""
    sample = reader.sample(responses, problem_id, sample_index)
    model = responses.samples.partition[1]
    vocabulary = reader.vocabulary(model)
    if vocabulary is None:
        missing = f"The store has no vocabulary of {model}, so tokens cannot be shown."
        return Tokens(reader, responses, sample, None, None, None, missing)
    try:
        distributions = reader.distributions(responses)
    except MissingInputError:
        missing = "There are no token distributions of this response, so its tokens have no alternatives."
        overlay = Overlay([float(value) for value in sample.token_logprobs], None, None)
        there = overlay if sample.token_logprobs else None
        return Tokens(reader, responses, sample, vocabulary if there else None, None, there, missing)
    overlay = reader.overlay(distributions, responses, sample)
    return Tokens(reader, responses, sample, vocabulary, distributions, overlay, None)


def response_page(
    tokens: Tokens,
    *,
    alternatives: int = embedding.MOST_ALTERNATIVES,
    token: int | None = None,
    embedded: bool = False,
    theme: Theme | None = None,
    back: str | None = None,
) -> str:
    """The page, below 5 MB: where it has no room for so many alternatives a token, it has fewer and says how many.

    `embedded`: inside another page, without the heading. `back`: where a link to the report leads.
    """
    key = tokens.responses.samples.partition
    title = f"{'|'.join(key)}, problem {tokens.sample.problem_id}, sample {tokens.sample.sample_index}"
    numbers = embedding.tries(alternatives, len(tokens.sample.token_ids))
    content, packed = _content(tokens), _packed(tokens, numbers)

    def build(shown: int) -> str:
        told = {
            "content": content,
            "opened": token if token is not None and 0 <= token < len(tokens.sample.token_ids) else None,
            "alternatives": packed.get(shown),
            "theme": theme,
            "address": not embedded,
        }
        body = joined(
            None if embedded else _heading(title, back),
            _facts(tokens),
            _plain(tokens) if content is None else _views(tokens, shown),
            None if embedded else _details(tokens),
            _footer(tokens, shown if shown in packed and shown < alternatives else None),
            None if content is None else data_block("response", embedding.dumps(told)),
        )
        script = _scripts() if content is not None else _file("theme.js")
        main = element("main", body, class_="embedded" if embedded else "response")
        return page(title, main, _file("page.css"), script)

    return embedding.first_that_fits(build, numbers, title)[0]


def _content(tokens: Tokens) -> Any:
    """What the browser sends its token view; None where there are no tokens to show."""
    from onoff_assets.browser.components.token_view import Source, payload  # Streamlit's, which takes long to load

    if tokens.vocabulary is None or tokens.overlay is None:
        return None
    sample, branching = tokens.sample, branching_of(tokens.reader, tokens.responses)
    rows = [] if branching is None else branching.of_response(sample.problem_id, sample.sample_index)
    pieces = tokens.vocabulary.pieces_of(sample.token_ids)
    partition = tokens.responses.samples.partition
    conditions = conditions_of(tokens.reader, tokens.responses, tokens.distributions)
    source = Source.of((partition[0], partition[1]), sample, conditions)
    return json.loads(payload(pieces, tokens.overlay, rows, sample.answer_start, sample.forced_positions, source))


def _packed(tokens: Tokens, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The alternatives of all tokens, with so many a token each; they are read once. Without 0, which is none."""
    vocabulary, distributions = tokens.vocabulary, tokens.distributions
    if vocabulary is None or distributions is None:
        return {}
    temperature = tokens.reader.stored_temperature(distributions)
    made = {shown: embedding.Alternatives(vocabulary.label, shown, temperature) for shown in numbers if shown}
    for at in range(len(tokens.sample.token_ids) if made else 0):
        found = tokens.reader.distribution(distributions, tokens.responses, tokens.sample, at)
        for alternatives in made.values():
            alternatives.add(found)
    return {shown: alternatives.packed() for shown, alternatives in made.items()}


def _heading(title: str, back: str | None) -> Markup:
    link = None if back is None else element("a", "← the report", href=back)
    tools = element("span", link, " ", element("button", "theme: system", id="theme"), class_="tools")
    return element("header", element("h1", title), tools)


def verdict(sample: Sample) -> Markup:
    kind = "correct" if sample.reward == 1 else "wrong" if sample.reward == 0 else "open"
    return element("span", VERDICTS.get(sample.status, str(sample.status)), class_=f"verdict {kind}")


def _facts(tokens: Tokens) -> Markup:
    sample = tokens.sample
    question = sample.question if sample.question is not None else "the problem's text is not in this store"
    answer = "–" if sample.extracted_answer is None else sample.extracted_answer
    ending = _ENDINGS.get(sample.finish_reason, sample.finish_reason)
    left = element("div", element("div", question, class_="text"))
    right = element(
        "div",
        element("p", verdict(sample)),
        _definitions(
            ("gold answer", element("span", sample.answer or "–", class_="literal")),
            ("extracted answer", element("span", answer, class_="literal")),
            ("length", f"{len(sample.token_ids):,} tokens, {ending}"),
        ),
    )
    return element("div", left, right, class_="facts")


def _definitions(*pairs: tuple[str, str | Markup]) -> Markup:
    return element("dl", *(joined(element("dt", name), element("dd", value)) for name, value in pairs))


def _views(tokens: Tokens, shown: int) -> Markup:
    there = tokens.distributions is not None and shown > 0
    hint = "Click a token, or walk with the arrow keys, to see what else the model could have said there."
    return element(
        "div",
        element("div", element("div", id="token-view")),
        element(
            "div",
            element("p", hint if there else tokens.missing or "There is no room for alternatives.", id="hint"),
            element("div", id="bar-view"),
            id="bar-side",
        ),
        class_="views",
    )


def _plain(tokens: Tokens) -> Markup:
    missing = element("p", tokens.missing, class_="soft")
    return joined(missing, element("pre", tokens.sample.response))


def _details(tokens: Tokens) -> Markup:
    sample = tokens.sample
    solution = element("div", sample.solution, class_="text") if sample.solution else None
    return joined(
        element("details", element("summary", "Prompt"), element("pre", sample.prompt)),
        None if solution is None else element("details", element("summary", "Reference solution"), solution),
    )


def _footer(tokens: Tokens, fewer: int | None) -> Markup:
    made = SamplesProvenance.of(tokens.responses.samples.manifest())
    drawn = "imported" if made.sampling is None else f"temperature {made.sampling.temperature:g}, seed {made.seed}"
    fingerprint = tokens.responses.samples.fingerprint
    keys = "n and p walk to the next and previous unsure token."
    room = "" if fewer is None else f" This response is long, so each token has its {fewer} most probable alternatives."
    return element("footer", f"Drawn at: {drawn}; samples {fingerprint}. {keys}{room}")


@cache
def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


def _scripts() -> str:
    return f"{_file('theme.js')}\n{embedding.bundle()}"
