"""How often two opinions on the same responses differ, and which way."""

from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa

from onoff_core.statistics.estimators import accuracy
from onoff_core.statistics.intervals import other_problems_interval
from onoff_core.tables import SCHEMAS

# Of a response with two verdicts, by their name in the table: whether they differ, and whether that way.
_WAYS = ("disagreement", "only_first_right", "only_second_right")


def second_opinion_statistics(opinions: pa.Table) -> pa.Table:
    """The one row of `second_opinion_statistics`, of the table `second_opinions`.

    Shares are over the responses with two verdicts, as the accuracy is over those with one: the mean over problems of
    each problem's share, with the interval for other problems like these.
    """
    by_problem: dict[str, list[tuple[bool, bool, bool]]] = defaultdict(list)
    counts = dict.fromkeys(("num_without_answer", "num_without_reward", "num_judged", "num_unclear"), 0)
    names = ["problem_id", "reward", "same_text", "judge_response", "second_verdict", "agrees"]
    columns = (opinions[name].to_pylist() for name in names)
    for problem, reward, same_text, response, second, agrees in zip(*columns, strict=True):
        counts["num_without_answer"] += same_text is None
        counts["num_without_reward"] += same_text is not None and reward is None
        counts["num_judged"] += response is not None
        counts["num_unclear"] += same_text is not None and second is None
        if agrees is not None:
            by_problem[problem].append((not agrees, not agrees and not second, not agrees and second))
    both = [verdicts for of in by_problem.values() for verdicts in of]
    totals = [sum(verdicts[way] for verdicts in both) for way in range(len(_WAYS))]
    row: dict[str, Any] = {
        "num_problems": len(by_problem),
        "num_responses": len(both),
        **dict(zip(("num_disagreements", "num_only_first_right", "num_only_second_right"), totals, strict=True)),
        **counts,
    }
    for way, name in enumerate(_WAYS):
        shares = np.array([np.mean([verdicts[way] for verdicts in of]) for of in by_problem.values()], float)
        row[f"{name}_share"] = accuracy(shares)
        row[f"{name}_low"], row[f"{name}_high"] = other_problems_interval(shares) or (None, None)
    return pa.Table.from_pylist([row], schema=SCHEMAS["second_opinion_statistics"])
