"""Problems of several data sets with the same text, nearly the same, or one inside the other."""

import random
from itertools import combinations

import pytest

from onoff_core.problems import Problem
from onoff_core.problems.overlap import Overlap, find_overlap, tokens_of

TRAIN = r"A train leaves the station at noon and travels 45 miles per hour for $\frac{1}{2}$ hour. How far does it go?"


def problems(*questions: str, answer: str = "1") -> list[Problem]:
    return [Problem(f"p{i}", question, answer) for i, question in enumerate(questions)]


def kinds(found: Overlap) -> list[tuple[str, str, str]]:
    return [(pair.kind, pair.first[1], pair.second[1]) for pair in found.pairs]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"What is $\dfrac{1}{2}$?", r"what is  \frac{1}{2} ?"),
        (r"Find $\left( a,\, b \right)$.", "Find $(a, b)$."),
        ("Find ｘ² now", "find x2 now"),  # full-width and superscript forms
        ("two\nlines", "two lines"),
    ],
)
def test_how_a_text_looks_does_not_count(one: str, other: str) -> None:
    assert tokens_of(one) == tokens_of(other)


@pytest.mark.parametrize(
    ("one", "other"), [("x + 1", "x - 1"), (r"\log x", r"\lg x"), ("x < 2", r"x \le 2"), ("12", "1 2")]
)
def test_what_it_says_does(one: str, other: str) -> None:
    assert tokens_of(one) != tokens_of(other)


def test_equal_near_and_contained_are_told_apart() -> None:
    within_more = (
        f"Read this first. {TRAIN} Then say how far it is back, and by how much the way is longer than 40 miles in all."
    )
    other_words = TRAIN.replace("How far does it go", "How far will it go")
    found = find_overlap(
        {
            "a": problems(TRAIN),
            "b": problems(TRAIN.upper().replace("FRAC", "dfrac"), other_words, within_more, "What is 2 + 3?"),
        }
    )
    assert sorted(kinds(found)) == [("contained", "p0", "p2"), ("equal", "p0", "p0"), ("near", "p0", "p1")]
    contained = next(pair for pair in found.pairs if pair.kind == "contained")
    assert contained.first_in_second == 1.0
    assert contained.second_in_first < 0.6
    (between,) = found.between
    assert (between.num_first, between.num_second) == (1, 3)
    assert dict(between.num_pairs) == {"equal": 1, "near": 1, "contained": 1}


def test_short_texts_are_equal_or_nothing() -> None:
    found = find_overlap(
        {"a": problems("What is 2 + 3?", "Why?"), "b": problems("what is $2+3$?", "What is 2 + 4?", "why")}
    )
    assert kinds(found) == [("equal", "p0", "p0")]


def test_a_variant_with_other_numbers_has_another_answer() -> None:
    variant = TRAIN.replace("45", "60")
    found = find_overlap({"a": problems(TRAIN, answer="22.5"), "b": problems(variant, answer="30")}, ngram=4)
    assert [(pair.kind, pair.same_answer) for pair in found.pairs] == [("near", False)]


def test_one_data_set_counts_where_that_is_asked() -> None:
    sets = {"a": problems(TRAIN, "Who am I?", TRAIN)}
    assert find_overlap(sets).pairs == ()
    assert kinds(find_overlap(sets, within=True)) == [("equal", "p0", "p2")]


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("ngram", [2, 3])
def test_no_pair_is_missed_or_made_up(threshold: float, ngram: int) -> None:
    """Against counting every pair, on random texts of few words, so that much is shared."""
    drawn = random.Random(round(threshold * 10) + ngram)
    texts = [" ".join(drawn.choices("abcdef", k=drawn.randint(1, 12))) for _ in range(120)]
    sets = {"a": problems(*texts[:50]), "b": problems(*texts[50:90]), "c": problems(*texts[90:])}
    found = find_overlap(sets, ngram=ngram, threshold=threshold)
    grams = {(name, one.problem_id): _grams(tokens_of(one.question), ngram) for name, of in sets.items() for one in of}
    expected = {
        (one, other): (
            len(grams[one] & grams[other]) / len(grams[one]),
            len(grams[one] & grams[other]) / len(grams[other]),
        )
        for one, other in combinations(grams, 2)
        if one[0] != other[0]
        and len(grams[one] & grams[other]) >= threshold * min(len(grams[one]), len(grams[other])) - 1e-9
    }
    assert expected
    assert {(pair.first, pair.second): (pair.first_in_second, pair.second_in_first) for pair in found.pairs} == expected
    assert sum(sum(one.num_pairs.values()) for one in found.between) == len(expected)


def _grams(tokens: list[str], n: int) -> set[tuple[str, ...]]:
    if len(tokens) < n:
        return {("whole", *tokens)}
    return {tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)}


def test_a_phrase_of_everybody_does_not_make_everybody_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """More candidates than are looked at: it is said, and what is equal is found all the same."""
    monkeypatch.setattr("onoff_core.problems.overlap.MOST_CANDIDATES", 5)
    words = "Find the value of the following expression and give your answer as a number"
    sets = {"a": problems(*(f"{words} {i}" for i in range(30))), "b": problems(*(f"{words} {i}" for i in range(30)))}
    found = find_overlap(sets, threshold=0.4)
    assert found.num_cut_short > 0
    assert {pair.first[1] for pair in found.pairs if pair.kind == "equal"} == {f"p{i}" for i in range(30)}
