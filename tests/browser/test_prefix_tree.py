"""The tree of common beginnings."""

from onoff_assets.browser.prefix_tree import Node, prefix_tree, splits


def runs(node: Node) -> list[object]:
    return [node.token_ids, [runs(child) for child in node.children]]


def test_common_beginnings_are_drawn_together() -> None:
    root = prefix_tree([[1, 2, 3], [1, 2, 4, 5], [1, 2, 4, 6]], [1, 0, 1])
    assert runs(root) == [[1, 2], [[[4], [[[5], []], [[6], []]]], [[3], []]]]
    assert [child.start for child in root.children] == [2, 2]
    assert root.mean_reward == 2 / 3
    assert [child.mean_reward for child in root.children] == [0.5, 1.0]


def test_a_sample_that_ends_where_others_go_on() -> None:
    root = prefix_tree([[1], [1, 2]], [1, 0])
    assert root.token_ids == [1]
    assert root.ends_here == 1
    assert [child.token_ids for child in root.children] == [[2]]


def test_empty_responses_and_no_reward() -> None:
    root = prefix_tree([[], [5]], [None, None])
    assert root.token_ids == []
    assert root.mean_reward is None
    assert root.children[0].token_ids == [5]


def test_the_split_where_right_and_wrong_part_most_comes_first() -> None:
    root = prefix_tree([[1, 2, 8], [1, 2, 9], [1, 3, 8], [1, 3, 9]], [1, 1, 0, 0])
    position, difference, node = splits(root)[0]
    assert (position, difference, len(node.samples)) == (1, 1.0, 4)
    assert len(splits(root)) == 1  # below it no branch differs


def test_long_responses_do_not_exhaust_the_stack() -> None:
    staircase = [[0] * i + [1] for i in range(3000)]
    assert len(splits(prefix_tree(staircase, [i % 2 for i in range(3000)]))) > 1000
