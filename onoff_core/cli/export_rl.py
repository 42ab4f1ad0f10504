"""`onoff export --what problems, preferences, rollouts`: data sets for training, with a data card."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onoff_core.cli.numbers import number, whole_number
from onoff_core.cli.partition import require
from onoff_core.cli.printing import table
from onoff_core.commands import materialize_command
from onoff_core.errors import DatasetError, ExchangeError
from onoff_core.study import PartitionKey, Study

if TYPE_CHECKING:
    from onoff_core.exchange.rl.export import What, Written
    from onoff_core.exchange.rl.hub import HubTarget
    from onoff_core.exchange.rl.selection import Band, Choice
    from onoff_core.exchange.rl.sources import Source
    from onoff_core.store import Store

RL = ("problems", "preferences", "rollouts")
_FORMATS = ("parquet", "jsonl", "verl", "trl")
_USUAL: dict[str, Any] = {
    "pass_rate": None,
    "models": None,
    "rule": "every",
    "control": None,
    "seed": 0,
    "format": "parquet",
    "data_source": None,
    "pairs": 1,
    "match_length": None,
    "stale": False,
    "overwrite": False,
    "push": None,
    "public": False,
}
_NEAR = 0.2  # of the longer response's tokens


def add_arguments(command: Any) -> None:
    group = command.add_argument_group(
        "data sets for training (--what problems, preferences or rollouts, one at a time)"
    )
    group.add_argument("--pass-rate", type=_band, metavar="LOW:HIGH", help="only problems with a pass rate from .. to")
    group.add_argument("--models", type=_names, metavar="A,B", help="the models whose pass rates count")
    group.add_argument(
        "--rule",
        choices=("every", "any", "mean"),
        help="of several models: every one's pass rate is in the band (default), any one's, or their mean",
    )
    group.add_argument(
        "--control",
        choices=("equal-size", "disjoint"),
        help="beside them as many problems drawn without regard to the pass rate: from all, so some may be in both "
        "(equal-size), or from those that were not chosen (disjoint)",
    )
    group.add_argument("--seed", type=int, help="of the control, and of pairs that are drawn (default 0)")
    group.add_argument("--format", choices=_FORMATS, help="verl, trl: the columns that these read (default: parquet)")
    group.add_argument("--data-source", metavar="NAME", help="verl's name for the data set (default: ours)")
    group.add_argument(
        "--pairs", type=whole_number(1), metavar="N", help="preferences: at most so many a problem (default 1)"
    )
    group.add_argument(
        "--match-length",
        type=number(lambda share: 0 <= share < 1, "a share from 0 to below 1 is wanted, such as 0.2"),
        nargs="?",
        const=_NEAR,
        metavar="SHARE",
        help=f"preferences: of responses that are nearly as long, by this share of the longer one (default {_NEAR})",
    )
    group.add_argument("--stale", action="store_true", help="also from results that the settings would make anew")
    group.add_argument("--overwrite", action="store_true", help="replace what is there")
    group.add_argument(
        "--push",
        metavar="OWNER/NAME",
        help="send it to the Hugging Face hub too, as a private data set (needs a token)",
    )
    group.add_argument("--public", action="store_true", help="with --push: everybody may see it")
    command.set_defaults(**_USUAL)


def run(args: argparse.Namespace, what: "What", study: Study, store: "Store") -> int:
    from onoff_core.exchange.rl.export import Order, export_rl, names_of
    from onoff_core.exchange.rl.preferences import Pairing
    from onoff_core.exchange.rl.writing import check_free

    _check_together(args, what)
    dataset = args.dataset or study.only("dataset", study.datasets)
    choice = _choice(args)
    names = names_of(what, args.format, control=choice.control is not None)
    check_free(args.output, names, overwrite=args.overwrite)
    target = _hub(args)
    sources, notes = _sources(args, study, store, dataset)
    notes += _notes(sources, choice, dataset, args)
    order = Order(
        what=what,
        dataset=dataset,
        sources=sources,
        choice=choice,
        format=args.format,
        folder=args.output,
        data_source=args.data_source,
        pairing=Pairing(args.pairs, args.match_length, args.seed),
        notes=notes,
    )
    _report(export_rl(store, order), target)
    return 0


def given(args: argparse.Namespace) -> list[str]:
    """The options given that go with data sets for training alone."""
    return [f"--{name.replace('_', '-')}" for name, usual in _USUAL.items() if getattr(args, name) != usual]


def _check_together(args: argparse.Namespace, what: "What") -> None:
    """Raise `ExchangeError` for options that do not go together."""
    from onoff_core.exchange.rl.export import FORMATS_OF

    if args.format not in FORMATS_OF[what]:
        raise ExchangeError(f"{what} are written as {', '.join(FORMATS_OF[what])}, not as {args.format}")
    if args.push is not None and args.format == "jsonl":
        raise ExchangeError("--push sends Parquet: take --format parquet, verl or trl")
    for option, value, goes in (
        ("--pairs", args.pairs != _USUAL["pairs"], "preferences"),
        ("--match-length", args.match_length is not None, "preferences"),
        ("--data-source", args.data_source is not None and args.format != "verl", "--format verl"),
        ("--public", args.public and args.push is None, "--push"),
    ):
        if value and what != goes:
            raise ExchangeError(f"{option} goes with {goes}")


def _hub(args: argparse.Namespace) -> "HubTarget | None":
    """Where to send it, looked at before anything is computed; None: nowhere."""
    if args.push is None:
        return None
    from onoff_core.exchange.rl.hub import check_hub

    return check_hub(args.push, public=args.public, overwrite=args.overwrite)


def _choice(args: argparse.Namespace) -> "Choice":
    from onoff_core.exchange.rl.selection import Choice

    if args.control is not None and args.pass_rate is None:
        raise ExchangeError("--control goes with --pass-rate: without a band all problems are taken")
    return Choice(args.pass_rate, args.rule, args.control, args.seed)


def _sources(args: argparse.Namespace, study: Study, store: "Store", dataset: str) -> tuple[list["Source"], list[str]]:
    """What the named models did on the data set, and what is to be said of it. Raises errors for what is missing, and
    for what is stale unless that was asked for.
    """
    from onoff_core.exchange.rl.sources import read_source

    if args.model is not None and args.models is not None:
        raise ExchangeError("name the models with --models alone, or one with --model")
    models = args.models or (args.model or study.only("model", study.models),)
    sources, notes = [], []
    for model in models:
        key = _known(study, store, dataset, model)
        require(store, key, "statistics")
        stale, note = _is_stale(study, store, key)
        if stale and not args.stale:
            raise ExchangeError(
                f"the statistics of {key} are stale: today's settings or problems would make them anew (onoff status). "
                f"Run: {materialize_command(('samples', 'rewards', 'statistics'), str(key))}\n"
                "or export them as they are with --stale; the data card then says so"
            )
        notes += [f"Of {model}: {note}."] if note else []
        partition = study.partitions.get(str(key))
        task = None if partition is None else partition.task
        sources.append(read_source(store, dataset, model, stale=stale, task=task))
    return sources, notes


def _known(study: Study, store: "Store", dataset: str, model: str) -> PartitionKey:
    from onoff_core.cli.partition import stored_partition

    return stored_partition(study, store, f"{dataset}|{model}")


def _is_stale(study: Study, store: "Store", key: PartitionKey) -> tuple[bool, str | None]:
    """Whether today's settings would make the statistics anew, and what is to be said about that."""
    from onoff_core.grid.problem_versions import current_problems_version
    from onoff_core.grid.status import partition_status

    partition = study.partitions.get(str(key))
    if partition is None:
        return False, "it is no longer in the study, so that nobody can say whether its results are up to date"
    try:
        version = current_problems_version(key.dataset, partition.dataset_settings, study.base_dir, store)
    except DatasetError as error:
        return False, f"the data set cannot be read now ({error}), so its problems may have changed"
    state = partition_status(partition, version, store)["statistics"]
    return (
        state != "complete",
        "its results are stale: today's settings would make them anew" if state != "complete" else None,
    )


