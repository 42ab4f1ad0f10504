"""Problem: all samples of a problem side by side, and the token where correct and wrong ones part."""

from collections import defaultdict
from collections.abc import Sequence

import streamlit as st

from onoff_assets.browser.components.link_table import Cell, link_table
from onoff_assets.browser.links import Link, side_by_side
from onoff_assets.browser.prefix_tree import Node, prefix_tree, splits
from onoff_assets.browser.reading import Key, Sample, Vocabulary
from onoff_assets.browser.text import escaped, plain
from onoff_assets.browser.verdicts import short_verdict
from onoff_assets.browser.views import asked, common, strip, walking
from onoff_assets.browser.views.response import prompt_blocks

_MOST_ROWS = 400
_MOST_SPLITS, _MOST_WAYS = 5, 6
_RUN, _ENDING = 160, 140  # characters shown of a run, and of a response's end


def show() -> None:
    reader, link = common.reader(), common.link_here()
    key = common.choose_partition(reader, link)
    if key is None:
        return
    responses = reader.responses(key, partial=True)
    problem = common.choose_problem(responses, link)
    if problem is None:
        st.info("This partition has no responses: its data set has no problems.")
        return
    common.keep_link(Link(*key, problem=problem))
    samples = reader.samples_of_problem(responses, problem)
    vocabulary = reader.vocabulary(key[1])
    with st.container(gap="xxsmall"):
        strip.show(reader, key, prompt_blocks(samples[0], vocabulary))
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="walk"):
            place = walking.problem_buttons(reader, responses, problem)
            _beside(key, samples)
        common.note(f"problem {problem}: {place}")
        asked.question_and_answer(samples[0])
    root = prefix_tree([sample.token_ids for sample in samples], [sample.reward for sample in samples])
    left, right = st.columns([3, 2])
    with left, st.container(gap="small"):
        if vocabulary is None:
            st.info(escaped(f"The store has no vocabulary of {key[1]}; materialize samples again to see the tree."))
        else:
            _where_they_part(root, key, samples, vocabulary)
    with right:
        _answers(key, samples)
        _samples(key, samples)


def _beside(key: Key, samples: list[Sample]) -> None:
    """A correct and a wrong sample, from where they part."""
    right = next((sample.sample_index for sample in samples if sample.reward == 1), None)
    wrong = next((sample.sample_index for sample in samples if sample.reward == 0), None)
    if right is not None and wrong is not None:
        query = side_by_side(key, samples[0].problem_id, right, key[1], wrong)
        common.link_to("side_by_side", "a correct and a wrong one side by side", query)


