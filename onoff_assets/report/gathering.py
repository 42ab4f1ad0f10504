"""What the store has of the partitions of a report, and what it lacks or holds from other settings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from onoff_assets.browser.reading import Reader, Responses
from onoff_core.errors import MissingInputError, PartitionError
from onoff_core.frames import OpenStudy
from onoff_core.statistics.at_k import Kind
from onoff_core.statistics.stored import Figure, figures
from onoff_core.store import Manifest
from onoff_core.store.provenance import RewardsProvenance, RunProvenance, SamplesProvenance, ScoresProvenance
from onoff_core.study import split_partition_key
from onoff_core.study.study import suggestion

_SAID = ("samples", "rewards", "statistics", "token_distributions")
_SHOWN = ("samples", "rewards", "statistics", "problem_statistics", "token_distributions")


@dataclass(frozen=True)
class Reported:
    """One partition of a report. `notes` say in sentences what a reader has to know of it, such as that it is stale."""

    dataset: str
    model: str
    row: dict[str, Any]  # of `statistics`
    num_problems: int  # of the data set, those without a verdict included
    responses: Responses
    samples: SamplesProvenance
    rewards: RewardsProvenance
    scores: ScoresProvenance | None  # None: there are no token distributions of these samples
    manifests: dict[str, Manifest]  # by asset
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.dataset}|{self.model}"

    @property
    def samples_per_problem(self) -> int | None:
        """Responses to each problem; None where problems have different numbers of them."""
        counts = set(pc.value_counts(self.responses.table["problem_id"]).field("counts").to_pylist())
        return counts.pop() if len(counts) == 1 else None

    def estimates(self, kind: Kind) -> dict[int, Figure]:
        """pass@k or maj@k at each k that has a number."""
        return figures(self.row, kind)

    def interval(self, low: str, high: str) -> tuple[float, float] | None:
        ends = self.row[low], self.row[high]
        return None if None in ends else ends

    def run(self, asset: str) -> RunProvenance | None:
        """Of the run that made an asset; None where that was not recorded, or the asset is not there."""
        return RunProvenance.of(self.manifests[asset]) if asset in self.manifests else None


@dataclass(frozen=True)
class Gathered:
    """The partitions of a report, in the order asked for."""

    reader: Reader
    there: tuple[Reported, ...]
    missing: dict[str, str] = field(default_factory=dict)  # key -> in a sentence, what is not there and what to run

    @property
    def models(self) -> list[str]:
        """Each model once; its place is its colour in every figure."""
        return list(dict.fromkeys(one.model for one in self.there))

    @property
    def datasets(self) -> list[str]:
        return list(dict.fromkeys(one.dataset for one in self.there))


def named_partitions(study: OpenStudy, names: str | None) -> list[str]:
    """The keys of a comma-separated list, in its order; None: every partition of the study, or of the store."""
    if names is None:
        found = list(study.study.partitions) if study.study is not None else study.partitions
        if not found:
            raise PartitionError(f"there are no partitions in {study.store.root}")
        return found
    known = dict.fromkeys([*(study.study.partitions if study.study is not None else ()), *study.partitions])
    keys = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    for key in keys:
        if key not in known:
            split_partition_key(key)
            raise PartitionError(f"--partitions: there is no {key!r}{suggestion(key, known)}")
    if not keys:
        raise PartitionError("--partitions names none; write 'dataset|model,dataset|model'")
    return keys


def gather(study: OpenStudy, keys: Sequence[str]) -> Gathered:
    """What there is of each; raises `MissingInputError` where there is nothing to report of any."""
    reader, there, missing = Reader(study.store), [], {}
    for key in keys:
        try:
            there.append(_reported(study, reader, key))
        except MissingInputError as error:
            missing[key] = str(error)
    if not there:
        raise MissingInputError(f"none of the partitions has statistics to report. {next(iter(missing.values()))}")
    return Gathered(reader, tuple(there), missing)


def _reported(study: OpenStudy, reader: Reader, key: str) -> Reported:
    names, store = split_partition_key(key), study.store
    found = {asset: store.current(asset, names) for asset in _SHOWN}
    statistics, responses = store.require("statistics", names), reader.responses((names.dataset, names.model))
    manifests = {asset: made.manifest() for asset, made in found.items() if made is not None}
    rewards = store.require("rewards", names).manifest()
    distributions = manifests.get("token_distributions")
    return Reported(
        names.dataset,
        names.model,
        statistics.read().to_pylist()[0],
        store.generation("problems", (names.dataset,), manifests["samples"].inputs["problems"]).manifest().num_rows,
        responses,
        SamplesProvenance.of(manifests["samples"]),
        RewardsProvenance.of(rewards),
        None if distributions is None else ScoresProvenance.of(distributions),
        manifests,
        _notes(study, key, manifests),
    )


def _notes(study: OpenStudy, key: str, manifests: dict[str, Manifest]) -> tuple[str, ...]:
    """What is stale, and what was not made from the samples that are current. What is stale only because something
    before it is goes without saying.
    """
    found = study.judgements(key)
    judged = {asset: found[asset] for asset in _SAID if asset in found}
    unsure = [said.reason for said in judged.values() if not said.is_stale and said.reason is not None]
    if unsure:  # such as of a model that is no longer in the study
        return tuple(dict.fromkeys(unsure))
    reasons = {asset: said.reason or "" for asset, said in judged.items()}
    causes = {asset: reason for asset, reason in reasons.items() if not reason.startswith("made from former")}
    if reasons:
        also = {"samples": " and what is made from them"} if "samples" in causes and len(reasons) > 1 else {}
        said_of = causes or reasons
        return tuple(f"{asset.replace('_', ' ')}{also.get(asset, '')} are stale: {said_of[asset]}" for asset in said_of)
    samples = manifests["samples"].fingerprint
    return tuple(
        f"{asset} are of earlier samples"
        for asset in ("rewards", "statistics", "token_distributions")
        if asset in manifests and manifests[asset].inputs.get("samples", samples) != samples
    )