def _notes(sources: Sequence["Source"], choice: "Choice", dataset: str, args: argparse.Namespace) -> list[str]:
    """What a user of the data should know."""
    notes = []
    fewest = min(
        (rate.num_graded for source in sources for rate in source.pass_rates.values() if rate.num_graded), default=0
    )
    if choice.band is not None and fewest == 1:
        notes.append(
            "Some problems have one response with a verdict. Their pass rate is 0 or 1, whatever the model can do; "
            "more responses (sampling.num_samples) would tell them apart."
        )
    tasks = {source.model: source.task for source in sources}
    if args.format in ("verl", "trl"):
        first = sources[0]
        if any(task != first.task for task in tasks.values()):
            notes.append(f"The models were asked in different ways; the prompts are those of {first.model}.")
        if first.known_task.template_type == "simple":
            notes.append(f"{first.model} was given plain text; the messages say the same as a conversation.")
        if first.known_task.chat_template:
            notes.append(
                f"The chat template was given {first.known_task.chat_template}; let the trainer give it the same."
            )
        if args.what[0] == "problems" and first.known_task.prefill:
            notes.append(f"The model's turn was opened with {first.known_task.prefill!r}, which messages cannot say.")
    if args.format == "verl":
        notes += _verls_rule(args.data_source or dataset)
    return notes


