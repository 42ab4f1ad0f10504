"""`onoff check --overlap`: problems that stand in several data sets of the study."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from onoff_core.cli.numbers import number, whole_number
from onoff_core.cli.printing import table
from onoff_core.errors import DatasetError
from onoff_core.study import Study

if TYPE_CHECKING:
    from onoff_core.problems import Problem
    from onoff_core.problems.overlap import Overlap

_SHOWN = 6  # of each kind
_TEXT_WIDTH = 70


def add_arguments(command: Any) -> None:
    group = command.add_argument_group("overlap of the data sets")
    group.add_argument(
        "--overlap",
        action="store_true",
        help="instead, look for problems that several data sets have: equal, nearly equal, or one inside another; "
        "exit status 1 where there are any",
    )
    group.add_argument(
        "--ngram", type=whole_number(2, 1000), metavar="N", help="tokens in a row that count as shared (default 8)"
    )
    group.add_argument(
        "--threshold",
        type=number(lambda share: 0 < share <= 1, "a share above 0 and up to 1 is wanted"),
        metavar="SHARE",
        help="of shared n-grams, from which on (default 0.5)",
    )
    group.add_argument("--within", action="store_true", help="also pairs of one data set")
    group.add_argument("--json", action="store_true", help="print JSON instead of tables, with every pair")


def given(args: argparse.Namespace) -> list[str]:
    """The options given that go with --overlap."""
    values = {"--ngram": args.ngram, "--threshold": args.threshold, "--within": args.within, "--json": args.json}
    return [name for name, value in values.items() if value]


def run(args: argparse.Namespace, study: Study) -> int:
    from onoff_core.problems.overlap import NGRAM, THRESHOLD, find_overlap

    problems = _problems(study)
    ngram, threshold = args.ngram or NGRAM, args.threshold or THRESHOLD
    found = find_overlap(problems, ngram=ngram, threshold=threshold, within=args.within)
    if args.json:
        print(json.dumps(_as_json(found, ngram, threshold), indent=1, ensure_ascii=False))
    else:
        _report(found, problems, ngram, threshold, args.within)
    return 1 if found.pairs else 0


def _problems(study: Study) -> "dict[str, Sequence[Problem]]":
    """The problems that the study takes of every data set. Raises `DatasetError`."""
    from onoff_core.problems import load_problems

    found: dict[str, Sequence[Problem]] = {}
    for name, settings in study.datasets.items():
        try:
            found[name] = load_problems(name, settings, study.base_dir)
        except DatasetError as error:
            raise DatasetError(f"datasets.{name}: {error}") from error
    return found


def _report(
    found: "Overlap", problems: "Mapping[str, Sequence[Problem]]", ngram: int, threshold: float, within: bool
) -> None:
    from onoff_core.problems.overlap import KINDS, MOST_CANDIDATES

    sizes = {name: len(of) for name, of in problems.items()}
    print(
        f"{sum(sizes.values()):,} problems of {len(sizes)} data sets; {ngram} tokens in a row, "
        f"from {threshold:g} of the n-grams of one of the two on\n"
    )
    if found.num_cut_short:
        print(
            f"{found.num_cut_short:,} problems share wording with more than {MOST_CANDIDATES:,} others; not all of "
            "these were compared\n"
        )
    if not found.pairs:
        print(f"no problem stands in two data sets{'' if not within else ', nor twice in one'}")
        return
    rows = [
        [
            one.first,
            one.second,
            *(one.num_pairs[kind] for kind in KINDS),
            one.num_same_answer,
            f"{one.num_first:,} of {sizes[one.first]:,}",
            f"{one.num_second:,} of {sizes[one.second]:,}",
        ]
        for one in found.between
    ]
    print(table(["data set", "and", *KINDS, "same answer", "problems of the first", "of the second"], rows))
    print()
    questions = {(name, problem.problem_id): problem.question for name, of in problems.items() for problem in of}
    shown = [
        [
            pair.kind,
            f"{pair.first_in_second:.2f}",
            f"{pair.second_in_first:.2f}",
            "same" if pair.same_answer else "other",
            "/".join(pair.first),
            "/".join(pair.second),
            _short(questions[pair.first]),
        ]
        for kind in KINDS
        for pair in [one for one in found.pairs if one.kind == kind][:_SHOWN]
    ]
    print(table(["kind", "in second", "in first", "answer", "problem", "and", "question of the first"], shown))
    more = sum(sum(one.num_pairs.values()) for one in found.between) - len(shown)
    print(f"\n{f'{more:,} more pairs; ' if more else ''}--json prints every pair")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TEXT_WIDTH else f"{line[: _TEXT_WIDTH - 3]}..."


def _as_json(found: "Overlap", ngram: int, threshold: float) -> dict[str, Any]:
    return {
        "ngram": ngram,
        "threshold": threshold,
        "between": [asdict(one) for one in found.between],
        "num_cut_short": found.num_cut_short,
        "pairs": [
            {
                **asdict(pair),
                "first": dict(zip(("dataset", "problem_id"), pair.first, strict=True)),
                "second": dict(zip(("dataset", "problem_id"), pair.second, strict=True)),
            }
            for pair in found.pairs
        ],
    }
