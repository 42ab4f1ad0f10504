"""`onoff import`: a results.json, or the rollouts of a training run or a server, into the store."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onoff_core.cli.partition import add_partition_arguments, named_partition
from onoff_core.commands import materialize_command
from onoff_core.errors import SettingsError
from onoff_core.study import Partition, load_study

if TYPE_CHECKING:
    from onoff_core.exchange.importing import Imported
    from onoff_core.store import Store


def add(commands: Any) -> None:
    command = commands.add_parser(
        "import",
        help="bring a results.json or rollouts into the store as samples",
        description="Bring the responses of a results.json, in the shape that the research scripts write or in the one "
        "that their description shows, into the store as a partition's samples, marked as imported, so that they can "
        "be graded, scored and browsed. Token ids come from tokenizing the texts. The file's rewards and extracted "
        "answers are compared with ours. Or bring the rollouts of verl, TRL, prime-rl, Inspect or a server such as "
        "vLLM, with their token ids and log-probabilities, as far as the file has these (docs/rollouts.md).",
    )
    command.add_argument(
        "results",
        type=Path,
        nargs="?",
        metavar="RESULTS_DIR",
        help="folder of a results.json, or the file (default: the one that a research file with 01_dist only names); "
        "or a file or folder of rollouts (.jsonl, .json, .parquet, .eval)",
    )
    add_partition_arguments(command)
    command.add_argument(
        "--own-problems",
        action="store_true",
        help="take questions and references from the file, not from the data set",
    )
    command.add_argument(
        "--report",
        type=Path,
        metavar="FILE.jsonl",
        help="list the responses of which the file has another reward or extracted answer than ours",
    )
    command.add_argument(
        "--format",
        choices=("rows", "traces", "inspect", "responses"),
        help="of rollouts: rows (verl, TRL, plain), traces (prime-rl), inspect, responses (vLLM) (default: found out)",
    )
    command.add_argument("--step", type=int, help="of rollouts: only those of this step of the training run")
    command.add_argument(
        "--logprobs-temperature",
        type=_temperature,
        metavar="T",
        help="of rollouts: the temperature that their log-probabilities are at (default: as the file says, else 1)",
    )
    command.set_defaults(run=run)


def _temperature(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a number above 0 is wanted, not {text}")
    return value


def run(args: argparse.Namespace) -> int:
    from onoff_core.exchange.comparing import write_report
    from onoff_core.grid.judging import open_store

    study = load_study()
    partition = named_partition(study, args)
    results = args.results or study.results_file
    if results is None:
        raise SettingsError(f"{study.config_path} names no results file to import; write: onoff import RESULTS_DIR")
    made = _imported(partition, open_store(study), results, args)
    print(f"{partition.key}: {made.manifest.num_rows} imported responses are its samples now ({study.store_path})")
    for line in notes(made):
        print(f"note: {line}")
    if args.report is not None:
        write_report(made.comparison.differences, args.report, print)
        print(f"{args.report}: {len(made.comparison.differences)} responses judged otherwise than in the file")
    print("next: grade them with (without `samples`, which would draw new ones)")
    print(f"  {materialize_command(('rewards', 'statistics', 'token_distributions'), partition.key)}")
    return 0


def _imported(partition: Partition, store: "Store", path: Path, args: argparse.Namespace) -> "Imported":
    from onoff_core.exchange.importing import import_results
    from onoff_core.exchange.rollouts.importing import RolloutOptions, import_rollouts
    from onoff_core.exchange.rollouts.reading import is_rollouts

    asked = (args.format, args.step, args.logprobs_temperature)
    if is_rollouts(path) or any(one is not None for one in asked):
        return import_rollouts(partition, store, path, RolloutOptions(*asked, args.own_problems), log=print)
    return import_results(partition, store, path, own=args.own_problems, log=print)


def notes(made: "Imported") -> list[str]:
    """How the file differs from what the study would say, a line each."""
    from onoff_core.exchange.rollouts.importing import rollout_notes
    from onoff_core.store.provenance import RolloutsProvenance, SamplesProvenance

    how, compared = SamplesProvenance.of(made.manifest), made.comparison
    lines = []
    if made.failed:
        first = made.failed[0]
        lines.append(
            f"{len(made.failed)} samples have an error instead of a response and are left out, the first is {first}"
        )
    if how.references_differing:
        lines.append(
            f"{how.references_differing} references differ from the data set's answers; rewards go by the data set's"
        )
    if how.prompts_differing:
        lines.append(
            f"{how.prompts_differing} prompts of the file differ from what the study's task gives, and are "
            f"kept as the file has them; {how.first_prompt_differing}"
        )
    if compared.num_compared:
        lines.append(
            f"of {compared.num_compared} verdicts of the file, ours differ in {compared.num_rewards_differing} rewards "
            f"and {compared.num_answers_differing} extracted answers"
            + ("; --report FILE.jsonl lists them" if compared.differences else "")
        )
    if nan := compared.nan_rewards:
        lines.append(
            f"{len(nan)} {'reward' if len(nan) == 1 else 'rewards'} of the file "
            f"{'is' if len(nan) == 1 else 'are'} NaN, which is taken for no verdict; the first is of {nan[0]}"
        )
    rollouts = RolloutsProvenance.of(made.manifest)
    if rollouts is not None:
        lines += rollout_notes(rollouts)
    return lines