def _verls_rule(data_source: str) -> list[str]:
    """What is to be said where verl's own reward function would not find answers as the prompt asks for them."""
    from onoff_core.exchange.rl.problems import VERL_LOOKS_FOR

    asked, mend = r"\boxed{...}", "name lighteval/MATH with --data-source, or your own custom_reward_function.path"
    looks_for = next((form for name, form in VERL_LOOKS_FOR.items() if data_source.startswith(name)), None)
    if looks_for is None:
        return [f"verl has no rule for the data_source {data_source!r}: {mend}."]
    if looks_for != asked:
        return [
            f"verl's rule for the data_source {data_source!r} looks for {looks_for!r}, and the prompt asks for "
            f"{asked}: {mend}."
        ]
    return []


def _report(written: "Written", target: "HubTarget | None") -> None:
    counts = written.card.counts
    rows = [
        [split, f"{counts[split]:,}", str(path), f"{path.stat().st_size:,}"] for split, path in written.files.items()
    ]
    print(table(["split", "rows", "file", "bytes"], rows))
    for sentence in written.card.more:
        print(sentence)
    print(f"data card: {written.card_path}")
    for note in written.card.notes:
        print(f"note: {note}", file=sys.stderr)
    folder = str(written.card_path.parent)
    if target is not None:
        from onoff_core.exchange.rl.hub import push

        folder = target.repository
        print(f"sent to {push(written, target)} ({'private' if target.private else 'public'})")
    print(f"next: datasets.load_dataset({folder!r})")


def _band(text: str) -> "Band":
    from onoff_core.exchange.rl.selection import Band

    low, colon, high = text.partition(":")
    try:
        band = Band(float(low), float(high)) if colon else None
    except ValueError:
        band = None
    if band is None or not (0 <= band.low <= 1 and 0 <= band.high <= 1):
        raise argparse.ArgumentTypeError(f"two numbers from 0 to 1 are wanted, such as 0.2:0.8, not {text!r}")
    if band.low > band.high:
        raise argparse.ArgumentTypeError(f"{text}: the lower number comes first: {high}:{low}")
    return band


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"names with commas between them are wanted, each once, not {text!r}")
    return names
