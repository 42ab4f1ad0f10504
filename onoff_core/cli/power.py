"""`onoff power`: how many problems and responses would tell two models apart."""

import argparse
from typing import TYPE_CHECKING, Any

from onoff_core.cli.numbers import number
from onoff_core.cli.partition import add_partition_arguments, named_partition, require
from onoff_core.cli.printing import table
from onoff_core.errors import StatisticsError
from onoff_core.study import load_study

if TYPE_CHECKING:
    from onoff_core.statistics import ProblemResponses
    from onoff_core.store import Store

_NUM_SAMPLES = (1, 2, 4, 8, 16, 32, 64)

_SHARE = number(lambda value: 0 < value < 1, "a number between 0 and 1 is wanted")


def add(commands: Any) -> None:
    command = commands.add_parser(
        "power",
        help="how many problems and responses would tell a difference",
        description=(
            "Say how many problems, and how many responses to each, would tell two models apart, from how much a "
            "partition's responses and problems differ."
        ),
    )
    add_partition_arguments(command)
    command.add_argument("--difference", type=_SHARE, required=True, help="of the two accuracies, such as 0.02")
    command.add_argument("--against", metavar="MODEL", help="measure how this model's problems differ from --model's")
    command.add_argument("--power", type=_SHARE, default=0.8, help="chance to tell the difference (default 0.8)")
    command.add_argument("--alpha", type=_SHARE, default=0.05, help="chance to tell one that is none (default 0.05)")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from onoff_core.statistics.power import difference_between, variances
    from onoff_core.store import Store

    study = load_study()
    partition = named_partition(study, args)
    store = Store(study.store_path)
    problems = _problems(store, partition.dataset, partition.model)
    found, against, measured = variances(problems), None, None
    if found.within is None or found.between is None:
        raise StatisticsError(
            f"{partition.key}: it takes two problems with verdicts, and two responses to one of them, to know how much "
            "problems and responses differ; raise sampling.num_samples and materialize the partition again"
        )
    within = 2 * found.within
    if args.against is not None:
        study.model(args.against)
        others = _problems(store, partition.dataset, args.against)
        against, measured = variances(others), difference_between(problems, others)
        if measured is None or against.within is None:
            raise StatisticsError(
                f"{args.against} and {partition.model} need two problems of {partition.dataset} in common, and two "
                "responses to one of them each"
            )
        within = found.within + against.within
    _report(args, partition.key, problems, (within, 2 * found.between, measured))
    return 0


def _report(
    args: argparse.Namespace,
    key: str,
    problems: "dict[str, ProblemResponses]",
    parts: tuple[float, float, float | None],
) -> None:
    """`parts`: the variance within problems of both models together; between problems of a difference, where each
    model has problems of its own, and where they have the same (None: not measured)."""
    from onoff_core.statistics.power import problems_needed, samples_needed, smallest_difference
    from onoff_core.statistics.responses import graded

    within, apart, measured = parts
    told = {"power": args.power, "alpha": args.alpha}
    num_problems = len(graded(problems))
    num_samples = min(found.num_graded for found in graded(problems).values())
    columns = {"same problems, equally hard for both": 0.0, "other problems for each": apart}
    if measured is not None:
        columns = {f"same problems, as hard as for {args.against}": measured, **columns}
    print(f"{key}: {num_problems:,} problems, {num_samples:,} responses to each at least")
    print(f"variance of a response within its problem {within / 2:.4f}, of problems {apart / 2:.4f}\n")
    print(f"to tell {args.difference:g} with power {args.power:g} at {args.alpha:g}, of other problems like these:\n")
    rows = [
        [n, *(f"{problems_needed(args.difference, between, within, n, **told):,}" for between in columns.values())]
        for n in sorted({*_NUM_SAMPLES, num_samples})
    ]
    print(table(["responses to each", *(f"problems: {name}" for name in columns)], rows))
    needed = samples_needed(args.difference, within, num_problems, **told)
    print(f"\nof these {num_problems:,} problems, drawn again: {needed:,} responses to each by both models")
    for name, between in columns.items():
        least = smallest_difference(between, within, num_problems, num_samples, **told)
        print(f"with {num_problems:,} problems and {num_samples:,} responses to each it tells {least:.4f} ({name})")
    if measured is None:
        print("\nthe truth lies between the columns; --against MODEL measures it for a model that is there")


def _problems(store: "Store", dataset: str, model: str) -> "dict[str, ProblemResponses]":
    from onoff_core.statistics import responses_by_problem

    require(store, (dataset, model), "rewards")
    return responses_by_problem(store.require("rewards", (dataset, model)).read())
