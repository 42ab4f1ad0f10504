"""What a partition's results were made under, and how they stand now: the strip on every page, as values.

Settings come from manifests. Whether something is stale, and why, the study of this folder says; without one, whether
it was made from what is current. What is being made is counted in responses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow.compute as pc

from onoff_assets.browser.reading import Key, Reader
from onoff_core.errors import OnoffError
from onoff_core.progress import duration
from onoff_core.store import Generation, Judged, Manifest, Store
from onoff_core.store.life_signs import LifeSign, find_sign
from onoff_core.store.provenance import RunProvenance, SamplesProvenance, ScoresProvenance, dagster_run_of, is_imported
from onoff_core.study import SamplingSettings, Study
from onoff_core.tables import GRID_ASSETS, OPTIONAL, TABLES

# Assets whose parts have the responses of the samples' parts of the same number.
_BY_RESPONSES = ("samples", "rewards", "token_distributions", "second_opinions")
_COMMIT = 10  # characters shown of a revision, which is a hash
_CLOCKS_DIFFER_BY = 60.0  # seconds, of two machines, at most; more is a clock that is wrong, or was set back
_GOES_ON_WITHIN = 120.0  # seconds in which a run begins its next asset, with a process and a model to start
# What is said of an asset that a former version of the code made, and what making it anew takes.
_BY_FORMER_CODE = {
    "samples": "drawn by a former version; materialize samples, which draws them anew",
    "rewards": "graded by a former version; materialize rewards, no sampling",
    "statistics": "summarised by a former version; materialize statistics, no sampling",
    "token_distributions": "scored by a former version; materialize token_distributions, which reads the responses "
    "again, no sampling",
}


@dataclass(frozen=True)
class Fact:
    """A name and its value, as they are shown; `title` is the whole where the value is shortened."""

    name: str
    value: str
    title: str = ""


@dataclass(frozen=True)
class Underway:
    """An asset that was begun and is not complete."""

    asset: str
    done: int  # of the unit
    total: int | None  # None: not known yet
    is_written: bool | None  # whether a process is at it now; None: it cannot be told, as on S3
    unit: str = "responses"
    sign: LifeSign | None = None  # what the run last said of itself

    @property
    def count(self) -> str:
        """`8 of 16 responses`."""
        return f"{self.done:,}" + ("" if self.total is None else f" of {self.total:,}") + f" {self.unit}"

    @property
    def stands(self) -> str:
        """`running`, `interrupted`, or `begun` where it cannot be told which of the two."""
        return "running" if self.is_written else "begun" if self.is_written is None else "interrupted"

    def pace(self, now: float) -> str:
        """`57 tokens/s, 3 min 5 s left, last progress 4 s ago`; empty where the run said nothing of it."""
        if self.sign is None:
            return ""
        away = now - self.sign.at
        behind = away < -_CLOCKS_DIFFER_BY
        since = f"{duration(-away)} ahead of this clock" if behind else f"{duration(max(0.0, away))} ago"
        if not self.sign.is_going:
            return f"begun {since}, no progress yet"
        return ", ".join(part for part in (self.sign.pace, f"last progress {since}") if part)


@dataclass(frozen=True)
class Stale:
    """An asset that the settings would make anew."""

    asset: str
    reason: str


@dataclass(frozen=True)
class Facts:
    """What the strip shows of a partition."""

    key: Key
    short: tuple[Fact, ...]
    more: tuple[Fact, ...]
    completed_at: float | None  # seconds since 1970, of the samples; None: they are not complete
    run: str | None  # id of the Dagster run that completed the samples
    stale: tuple[Stale, ...]
    underway: tuple[Underway, ...]
    is_judged: bool  # whether the study has the partition, so that its settings say what is stale
    changed_at: float | None = None  # seconds since 1970, when the last of its assets was completed
    missing: tuple[str, ...] = ()  # beside complete samples: assets that all partitions have, and this one not yet

    @property
    def is_whole(self) -> bool:
        """Whether each of the assets that all partitions have is there."""
        return self.completed_at is not None and not self.missing

    def goes_on(self, now: float) -> bool:
        """Whether a run completed an asset just now and may be about to begin the next one."""
        return (not self.is_whole or bool(self.stale)) and goes_on(self.changed_at, now)


def goes_on(changed_at: float | None, now: float) -> bool:
    """Whether so little time went by since an asset was completed that its run may not have begun the next one."""
    return changed_at is not None and abs(now - changed_at) < _GOES_ON_WITHIN  # a clock may have been set back


def facts_of(reader: Reader, key: Key, study: Study | None) -> Facts:
    """Read the manifests of a partition's current generations, and look for what is being made."""
    partition = None if study is None else study.partitions.get("|".join(key))
    manifests = _manifests(reader.store, key)
    samples = manifests.get("samples")
    short: tuple[Fact, ...] = ()
    more: tuple[Fact, ...] = ()
    if samples is not None:
        provenance = SamplesProvenance.of(samples)
        short = _short(provenance)
        more = _more(provenance, samples, short)
        if "token_distributions" in manifests:
            scores = ScoresProvenance.of(manifests["token_distributions"])
            short, more = (*short, *_numbers_at(provenance, scores)), (*_stored(provenance, scores), *more)
    elif partition is not None:
        sampling = partition.sampling
        short = (
            Fact("model", str(partition.model_settings.model_name)),
            Fact("template", str(partition.task.template_type)),
            *_drawing(sampling, sampling.seed),
        )
    return Facts(
        key,
        short,
        more,
        None if samples is None else samples.completed_at,
        None if samples is None else dagster_run_of(samples),
        _stale(reader.store, key, manifests, study),
        underway(reader, key),
        partition is not None,
        max((manifest.completed_at for manifest in manifests.values()), default=None),
        () if samples is None else tuple(asset for asset in GRID_ASSETS if asset not in manifests),
    )


