"""The samples of one problem as a tree of their common beginnings, which shows where correct and wrong ones part."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Node:
    """A run of tokens that the same samples share, and the branches after it."""

    start: int  # position of the run's first token in the response
    token_ids: list[int]
    samples: list[int]  # indices into the responses that the tree was made of
    children: list["Node"] = field(default_factory=list)
    mean_reward: float | None = None  # of the samples that have a reward
    ends_here: int = 0  # samples that end with this run


def prefix_tree(token_ids: Sequence[Sequence[int]], rewards: Sequence[int | None]) -> Node:
    """The tree, one node for each run without a branch; its root has the run that all samples share (it may be empty).

    Branches are ordered by how many samples take them. The mean reward of a branch is over its samples with a reward.
    """
    root = Node(0, [], list(range(len(token_ids))))
    open_nodes = [root]
    while open_nodes:
        node = open_nodes.pop()
        _extend(node, token_ids)
        known = [reward for reward in (rewards[i] for i in node.samples) if reward is not None]
        node.mean_reward = sum(known) / len(known) if known else None
        open_nodes += node.children
    return root


def _extend(node: Node, token_ids: Sequence[Sequence[int]]) -> None:
    """Lengthen the node's run as far as all its samples agree, then branch."""
    position = node.start
    while True:
        followers: dict[int | None, list[int]] = {}
        for index in node.samples:
            ids = token_ids[index]
            followers.setdefault(ids[position] if position < len(ids) else None, []).append(index)
        if len(followers) != 1 or None in followers:
            break
        node.token_ids.append(next(token for token in followers if token is not None))
        position += 1
    node.ends_here = len(followers.pop(None, []))
    branches = sorted(followers.items(), key=lambda item: (-len(item[1]), item[1][0]))
    node.children = [Node(position, [], samples) for _, samples in branches]


def splits(root: Node) -> list[tuple[int, float, Node]]:
    """Splits as (position, largest difference of the branches' mean rewards, node), the most telling ones first.

    A split tells sum n_i (mean_i - mean)^2 over its branches: the part of the rewards' variance that it explains. So a
    split of many samples counts for more than one of two.
    """
    found: list[tuple[float, int, float, Node]] = []
    nodes = [root]
    while nodes:
        node = nodes.pop()
        nodes += node.children
        branches = [(len(child.samples), child.mean_reward) for child in node.children if child.mean_reward is not None]
        means = [mean for _, mean in branches]
        if len(means) > 1 and max(means) > min(means):
            whole = sum(count * mean for count, mean in branches) / sum(count for count, _ in branches)
            told = sum(count * (mean - whole) ** 2 for count, mean in branches)
            found.append((told, node.start + len(node.token_ids), max(means) - min(means), node))
    return [item[1:] for item in sorted(found, key=lambda item: (-item[0], item[1]))]
