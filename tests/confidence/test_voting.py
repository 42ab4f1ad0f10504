"""Votes and early stopping against brute force: every subset, every order, counted by hand."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest

from onoff_core.confidence.stopping import Traces, stop_early, tokens_until
from onoff_core.confidence.voting import FILTERS, NO_VOTE, RULES, Electorate, Share, Voters, choose, subsets_of, surest
from onoff_core.statistics.majority import maj_at_k

MANY = 10_000


def made_up(n: int, seed: int, ties: bool = False) -> tuple[Voters, np.ndarray, np.ndarray]:
    """(responses, values, weights): answers of four classes, some without one."""
    draw = np.random.default_rng(seed)
    values = draw.integers(0, 3, n).astype(float) if ties else draw.normal(0, 1, n)
    voters = Voters(f"p{seed}", draw.choice([NO_VOTE, 0, 0, 1, 2, 5], n), draw.integers(5, 50, n))
    return voters, values, np.exp(values)


def share_of(rule: str, voters: Voters, values: np.ndarray, weights: np.ndarray, k: int, subsets: int) -> Share:
    electorate = Electorate(voters, k, subsets)
    return {"majority": Share(electorate.majority, 0.0), **electorate.shares(values, weights)}[rule]


def by_hand(rule: str, classes: Sequence[int], values: Sequence[float], weights: Sequence[float]) -> float:
    """What a rule makes of these responses: the share that the gold answer has of being chosen."""
    answered = [i for i, one in enumerate(classes) if one != NO_VOTE]
    if not answered:
        return 0.0
    if rule == "best_of":
        top = max(values[i] for i in answered)
        best = [i for i in answered if values[i] == top]
        return sum(classes[i] == 0 for i in best) / len(best)
    if rule in FILTERS:  # DeepConf's own rule: at or above the quantile
        threshold = np.percentile([values[i] for i in answered], 100 * (1 - FILTERS[rule]))
        answered = [i for i in answered if values[i] >= threshold - 1e-12]
    votes: dict[int, float] = {}
    for i in answered:
        votes[classes[i]] = votes.get(classes[i], 0.0) + (1.0 if rule == "majority" else weights[i])
    top = max(votes.values())
    winners = [one for one, weight in votes.items() if math.isclose(weight, top, rel_tol=1e-9)]
    return (0 in winners) / len(winners)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("n", "seed", "ties"), [(7, 1, False), (8, 2, True), (6, 3, True), (1, 4, False)])
def test_every_rule_is_the_mean_over_all_subsets(rule: str, n: int, seed: int, ties: bool) -> None:
    voters, values, weights = made_up(n, seed, ties)
    for k in range(1, n + 1):
        subsets = list(itertools.combinations(range(n), k))
        wanted = [by_hand(rule, *([of[i] for i in one] for of in (voters.classes, values, weights))) for one in subsets]
        found = share_of(rule, voters, values, weights, k, MANY)
        assert found.right == pytest.approx(np.mean(wanted), abs=1e-9), k
        assert found.variance == 0


def test_of_many_subsets_some_are_drawn_and_the_error_is_said() -> None:
    """The exact numbers lie within four of the errors that it states, and these shrink as they should."""
    voters, *weighed = zip(*[made_up(12, seed) for seed in range(8)], strict=True)
    by_measure = {"sure": list(zip(*weighed, strict=True))}
    exact, drawn, again, more = (choose(voters, by_measure, 6, most) for most in (MANY, 200, 200, 800))
    for rule in ("weighted", *FILTERS):
        name = (rule, "sure")
        assert exact[name].monte_carlo_error == 0 < drawn[name].monte_carlo_error
        off = abs(drawn[name].right.mean() - exact[name].right.mean())
        assert off < 4 * drawn[name].monte_carlo_error
        assert more[name].monte_carlo_error < 0.7 * drawn[name].monte_carlo_error
        assert np.array_equal(again[name].right, drawn[name].right)  # the seed is fixed
    for name in (("majority", None), ("best_of", "sure")):
        assert drawn[name].monte_carlo_error == 0


def test_majority_is_the_one_of_the_statistics() -> None:
    problems = [made_up(9, seed)[0] for seed in range(5)]
    votes = [[None if one == NO_VOTE else int(one) for one in voters.classes] for voters in problems]
    for k in (1, 3, 9):
        assert choose(problems, {}, k, 1)["majority", None].right.mean() == pytest.approx(maj_at_k(votes, k))


def test_a_weighted_vote_can_overrule_the_majority() -> None:
    voters, weights = Voters("p", np.array([1, 1, 0]), np.ones(3)), np.array([1.0, 1.0, 5.0])
    assert share_of("majority", voters, weights, weights, 3, MANY).right == 0
    for rule in ("weighted", "top_10", "top_50", "best_of"):
        assert share_of(rule, voters, weights, weights, 3, MANY).right == 1


def test_votes_without_weight_tie() -> None:
    """Self-certainty of a uniform model is 0: nobody has a say more than others."""
    voters, nothing = Voters("p", np.array([1, 0, NO_VOTE]), np.ones(3)), np.zeros(3)
    assert share_of("weighted", voters, nothing, nothing, 3, MANY).right == 0.5
    nobody = Voters("p", np.array([NO_VOTE, NO_VOTE]), np.ones(2))
    for rule in RULES:
        assert share_of(rule, nobody, np.zeros(2), np.zeros(2), 1, MANY).right == 0


def test_how_many_a_filter_keeps() -> None:
    for count in range(1, 40):
        values = -np.sort(np.random.default_rng(count).normal(0, 1, count))
        kept = surest(np.ones((count, 1), dtype=bool), values, list(FILTERS.values()))
        for share, found in zip(FILTERS.values(), kept, strict=True):
            wanted = values >= np.percentile(values, 100 * (1 - share)) - 1e-12
            assert np.array_equal(found[:, 0], wanted), (count, share)


def test_drawn_subsets_have_k_members_each_as_often() -> None:
    inside = subsets_of(20, 5, 4000, 3)
    assert inside.shape == (20, 4000)
    assert (inside.sum(axis=0) == 5).all()
    assert inside.mean(axis=1) == pytest.approx(np.full(20, 0.25), abs=0.03)
    assert len({tuple(one) for one in subsets_of(6, 3, 20, 0).T}) == 20 == subsets_of(6, 3, 20, 0).shape[1]


def trace(rows: Sequence[tuple[int, list[tuple[int, float]], int]]) -> Traces:
    """Of (class, [(position, window confidence)], tokens)."""
    classes, falls, tokens = zip(*rows, strict=True)
    positions = [np.array([at for at, _ in one]) for one in falls]
    confidences = [np.array([value for _, value in one]) for one in falls]
    return Traces(Voters("p", np.array(classes), np.array(tokens)), positions, confidences)


RESPONSES = [
    (0, [(3, 9.0), (5, 6.0)], 10),
    (1, [(3, 8.0), (4, 5.0), (9, 2.0)], 20),
    (1, [(3, 7.0), (7, 4.0)], 30),
    (0, [(3, 9.5), (8, 7.5)], 12),
    (NO_VOTE, [(3, 3.0)], 40),
]


def stopped_by_hand(order: Sequence[int], share: float, warm_up: int) -> tuple[float, int, float]:
    """(whether right, tokens drawn, share stopped): DeepConf online on this order."""
    lowest = [RESPONSES[i][1][-1][1] for i in order]
    threshold = float(np.percentile(lowest[:warm_up], 100 * (1 - share)))
    tokens, stopped, votes = 0, 0, dict[int, float]()
    for place, i in enumerate(order):
        answer, falls, length = RESPONSES[i]
        below = [at for at, value in falls if value < threshold]
        if below and place >= warm_up:
            stopped += 1
            tokens += below[0] + 1
        else:
            tokens += length
        if not below and answer != NO_VOTE:
            votes[answer] = votes.get(answer, 0.0) + lowest[place]
    winners = [one for one, weight in votes.items() if weight == max(votes.values())]
    return (0 in winners) / max(1, len(winners)), tokens, stopped / (len(order) - warm_up)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(("k", "warm_up"), [(5, 2), (3, 1), (5, 4)])
def test_stopping_is_the_mean_over_all_orders(share: float, k: int, warm_up: int) -> None:
    orders = [stopped_by_hand(order, share, warm_up) for order in itertools.permutations(range(5), k)]
    right, tokens, stopped = np.mean(orders, axis=0)
    found = stop_early([trace(RESPONSES)], share, k, warm_up, 4000)
    assert abs(float(found.right[0]) - right) <= max(1e-9, 4 * found.monte_carlo_error)
    assert float(found.tokens[0]) == pytest.approx(tokens, rel=0.03)
    assert found.stopped_share == pytest.approx(stopped, abs=0.03)
    assert float(found.full_tokens[0]) == pytest.approx(k * np.mean([length for _, _, length in RESPONSES]))


def test_the_first_window_below_the_threshold_stops() -> None:
    positions, confidences = np.array([3, 4, 9]), np.array([8.0, 5.0, 2.0])
    found = tokens_until(positions, confidences, np.array([9.0, 8.0, 5.1, 5.0, 2.0, 1.0]))
    assert found.tolist() == [4, 5, 5, 10, math.inf, math.inf]
