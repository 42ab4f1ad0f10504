"""`onoff series`: the checkpoints of a training run side by side, and the fit of accuracy against entropy."""

import argparse
from itertools import groupby
from typing import TYPE_CHECKING, Any

from onoff_core.cli.printing import fraction, table
from onoff_core.errors import SettingsError
from onoff_core.study import load_study

if TYPE_CHECKING:
    from onoff_core.series import SeriesStep


def add(commands: Any) -> None:
    command = commands.add_parser(
        "series",
        help="the checkpoints of a training run side by side",
        description="Print, step by step, what is there of the models that are checkpoints of a training run (`series` "
        "and `step` of a model): accuracy, pass@k, mean entropy, KL to the first step and to the one before; and the "
        "least-squares fit of accuracy = -a exp(entropy) + b.",
    )
    command.add_argument("name", nargs="?", help="of the series (left out: the names that there are)")
    command.add_argument("--dataset", help="only on this data set")
    command.add_argument("--k", type=int, help="which k of pass@k (default: the largest that every step has)")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from onoff_core.grid.judging import open_store
    from onoff_core.series import series_names, series_steps
    from onoff_core.store import publish_catalog

    study = load_study()
    store = open_store(study)
    if args.dataset is not None:
        study.dataset(args.dataset)
    if store.files.exists(""):
        publish_catalog(store)  # so that it knows the checkpoints that the study has now
    names = sorted({*series_names(store), *(series for series, _ in study.checkpoints().values())})
    if not names:
        raise SettingsError(
            f"{study.config_path}: no model is a step of a series; write `series: NAME` and `step: N` at each "
            "checkpoint, or one entry with a folder pattern (docs/series.md)"
        )
    if args.name is None:
        print("\n".join(names))
        return 0
    if args.name not in names:
        raise SettingsError(f"there is no series {args.name!r}; there are: {', '.join(names)}")
    for dataset, steps in groupby(series_steps(store, args.name, args.dataset), key=lambda step: step.dataset):
        _print(args.name, dataset, list(steps), args.k)
    return 0


def _print(name: str, dataset: str, steps: "list[SeriesStep]", k: int | None) -> None:
    k = k or _largest_k(steps)
    print(f"{name} on {dataset}\n")
    header = ["step", "model", "accuracy", "95 % interval", *([f"pass@{k}"] if k else []), "entropy"]
    rows = [
        [
            step.step,
            step.model,
            fraction(step.accuracy),
            "-" if step.accuracy is None else f"[{fraction(step.interval_low)}, {fraction(step.interval_high)}]",
            *([fraction(_pass_at(step, k))] if k else []),
            fraction(step.mean_entropy),
            _kl(step.kl_to_first),
            _kl(step.kl_to_previous),
            "-" if step.residual is None else f"{step.residual:+.4f}",
        ]
        for step in steps
    ]
    print(table([*header, "KL to first", "KL to previous", "residual"], rows))
    _print_fit(steps)
    _print_notes(steps)


def _print_fit(steps: "list[SeriesStep]") -> None:
    from onoff_core.series import fit_entropy

    pairs = [(s.accuracy, s.mean_entropy) for s in steps if s.accuracy is not None and s.mean_entropy is not None]
    fit = fit_entropy([accuracy for accuracy, _ in pairs], [entropy for _, entropy in pairs])
    if fit is None:
        return
    explained = "all accuracies are equal" if fit.r_squared is None else f"R^2 {fit.r_squared:.3f}"
    print(
        f"\nfit over {len(pairs)} steps: accuracy = {-fit.a:+.4f} exp(entropy) {fit.b:+.4f} ({explained}); "
        f"at entropy 0: {fit.ceiling:.4f}"
    )


def _print_notes(steps: "list[SeriesStep]") -> None:
    """Why numbers are missing, each reason once; what is stale, and what the study has no longer."""
    said = dict.fromkeys(
        f"{one['statistic']} of step {step.step}: {one['reason']}"
        for step in steps
        for one in step.missing
        if not _goes_without_saying(one["reason"])
    )
    lines = [
        *said,
        *(f"step {step.step}: its statistics are stale" for step in steps if step.is_stale),
        *(f"step {step.step}: {step.model} is not in the study now" for step in steps if step.in_study is False),
    ]
    if lines:
        print()
    for line in lines:
        print(f"note: {line}")


def _goes_without_saying(reason: str) -> bool:
    return reason in ("it is the first step", "there is no step before it")


def _largest_k(steps: "list[SeriesStep]") -> int | None:
    known = [
        {one["k"] for one in step.pass_at_k if one["estimate"] is not None and one["k"] > 1}
        for step in steps
        if step.pass_at_k is not None
    ]
    return max(set.intersection(*known), default=None) if known else None


def _pass_at(step: "SeriesStep", k: int) -> float | None:
    return next((one["estimate"] for one in step.pass_at_k or [] if one["k"] == k), None)


def _kl(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"
