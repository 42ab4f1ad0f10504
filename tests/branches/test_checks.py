"""Each check of branches, by breaking the tables it guards."""

from typing import Any

import pytest

from onoff_core.checks import branches as of_branches
from onoff_core.checks import check_branches
from tests.branches.conftest import KEY, MakeChain


def branch(position: int = 0, token: int = 5, **changes: Any) -> dict[str, Any]:
    usual = {
        "problem_id": "p", "sample_index": 0, "position": position, "token_id": token, "probability": 0.25,
        "is_sampled": True, "num_continuations": 2, "num_correct": 1, "value": 0.5, "is_exact": False,
    }  # fmt: skip
    return {**usual, **changes}


def continuation(index: int, position: int = 0, token: int = 5, **changes: Any) -> dict[str, Any]:
    usual = {"problem_id": "p", "sample_index": 0, "position": position, "token_id": token, "num_tokens": 3}
    return {**usual, "continuation_index": index, **changes}


@pytest.mark.parametrize(
    ("rows", "holds"),
    [
        ([continuation(0), continuation(1)], True),
        ([continuation(0)], False),  # one lacks
        ([continuation(0), continuation(2)], False),  # one is numbered otherwise
        ([continuation(0), continuation(1), continuation(1)], False),  # one is there twice
        ([continuation(0), continuation(1), continuation(0, position=4)], False),  # one of no branch
        ([], False),
    ],
)
def test_continuations_are_complete(rows: list[dict[str, Any]], holds: bool) -> None:
    assert of_branches.continuations_are_complete([branch()], rows, 2).holds is holds


def test_an_exact_branch_has_one_continuation() -> None:
    assert of_branches.continuations_are_complete([branch(is_exact=True)], [continuation(0)], 2).holds
    assert not of_branches.continuations_are_complete(
        [branch(is_exact=True)], [continuation(0), continuation(1)], 2
    ).holds


@pytest.mark.parametrize(
    ("rows", "continuations", "holds"),
    [
        ([branch(), branch(token=6, is_sampled=False)], [continuation(0)], True),
        ([branch(token=6)], [], False),  # another token than the response's is called the sampled one
        ([branch(is_sampled=False)], [], False),  # the response's is not
        ([branch(position=1, token=6, is_sampled=False)], [], False),  # the sampled one was left out
        ([branch(position=2)], [], False),  # beyond the response
        ([branch()], [continuation(0, num_tokens=12)], False),  # 13 tokens
    ],
)
def test_branches_begin_as_their_responses(
    rows: list[dict[str, Any]], continuations: list[dict[str, Any]], holds: bool
) -> None:
    found = of_branches.branches_begin_as_their_responses(rows, {("p", 0): [5, 7]}, continuations, 12)
    assert found.holds is holds


def test_probabilities_are_those_of_the_distributions() -> None:
    check = of_branches.probabilities_are_those_of_the_distributions
    assert check([branch()], {("p", 0, 0, 5): 0.2501}).holds
    assert not check([branch()], {("p", 0, 0, 5): 0.26}).holds
    assert not check([branch()], {}).holds
    assert not check([branch(probability=float("nan"))], {("p", 0, 0, 5): 0.25}).holds


def test_sampled_branches_agree_with_what_happened() -> None:
    check = of_branches.sampled_branches_agree_with_what_happened
    rewards = {("p", number): int(number % 2 == 0) for number in range(60)}
    fair = [branch(sample_index=number, num_continuations=8, num_correct=4) for number in range(60)]
    assert check(fair, rewards, unselected=True).holds
    wrong = [branch(sample_index=number, num_continuations=8, num_correct=0, value=0.0) for number in range(60)]
    assert not check(wrong, rewards, unselected=True).holds  # half were right, and none from there on
    assert check(wrong, rewards, unselected=False).holds  # responses that were chosen for being wrong say nothing
    ended = branch(is_exact=True, value=1.0, num_continuations=1)
    assert check([ended], {("p", 0): 1}, unselected=False).holds
    assert not check([ended], {("p", 0): 0}, unselected=False).holds


def test_they_hold_on_real_tables_and_say_so(make_chain: MakeChain) -> None:
    project = make_chain(problems=4)
    project.branch(continuations=10, responses={"per_problem": 6, "status": "any"})
    found = check_branches(project.store, KEY)
    assert {name: evidence.holds for name, evidence in found.items()} == dict.fromkeys(found, True)
    assert found["sampled_branches_agree_with_what_happened"].facts["responses compared"] == 24
    assert found["probabilities_are_those_of_the_distributions"].facts["largest difference"] < 1e-3
