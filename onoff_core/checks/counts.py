"""The numbers that `counting` finds in a partition's token distributions and `token_distributions` judges."""

import math
from dataclasses import dataclass, field

from onoff_core.checks.evidence import Key


@dataclass
class DistributionCounts:
    """Counts and offenders, by which all three invariants are judged."""

    vocab_size: int
    comparable: bool  # scored at temperature 1, as the sampler's log-probabilities are
    full_precision: bool
    tokens: int = 0
    uncovered: list[Key] = field(default_factory=list)
    impossible: dict[Key, None] = field(default_factory=dict)  # in the order of the rows
    highest_entropy: float = -math.inf
    lowest_entropy: float = math.inf
    highest_logprob: float = -math.inf
    compared: int = 0  # tokens, as the next two
    largest_difference: float = 0.0
    sum_of_differences: float = 0.0