def _answers(key: Key, samples: list[Sample]) -> None:
    """Extracted answers, the most frequent first; those that grading found equal stand together."""
    groups: dict[object, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[sample.extracted_answer if sample.answer_class is None else sample.answer_class].append(sample)
    rows = []
    for group in sorted(groups.values(), key=lambda group: -len(group)):
        written = list(dict.fromkeys(sample.extracted_answer for sample in group))
        answer = None if written == [None] else "  =  ".join(str(text) for text in written[:4])
        mean = _mean([sample.reward for sample in group])
        opened = _link(key, group[0], None)
        rows.append([
            Cell("(no answer)" if answer is None else answer, mono=answer is not None, page="response", query=opened),
            Cell(str(len(group)), number=True),
            _reward(mean),
        ])  # fmt: skip
    common.go(link_table("Answers", ["extracted answer", "samples", "mean reward"], rows, key="answers"))


def _samples(key: Key, samples: list[Sample]) -> None:
    rows = [
        [
            Cell(str(sample.sample_index), page="response", query=_link(key, sample, None), number=True),
            Cell(short_verdict(sample.status), whole=True, level=6 if sample.reward else 0),
            Cell(f"{len(sample.token_ids):,}", number=True),
            Cell(_ending(sample.response), mono=True),
        ]
        for sample in samples
    ]
    common.go(link_table("Samples", ["sample", "status", "tokens", "how it ends"], rows, key="samples"))


def _ending(response: str) -> str:
    cut = "…" if len(response) > _ENDING else ""
    return cut + plain(response[-_ENDING:]).strip()


def _where_they_part(root: Node, key: Key, samples: list[Sample], vocabulary: Vocabulary) -> None:
    st.subheader("Where they part")
    _splits(root, key, samples, vocabulary)
    rows: list[list[Cell]] = []
    _branch(root, 0, key, samples, vocabulary, rows)
    common.note("Tokens that samples share from the start, drawn together; the fill is the branch's mean reward.")
    header = ["goes on with", "token", "samples", "mean reward"]
    common.go(link_table("Prefix tree", header, rows, key="tree", scrolls=True))
    if len(rows) >= _MOST_ROWS:
        common.note(f"Only the first {_MOST_ROWS} branches are shown.")


def _why_none_part(rewards: Sequence[int | None]) -> str:
    graded = {reward for reward in rewards if reward is not None}
    if not graded:
        return "No response to this problem is graded yet, so where correct and wrong ones part is not known."
    if len(graded) == 1:
        every = "correct" if graded == {1} else "wrong"
        return f"Every graded response to this problem is {every}, so nothing parts correct from wrong ones."
    return "No branch tells anything about the reward: correct and wrong ones do not part by a token."


def _splits(root: Node, key: Key, samples: list[Sample], vocabulary: Vocabulary) -> None:
    """The tokens at which correct and wrong ones part, each branch by its first token; a click opens a pair there."""
    rows, shown = [], splits(root)[:_MOST_SPLITS]
    most = max((min(len(node.children), _MOST_WAYS) for _, _, node in shown), default=0)
    for position, difference, node in shown:
        rows.append([
            Cell(f"token {position}", whole=True, page="side_by_side", query=_pair(key, samples, node, None)),
            Cell(str(len(node.samples)), number=True),
            Cell(f"{difference:.2f}", number=True),
            *[
                Cell(vocabulary.label(child.token_ids[0]), f"{len(child.samples)} × {_number(child.mean_reward)}",
                     level=_level(child.mean_reward), mono=True, page="side_by_side",
                     query=_pair(key, samples, node, child))
                for child in node.children[:most]
            ],
            *[Cell("")] * (most - len(node.children)),
        ])  # fmt: skip
    if not rows:
        common.note(_why_none_part([sample.reward for sample in samples]))
        return
    header = ["at", "samples", "rewards differ by", "goes on with", *[""] * (most - 1)]
    common.go(link_table("Correct and wrong part most at", header, rows, key="splits"))
    common.note(
        "Below a token stand the samples that go on with it × their mean reward. It opens one of them beside one with "
        "the other verdict that does not."
    )


def _pair(key: Key, samples: list[Sample], node: Node, child: Node | None) -> dict[str, str]:
    """Two samples that part behind this node: one that goes on by this branch (None: by the one with the highest mean
    reward) beside one that does not, with different verdicts where there are such."""
    by = child or max(node.children, key=lambda one: -1.0 if one.mean_reward is None else one.mean_reward)
    others = [at for other in node.children if other is not by for at in other.samples]
    pairs = [(first, second) for first in _one_of_each(samples, by.samples) for second in _one_of_each(samples, others)]
    first, second = max(pairs, key=lambda pair: _tells(*pair))
    return side_by_side(key, first.problem_id, first.sample_index, key[1], second.sample_index)


def _one_of_each(samples: list[Sample], among: list[int]) -> list[Sample]:
    """The first of these samples with each verdict."""
    return list({samples[at].reward: samples[at] for at in reversed(among)}.values())


def _tells(first: Sample, second: Sample) -> tuple[bool, bool]:
    """How much two tell beside each other: with different verdicts more, and where the first is the correct one."""
    return {first.reward, second.reward} == {0, 1}, first.reward == 1


def _branch(
    root: Node, depth: int, key: Key, samples: list[Sample], vocabulary: Vocabulary, rows: list[list[Cell]]
) -> None:
    """Rows of a node and its branches, depth first; not recursive, since long responses branch deep."""
    open_nodes = [(root, depth)]
    while open_nodes and len(rows) < _MOST_ROWS:
        node, level = open_nodes.pop()
        if node.token_ids:
            few = node.token_ids[: 4 * _RUN + 4]  # a character has four bytes at most
            text = vocabulary.text_of(few)
            is_cut = len(text) > _RUN or len(node.token_ids) > len(few)
            ending = " ■" if node.ends_here and not node.children else ""
            shown = text[: _RUN - 1] + "…" if is_cut else text
            rows.append([
                Cell(shown + ending, level=_level(node.mean_reward), indent=min(level, 25), mono=True,
                     page="response", query=_link(key, samples[node.samples[0]], node.start)),
                Cell(str(node.start), number=True),
                Cell(str(len(node.samples)), number=True),
                _reward(node.mean_reward),
            ])  # fmt: skip
        open_nodes += [(child, level + 1) for child in reversed(node.children)]


def _reward(mean: float | None) -> Cell:
    return Cell(_number(mean), level=_level(mean), number=True)


def _number(mean: float | None) -> str:
    return "–" if mean is None else f"{mean:.2f}"


def _level(mean: float | None) -> int:
    return 0 if mean is None else round(6 * mean)


def _mean(rewards: list[int | None]) -> float | None:
    known = [reward for reward in rewards if reward is not None]
    return sum(known) / len(known) if known else None


def _link(key: Key, sample: Sample, token: int | None) -> dict[str, str]:
    return Link(*key, problem=sample.problem_id, sample=sample.sample_index, token=token).query()
