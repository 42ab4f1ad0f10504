"""What models did on one data set: the verdicts counted by problem, and which results in the store they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onoff_core.errors import ExchangeError
from onoff_core.store import Generation, Store
from onoff_core.store.provenance import settings_that_decide, task_of
from onoff_core.study import TaskSettings


@dataclass(frozen=True)
class PassRate:
    """How often a model was right on a problem."""

    num_graded: int  # responses with a reward
    num_correct: int
    num_unknown: int  # responses without a verdict: no reward, a time-out, or not there
    share: float | None  # num_correct / num_graded; None: no response has a reward
    low: float | None  # 95 % interval (Clopper-Pearson), this problem drawn again
    high: float | None


@dataclass(frozen=True)
class Source:
    """One model's current statistics on the data set, and what they were made of."""

    model: str
    statistics: Generation
    rewards: Generation
    samples: Generation
    problems: str  # the fingerprint of the data set's problems
    task: TaskSettings | None  # by which the prompts were written; None: nobody says
    pass_rates: Mapping[str, PassRate]  # by problem id
    stale: bool = False  # today's settings would make it anew

    @property
    def known_task(self) -> TaskSettings:
        """By which the prompts were written. Raises `ExchangeError` where nobody says."""
        if self.task is None:
            raise ExchangeError(
                f"the samples of {self.model} do not say how its prompts were written, and it is not in the study, so "
                "there are no messages; take --format parquet, which has texts"
            )
        return self.task

    @property
    def lineage(self) -> dict[str, Any]:
        """Which results these are, and the settings that decided them, for a data card."""
        made_from = {"samples": self.samples, "rewards": self.rewards, "statistics": self.statistics}
        return {
            "model": self.model,
            **{name: made.fingerprint for name, made in made_from.items()},
            "stale": self.stale,
            "settings": {name: settings_that_decide(made.manifest()) for name, made in made_from.items()},
        }


def read_source(
    store: Store, dataset: str, model: str, *, stale: bool = False, task: TaskSettings | None = None
) -> Source:
    """`task`: of today, for samples that do not say by which settings their prompts were written. Raises
    `ExchangeError` where what the statistics were made of is not there any more.
    """
    key = (dataset, model)
    statistics = store.require("statistics", key)
    inputs = statistics.manifest().inputs
    rewards, samples = (_whole(store, name, key, inputs[name]) for name in ("rewards", "samples"))
    by_problem = _whole(store, "problem_statistics", key, statistics.fingerprint)
    rates = {
        row["problem_id"]: PassRate(
            num_graded=row["num_graded"],
            num_correct=row["num_correct"],
            num_unknown=row["num_timeouts"] + row["num_gold_unparsed"] + row["num_missing"],
            share=row["pass_rate"],
            low=row["same_problems_low"],
            high=row["same_problems_high"],
        )
        for row in by_problem.read().to_pylist()
    }
    manifest = samples.manifest()
    asked = task_of(manifest) or task
    return Source(model, statistics, rewards, samples, manifest.inputs["problems"], asked, rates, stale=stale)


def problems_of(store: Store, dataset: str, sources: Sequence[Source]) -> list[dict[str, Any]]:
    """The problems that all these models were given, in the data set's order, as rows of the table `problems`.

    Raises `ExchangeError` where they were given different ones.
    """
    first = sources[0]
    for other in sources[1:]:
        if other.problems != first.problems:
            raise ExchangeError(
                f"{first.model} and {other.model} were given different problems of {dataset} (versions "
                f"{first.problems} and {other.problems}), so their pass rates are not of the same problems; "
                "materialize the older one again (onoff status shows what is stale), or export them apart"
            )
    found: list[dict[str, Any]] = _whole(store, "problems", (dataset,), first.problems).read().to_pylist()
    return found


def _whole(store: Store, asset: str, key: tuple[str, ...], fingerprint: str) -> Generation:
    generation = store.generation(asset, key, fingerprint)
    if not generation.is_complete:
        raise ExchangeError(
            f"{generation.files.location(generation.folder)} is not there (any more), and the statistics of "
            f"{'|'.join(key)} were made with it; materialize samples,rewards,statistics again"
        )
    return generation
