"""Where a response is gone back into, and which tokens are taken there."""

import math
from typing import Any

import numpy as np
import pytest

from onoff_core.backends.fake import STOP, FakeTokenizer
from onoff_core.backends.vocabulary import Vocabulary
from onoff_core.branches.planning import Lengths, Model, Planner, chunks_of_positions
from onoff_core.branches.positions import BranchedResponse, Place, choose_places, named_tokens, paragraph_ends
from onoff_core.errors import ModelError, SettingsError
from onoff_core.study import BranchSettings, SamplingSettings, ThinkingTags
from onoff_core.study.branch_settings import BranchedPositions

VOCABULARY = FakeTokenizer().vocabulary
WORDS = Vocabulary(
    (b"<end>", b"One", b".\n", b"\n", b" Two", b".\n\n", b"Three", b" the", b"the", b"\n\n"), (True, *[False] * 9)
)
TOP = [0.5, 0.3, 0.15, 0.04]  # of the most probable tokens at every position of `response`


def response(tokens: bytes = b"abcdefgh", sampled: int = 0, **changes: Any) -> BranchedResponse:
    """Each token was the one with this rank; the alternatives are the next bytes."""
    ids = list(tokens)
    count = len(ids)
    order = [[(token - sampled + rank) % 256 for rank in range(4)] for token in ids]
    usual: dict[str, Any] = {
        "problem_id": "p",
        "sample_index": 0,
        "prompt": "",
        "prompt_ids": (1, 2),
        "token_ids": tuple(ids),
        "reward": 0,
        "entropy": np.arange(count, dtype=np.float32),
        "logprob": np.full(count, math.log(TOP[sampled]), np.float32),
        "topk_ids": np.array(order, np.int32),
        "topk_logprobs": np.log(np.tile(np.array(TOP, np.float32), (count, 1))),
    }
    return BranchedResponse(**{**usual, **changes})


def places(of: BranchedResponse, vocabulary: Vocabulary = VOCABULARY, **settings: Any) -> list[int]:
    return [place.position for place in choose_places(BranchedPositions(**settings), of, vocabulary)]


def planner(sampling: dict[str, Any] | None = None, **settings: Any) -> Planner:
    model = Model(None, frozenset({STOP}), VOCABULARY)
    return Planner(BranchSettings(**settings), SamplingSettings(**(sampling or {})), 1.0, model)


def test_entropy_takes_the_highest_and_gives_them_in_order() -> None:
    entropy = np.array([1.0, 3.0, 2.0, 3.0, 0.5, 3.0], np.float32)
    of = response(b"abcdef", entropy=entropy)
    assert places(of, how="entropy", most=2) == [1, 3]  # the earlier one of equal ones
    assert places(of, how="entropy", most=4) == [1, 2, 3, 5]
    assert len(places(response(bytes(range(97, 117))), how="entropy")) == 8


def test_forks_are_where_the_second_token_is_probable() -> None:
    logprobs = np.log(np.array([[0.6, 0.2], [0.9, 0.05], [0.5, 0.45], [0.7, 0.3]], np.float32))
    of = response(b"abcd", topk_logprobs=logprobs, topk_ids=np.zeros((4, 2), np.int32))
    assert places(of, how="forks", second_probability=0.19) == [0, 2, 3]
    assert places(of, how="forks", second_probability=0.19, most=2) == [2, 3]
    assert places(of, how="forks", second_probability=0.5) == []


def test_every_and_tokens_are_spread_evenly_where_there_are_too_many() -> None:
    of = response(b"ababababab")
    assert places(of, how="every", n=3) == [0, 3, 6, 9]
    assert places(of, how="every", n=1, most=5) == [0, 2, 4, 6, 8]
    assert places(of, how="tokens", tokens=("b",)) == [1, 3, 5, 7, 9]
    assert places(of, how="tokens", tokens=(97,), most=2) == [0, 4]


def test_at_takes_these_and_names_one_beyond_the_response() -> None:
    assert places(response(), how="at", at=(7, 0, 7)) == [0, 7]
    with pytest.raises(
        SettingsError, match="problem p, sample 0 has 8 tokens, so there is no position 8; the last one"
    ):
        places(response(), how="at", at=(2, 8))


def test_a_text_stands_for_its_token_with_and_without_a_space() -> None:
    assert named_tokens(["the", 3], WORDS) == {7, 8, 3}
    assert named_tokens([" the"], WORDS) == {7}
    with pytest.raises(SettingsError, match="has no token 'Wait'"):
        named_tokens(["the", "Wait"], WORDS)
    with pytest.raises(SettingsError, match="no token with the id 10"):
        named_tokens([10], WORDS)


@pytest.mark.parametrize(
    ("tokens", "ends"),
    [
        ([1, 5, 4, 0], [1, 3]),  # One.\n\n| Two<end>
        ([1, 2, 3, 6, 0], [2, 4]),  # the empty line is of two tokens
        ([1, 5, 3, 6, 9, 0], [2, 5]),  # further new lines belong to it; those at the end part nothing
        ([9, 1, 5, 6, 5, 4], [2, 4, 5]),  # nor do those at the beginning
        ([1, 2, 6], [2]),  # one new line parts nothing
        ([0], [0]),
    ],
)
def test_paragraphs_end_where_an_empty_line_ends(tokens: list[int], ends: list[int]) -> None:
    assert paragraph_ends(tokens, WORDS) == ends