def _manifests(store: Store, key: Key) -> dict[str, Manifest]:
    found = {}
    for asset in (*GRID_ASSETS, *OPTIONAL):
        if TABLES[asset].partitioned_by == ("dataset", "model"):
            generation = store.current(asset, key)
            if generation is not None:
                found[asset] = generation.manifest()
    return found


def _short(made: SamplesProvenance) -> tuple[Fact, ...]:
    model = Fact("model", made.model_name)
    revision = () if made.model_revision is None else (
        Fact("revision", made.model_revision[:_COMMIT], made.model_revision),
    )  # fmt: skip
    template = () if made.template_type is None else (Fact("template", made.template_type),)
    if made.sampling is None:
        return (model, *revision, *template, Fact("imported from", str(made.imported_from)))
    return (model, *revision, *template, *_drawing(made.sampling, made.seed))


def _numbers_at(made: SamplesProvenance, scores: ScoresProvenance) -> tuple[Fact, ...]:
    """That entropies and probabilities are at another temperature than the responses, where they are."""
    if made.sampling is None:
        drawn = None
    else:
        drawn = made.sampling.temperature if made.sampling.do_sample else 0.0
    if drawn == scores.temperature:
        return ()
    why = f"{scores.temperature:g}: entropies, log-probabilities and alternatives are the model's at it, not truncated"
    return (Fact("token numbers at temperature", f"{scores.temperature:g}", why),)


def _stored(made: SamplesProvenance, scores: ScoresProvenance) -> tuple[Fact, ...]:
    top_k = Fact("distribution.top_k", "the whole vocabulary" if scores.top_k is None else str(scores.top_k))
    if _numbers_at(made, scores):  # which says the temperature
        return (top_k,)
    return Fact("distribution.temperature", f"{scores.temperature:g}"), top_k


def _drawing(sampling: SamplingSettings, seed: int | None) -> tuple[Fact, ...]:
    greedy = not sampling.do_sample or sampling.temperature == 0
    drawn = (Fact("temperature", "0 (greedy)"),) if greedy else (
        Fact("temperature", f"{sampling.temperature:g}"),
        Fact("top-p", f"{sampling.top_p:g}"),
        *(() if sampling.top_k is None else (Fact("top-k", str(sampling.top_k)),)),
    )  # fmt: skip
    seeds = () if seed is None else (Fact("seed", str(seed)),)
    return (*drawn, *seeds, Fact("max_length", str(sampling.max_length)))


