"""`onoff show`: one partition's results in a small table."""

import argparse
from typing import TYPE_CHECKING, Any

from onoff_core.cli.partition import require, stored_partition
from onoff_core.cli.printing import fraction, interval, table
from onoff_core.study import load_study

if TYPE_CHECKING:
    from onoff_core.grid.summary import PartitionSummary
    from onoff_core.store import Store

_OTHER = "on other problems like these"


def add(commands: Any) -> None:
    command = commands.add_parser(
        "show", help="one partition's results", description="Print a partition's results and where they lie."
    )
    command.add_argument("partition", help="'dataset|model'")
    command.set_defaults(run=run)


def _print_runs(store: "Store", names: tuple[str, str]) -> None:
    """How each asset was made, as far as that was recorded."""
    from onoff_core.store.provenance import RunProvenance
    from onoff_core.tables import GRID_ASSETS

    rows = []
    for asset in GRID_ASSETS:
        current = store.current(asset, names)
        made = None if current is None else RunProvenance.of(current.manifest())
        if made is not None:
            gpus = ", ".join(
                made.gpus[number] if len(made.gpus) == 1 else f"{number}: {made.gpus[number]}"
                for number in made.gpu_numbers
            )
            memory = max(made.peak_memory_bytes, made.peak_child_memory_bytes or 0)
            numbers = [made.tokens, made.batch_size, made.attempts, round(memory / 1e6)]
            rows.append(
                [asset, made.host, gpus or "-", *("-" if number is None else f"{number}" for number in numbers)]
            )
    if rows:
        print("\n" + table(["made", "host", "GPU", "tokens", "batch", "attempts", "peak MB"], rows))


def _accuracy(row: "PartitionSummary") -> list[list[str]]:
    other = interval(row.interval_low, row.interval_high, _OTHER, row.missing.get("interval_low"))
    why = row.missing.get("same_problems_low")
    same = interval(row.same_problems_low, row.same_problems_high, "on these problems, drawn again", why)
    return [["accuracy, 95 % interval", f"{fraction(row.accuracy)}  {other}"], ["", f"{'':5}  {same}"]]


def _at_k(row: "PartitionSummary") -> list[list[str]]:
    """Both at the largest k, in which they differ most from the accuracy."""
    why = row.missing.get("interval_low")
    lines = []
    for name, found in (("pass", row.pass_at_k), ("maj", row.maj_at_k)):
        if found is not None and found[0] > 1:
            k, one = found
            low, high = one.other_problems or (None, None)
            lines.append([f"{name}@{k}", f"{fraction(one.estimate)}  {interval(low, high, _OTHER, why)}"])
    return lines


def _second_opinion(row: "PartitionSummary") -> list[list[str]]:
    if row.disagreement_share is None:
        return []
    interval = f"[{fraction(row.disagreement_low)}, {fraction(row.disagreement_high)}]"
    return [["second opinion differs", f"{fraction(row.disagreement_share)}  {interval}  on other problems like these"]]


def _thinking(row: "PartitionSummary") -> list[list[str]]:
    """Thinking and answer apart, where they are told apart."""
    if row.mean_thinking_tokens is None or row.mean_answer_tokens is None:
        return []
    lines = [["  thinking, answer", f"{row.mean_thinking_tokens:.1f}, {row.mean_answer_tokens:.1f}"]]
    if row.truncated_in_thinking_share:
        lines.append(["  cut off thinking", f"{row.truncated_in_thinking_share:.1%} of the responses"])
    return lines


def _entropies(row: "PartitionSummary") -> list[list[str]]:
    if row.mean_thinking_entropy is None and row.mean_answer_entropy is None:
        return []
    return [["  thinking, answer", f"{fraction(row.mean_thinking_entropy)}, {fraction(row.mean_answer_entropy)}"]]


def _confidence(row: "PartitionSummary") -> list[list[str]]:
    """One measure, the mean confidence, so that nobody reads the best of many for what one would give."""
    if row.auroc is None:
        return []
    interval = f"[{fraction(row.auroc_low)}, {fraction(row.auroc_high)}]"
    return [["AUROC, mean confidence", f"{fraction(row.auroc)}  {interval}  on other problems like these"]]


def run(args: argparse.Namespace) -> int:
    from onoff_core.grid.summary import partition_summary
    from onoff_core.store import Store

    study = load_study()
    store = Store(study.store_path)
    names = stored_partition(study, store, args.partition)
    require(store, names, "statistics")
    row = partition_summary(store, names)
    unknown = f"[{fraction(row.accuracy_lowest)}, {fraction(row.accuracy_highest)}]"
    print(
        table(
            [str(names), ""],
            [
                ["problems", f"{row.num_problems}"],
                ["responses", f"{row.num_samples}"],
                *_accuracy(row),
                ["accuracy, bounds", f"{'':5}  {unknown}  whatever the responses without a verdict are"],
                *_at_k(row),
                ["mean tokens", "-" if row.mean_num_tokens is None else f"{row.mean_num_tokens:.1f}"],
                *_thinking(row),
                ["mean entropy (nats)", fraction(row.mean_entropy)],
                *_entropies(row),
                *_second_opinion(row),
                *_confidence(row),
            ],
        )
    )
    _print_runs(store, names)
    print(f"\nresults: {store.root}")
    print("next:")
    print("  make ui        the grid in Dagster, at http://127.0.0.1:3000")
    print("  make browse    look at the responses, token by token")
    print("  onoff status   what is there of every partition (.venv/bin/onoff, or activate .venv)")
    return 0