def test_steps_begin_after_the_step_before() -> None:
    of = response(bytes([1, 5, 6, 5, 4, 0]))
    assert choose_places(BranchedPositions(how="steps"), of, WORDS) == [Place(1, 0, 0), Place(3, 2, 1), Place(5, 4, 2)]
    model = Model(None, frozenset({0}), WORDS)
    of_steps = Planner(BranchSettings(positions=BranchedPositions(how="steps")), SamplingSettings(), 1.0, model)
    assert [position.entropy for position in of_steps.positions(of)] == [0.5, 2.5, 4.5]  # the mean of their tokens
    assert all(len(position.branches) == 1 for position in of_steps.positions(of))


def taken(of: BranchedResponse, **settings: Any) -> list[int]:
    (position,) = planner(positions={"how": "at", "at": [0]}, **settings).positions(of)
    assert [branch.is_sampled for branch in position.branches] == [True] + [False] * (len(position.branches) - 1)
    return [branch.key[3] for branch in position.branches]


def test_alternatives_are_among_the_most_probable_and_probable_enough() -> None:
    a = ord("a")
    assert taken(response()) == [a, a + 1, a + 2]
    assert taken(response(), alternatives={"min_probability": 0.2}) == [a, a + 1]
    assert taken(response(), alternatives={"top_k": 4, "min_probability": 0}) == [a, a + 1, a + 2, a + 3]
    assert taken(response(), alternatives={"top_k": 0}) == [a]
    assert taken(response(sampled=3)) == [a, a - 3, a - 2, a - 1]  # the sampled one is there, however improbable
    with pytest.raises(SettingsError, match=r"5 tokens of each distribution are needed .* keep 4"):
        taken(response(), alternatives={"top_k": 5})


def weights(sampling: dict[str, Any], **settings: Any) -> list[float]:
    of = planner(sampling, positions={"how": "at", "at": [0]}, **settings)
    (position,) = of.positions(response())
    return [branch.weight for branch in position.branches]


def test_weights_are_the_samplers_probabilities_among_the_branches() -> None:
    shares = np.array(TOP[:3])
    assert weights({}) == pytest.approx(shares / shares.sum(), rel=1e-6)
    assert weights({"temperature": 0.5}) == pytest.approx(shares**2 / (shares**2).sum(), rel=1e-6)
    assert weights({"top_k": 2}) == pytest.approx([0.625, 0.375, 0], rel=1e-6)
    assert weights({"top_p": 0.45}) == pytest.approx([1, 0, 0])
    assert weights({"temperature": 0}) == [1, 0, 0]


def test_what_ends_a_response_is_known_before() -> None:
    of = response(topk_ids=np.tile(np.array([97, STOP, 33, 3], np.int32), (8, 1)))
    found = planner({"stop_strings": ["ab!"], "max_length": 8}, positions={"how": "at", "at": [0, 2, 7]}).positions(of)
    ends = {(branch.key[2], branch.key[3]): branch.end for position in found for branch in position.branches}
    assert ends[0, 97] is None
    assert ends[0, STOP] == "stop"
    assert ends[0, 33] is None
    assert ends[2, 33] == "stop_string"  # it began before the position
    assert ends[7, 97] == "length"


def test_a_response_without_token_ids_is_named() -> None:
    with pytest.raises(ModelError, match="problem p, sample 0 has no token ids"):
        planner().positions(response(b""))


def test_expected_tokens_go_by_the_longer_responses_of_the_problem() -> None:
    of = planner({"max_length": 100}, positions={"how": "at", "at": [4]}, continuations=10)
    (position,) = of.positions(response())
    assert of.most_tokens(position) == 3 * 10 * 95
    assert Lengths({"p": [3, 15, 25], "q": [99]}).expected(of, position) == pytest.approx(3 * 10 * 15)
    assert Lengths({"p": [3], "q": [55]}).expected(of, position) == pytest.approx(3 * 10 * 50)
    assert Lengths({"p": [3]}).expected(of, position) == 3 * 10 * 95


def test_chunks_hold_whole_positions_in_order() -> None:
    of = planner(positions={"how": "every", "n": 1, "most": 100})
    positions = of.positions(response(bytes(range(60, 160))))
    chunks = chunks_of_positions(positions, 8)
    assert [position for chunk in chunks for position in chunk.positions] == positions
    assert all(sum(len(p.branches) for p in chunk.positions) * 8 >= 32 for chunk in chunks[:-1])
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))


def test_no_other_token_is_taken_where_one_was_put_in() -> None:
    entropy = np.array([1.0, 3.0, 2.0, 3.0, 0.5, 3.0], np.float32)
    of = response(b"abcdef", entropy=entropy, forced=frozenset({1, 3}))
    assert places(of, how="entropy", most=2) == [2, 5]
    assert places(of, how="forks", most=9) == [0, 2, 4, 5]
    assert places(of, how="every", n=1) == [0, 2, 4, 5]
    assert places(of, how="tokens", tokens=["b", "c"]) == [2]
    assert places(of, how="at", at=[0, 5]) == [0, 5]
    with pytest.raises(SettingsError, match=r"the token at position 3 of problem p, sample 0 was put in"):
        places(of, how="at", at=[0, 3])
    assert places(of, how="steps") == [5]  # the sampled token alone is gone on from


def test_steps_of_the_thinking_are_the_first_tokens_of_its_paragraphs() -> None:
    tags = ThinkingTags(open="<r>", close="</r>")
    of = response(b"<r>a\n\nb</r>c\n\nd")
    chosen = choose_places(BranchedPositions(how="thinking_steps"), of, VOCABULARY, tags)
    assert [(place.position, place.begin, place.step) for place in chosen] == [(0, 0, None), (6, 6, None)]
    cut = response(b"<r>a\n\nb</r>c", forced=frozenset({6}))
    assert choose_places(BranchedPositions(how="thinking_steps"), cut, VOCABULARY, tags) == chosen[:1]
    with pytest.raises(SettingsError, match=r"how: thinking_steps needs task\.thinking"):
        places(of, how="thinking_steps")