def _more(made: SamplesProvenance, manifest: Manifest, short: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """What one asks for now and then: every other sampling setting, and what the responses were computed on and by."""
    found: dict[str, Any] = {} if made.sampling is None else made.sampling.model_dump(exclude_defaults=True)
    said = {(fact.name.replace("-", "_"), fact.value) for fact in short}  # in the names of the settings
    settings = [
        Fact(f"sampling.{name}", str(value))
        for name, value in found.items()
        if (name, f"{value:g}" if isinstance(value, float) else str(value)) not in said
    ]
    named = {
        "backend": made.backend_type,
        "engine": made.engine,
        "dtype": made.torch_dtype,
        "device": made.device,
        "tokens a second": None if made.tokens_per_second is None else f"{made.tokens_per_second:.0f}",
        "fingerprint": manifest.fingerprint,
        "problems": manifest.inputs.get("problems"),
    }
    run = RunProvenance.of(manifest)
    if run is not None:
        named |= {
            "onoff": run.onoff_version + (f" ({run.onoff_commit[:_COMMIT]})" if run.onoff_commit else ""),
            "host": run.host,
            "gpus": ", ".join(run.gpus) or None,
            "packages": ", ".join(f"{name} {version}" for name, version in run.packages.items() if version) or None,
        }
    return (*settings, *(Fact(name, str(value)) for name, value in named.items() if value is not None))


def _stale(store: Store, key: Key, manifests: Mapping[str, Manifest], study: Study | None) -> tuple[Stale, ...]:
    """What would be made anew, in the order in which it would be; only the first reason of a chain tells the cause."""
    if study is None or "|".join(key) not in study.partitions:
        return _behind(manifests)
    from onoff_core.grid.judging import StudyJudge

    found = {
        (asset, manifest.partition): Judged(
            manifest.fingerprint, manifest.inputs, manifest.settings, is_imported(manifest)
        )
        for asset, manifest in manifests.items()
    }
    try:
        judge = StudyJudge(replace(study, datasets={key[0]: study.datasets[key[0]]}), store)  # asks of this one alone
        judged = judge.judge(found)
    except OnoffError:  # such as a model's folder that is not on this machine: then nobody can tell
        return _behind(manifests)
    return tuple(
        Stale(asset, _in_words(asset, said.reason))
        for asset in manifests
        if (said := judged[asset, manifests[asset].partition]).is_stale
    )


def _in_words(asset: str, reason: str | None) -> str:
    from onoff_core.grid.judging import by_former_code

    if reason == by_former_code(asset):
        return _BY_FORMER_CODE.get(asset, f"made by a former version; materialize {asset}")
    return reason or "the settings changed"


def _behind(manifests: Mapping[str, Manifest]) -> tuple[Stale, ...]:
    """What was made from something else than what is current."""
    found = []
    for asset, manifest in manifests.items():
        followed = TABLES[asset].made_from[0]
        source = manifests.get(followed)
        if source is not None and manifest.inputs.get(followed) != source.fingerprint:
            found.append(Stale(asset, f"made from former {followed}"))
    return tuple(found)


def underway(reader: Reader, key: Key) -> tuple[Underway, ...]:
    """What was begun of a partition and is not complete, with the responses that are there of it."""
    assets = [name for name in (*GRID_ASSETS, *OPTIONAL) if TABLES[name].partitioned_by == ("dataset", "model")]
    found = (underway_asset(reader, key, asset) for asset in assets if asset != "statistics")
    return tuple(one for one in found if one is not None)


def underway_asset(reader: Reader, key: Key, asset: str) -> Underway | None:
    """How far an asset of a partition is that was begun and is not complete; None where there is no such thing."""
    begun = [one for one in reader.store.generations(asset, key) if one.is_begun and not one.is_complete]
    newest = max(begun, key=lambda one: len(one.fragment_indices()), default=None)
    if newest is None and not reader.store.files.locks:
        return None
    written = reader.store.is_written(asset, key)
    if newest is None and not written:
        return None
    if written is False and reader.store.current(asset, key) is not None:
        return None  # what an interrupted run of other settings left says nothing about what is shown
    sign = find_sign(reader.store.files, asset, key) if written else None
    if asset in _BY_RESPONSES:
        done, total = _counted(reader, key, asset, newest)
        if sign is not None:  # which counts within a part too
            total = sign.total if total is None else total
            done = max(done, min(total, sign.done))
        return Underway(asset, done, total, written, sign=sign)
    if sign is not None:
        return Underway(asset, sign.done, sign.total, written, sign.unit, sign)
    return Underway(asset, 0 if newest is None else len(newest.fragment_indices()), None, written, "parts")


def _counted(reader: Reader, key: Key, asset: str, generation: Generation | None) -> tuple[int, int | None]:
    """(responses there, responses in all); `generation` None: a run is at it and has not begun one."""
    indices = [] if generation is None else sorted(generation.fragment_indices())
    if asset != "samples":
        samples = reader.store.current("samples", key)
        if samples is None:
            return 0, None
        rows = {fragment.index: fragment.num_rows for fragment in samples.manifest().fragments}
        return sum(rows.get(index, 0) for index in indices), sum(rows.values())
    if generation is None:
        return 0, None
    parts = [_problems_and_rows(reader, generation, index) for index in indices]
    begun = generation.begun_with()
    if "responses" in begun:
        return sum(rows for _, rows in parts), begun["responses"]
    problems = reader.problems_of(generation)
    if not parts or problems is None:
        return sum(rows for _, rows in parts), None
    each = parts[0][1] // max(1, parts[0][0])  # a part has all the responses of its problems
    return sum(rows for _, rows in parts), each * problems.manifest().num_rows


def _problems_and_rows(reader: Reader, generation: Generation, index: int) -> tuple[int, int]:
    def read() -> tuple[int, int]:
        column = generation.read_fragment(index, ["problem_id"])["problem_id"]
        return len(pc.unique(column)), len(column)

    return reader.kept(("part", generation.folder, index), read, lambda _: 100)
