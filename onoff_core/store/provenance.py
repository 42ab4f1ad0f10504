"""How a generation came to be, from the `settings` and `facts` of its manifest, which are read nowhere else.

A field that may be unknown is None, and its comment says when. A manifest that lacks a value that every one of its
kind has raises `StoreError`.
"""

from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar

from pydantic import ValidationError

from onoff_core.errors import StoreError
from onoff_core.store.manifest import Manifest
from onoff_core.study import SamplingSettings, TaskSettings, ThinkingTags

IDS_FROM_TEXT = "from text"
S = TypeVar("S", SamplingSettings, TaskSettings)


@dataclass(frozen=True)
class SamplesProvenance:
    """How a generation of samples came to be."""

    imported: bool  # brought in from elsewhere, so that no setting of the study can make it stale
    imported_from: str | None  # the file; None: sampled here
    references_differing: int | None  # gold answers that differ between file and data set; None: sampled here
    model_name: str
    backend_type: str
    model_revision: str | None  # the commit that was loaded; None: imported, or there is none
    torch_dtype: str | None  # None: imported
    device: str | None  # None: imported
    sampling: SamplingSettings | None  # None: imported, so how the responses were drawn is not known
    seed: int | None  # the seed that was used, even if the settings have none; None: imported
    seconds: float | None  # None: imported
    tokens_per_second: float | None  # None: imported, or nothing was left to draw
    template_type: str | None = None  # of the prompts that the study's task gives; None: not recorded
    prompts_differing: int | None = None  # of the file's and the study's; None: sampled here, or imported by 0.1.0
    first_prompt_differing: str | None = None  # where the first of them parts; None: there is none, or as above
    engine: str | None = None  # of servers, with its version; None: imported, or the model ran in processes of ours
    not_promised: tuple[str, ...] = ()  # what the servers could not show and the settings do not require
    ids_from_text: bool = False  # the server said text only, which was tokenized
    logprobs_temperature: float | None = None  # of log-probabilities that were imported; None: there are none
    token_ids_from: str | None = None  # in words, the text or the file or both; None: sampled here
    model: Mapping[str, Any] = field(default_factory=dict)  # the settings that name it
    samples_recorded: int | None = None  # responses that each problem has; None: as many as the settings ask for
    taken_over: "TakenOver | None" = None  # None: nothing was
    # Of the rows, how many were drawn, taken over whole, and gone on with; None: made before this was recorded.
    rows_drawn: int | None = None
    rows_taken_over: int | None = None
    rows_continued: int | None = None
    stopped: str | None = None  # why sampling.until stopped; None: a number of samples was asked for
    rounds: int | None = None  # that it took; None: as above
    thinking: ThinkingTags | None = None  # by which answer_start was found; None: task.thinking was not set
    thinking_is_auto: bool = False  # those are the tags that the model's own chat template names
    examples_without_thinking: tuple[int, ...] = ()  # numbers of the examples whose thinking its template left out

    @staticmethod
    def of(manifest: Manifest) -> "SamplesProvenance":
        facts, model = manifest.facts, _section(manifest, "model")
        imported = is_imported(manifest)
        sampling = None if imported else _validated(manifest, "sampling", SamplingSettings)
        return SamplesProvenance(
            imported=imported,
            imported_from=_needed(manifest, facts, "imported_from") if imported else None,
            references_differing=_needed(manifest, facts, "num_references_differing") if imported else None,
            model_name=_needed(manifest, model, "model_name"),
            backend_type=_needed(manifest, model, "backend_type"),
            model_revision=facts.get("model_revision"),
            torch_dtype=facts.get("torch_dtype"),
            device=facts.get("device"),
            sampling=sampling,
            seed=None if imported else _needed(manifest, facts, "seed"),
            seconds=facts.get("seconds"),
            tokens_per_second=facts.get("tokens_per_second"),
            template_type=manifest.settings.get("task", {}).get("template_type"),
            prompts_differing=facts.get("num_prompts_differing"),
            first_prompt_differing=facts.get("first_prompt_differing"),
            engine=facts.get("engine"),
            not_promised=tuple(facts.get("not_promised", ())),
            ids_from_text=facts.get("ids") == IDS_FROM_TEXT,
            logprobs_temperature=facts.get("logprobs_temperature"),
            token_ids_from=facts.get("token_ids_from"),
            model=model,
            samples_recorded=facts.get("num_samples"),
            taken_over=TakenOver.of(manifest),
            rows_drawn=facts.get("rows_drawn"),
            rows_taken_over=facts.get("rows_taken_over"),
            rows_continued=facts.get("rows_continued"),
            **_of_until(manifest),
            thinking=_thinking(facts.get("thinking")),
            thinking_is_auto=bool((facts.get("thinking") or {}).get("auto")),
            examples_without_thinking=tuple(facts.get("examples_without_thinking", ())),
        )

    @property
    def num_samples(self) -> int | None:
        """Responses that each problem has; None: imported, so that is not known."""
        if self.sampling is None or self.samples_recorded is not None:
            return self.samples_recorded
        return self.sampling.num_samples


def _of_until(manifest: Manifest) -> dict[str, Any]:
    found = manifest.facts.get("until")
    if not isinstance(found, dict):
        return {}
    return {"stopped": _needed(manifest, found, "stopped"), "rounds": len(_needed(manifest, found, "rounds"))}


def hashed_settings(manifest: Manifest) -> dict[str, Any]:
    """The settings of a manifest of samples that were drawn here, as their fingerprint is of them: what was left to the
    model stands in the manifest with the model's values.
    """
    settings = dict(manifest.settings)
    left = {
        name: SamplingSettings.model_fields[name].get_default()
        for name in manifest.facts.get("generation_defaults", ())
    }
    return {**settings, "sampling": {**_section(manifest, "sampling"), **left}}


def engine_facts(manifest: Manifest, not_of_it: Collection[str]) -> dict[str, Any]:
    """The facts of a manifest of samples that are of the engine: all but those with these names."""
    return {name: value for name, value in manifest.facts.items() if name not in not_of_it}


@dataclass(frozen=True)
class TakenOver:
    """Which rows of a generation come from a former one."""

    generation: str  # its fingerprint; it may have been removed since
    rows: int  # of samples those that were gone on with, too
    why: str  # what is otherwise since, in words

    @staticmethod
    def of(manifest: Manifest) -> "TakenOver | None":
        """None: nothing was taken over."""
        found = manifest.facts.get("taken_over")
        if found is None:
            return None
        if not isinstance(found, dict):
            raise StoreError(f"the manifest of {_name(manifest)}: taken_over holds no values by name")
        return TakenOver(*(_needed(manifest, found, name) for name in ("generation", "rows", "why")))


def _thinking(said: Mapping[str, Any] | None) -> ThinkingTags | None:
    return None if said is None else ThinkingTags(open=said["open"], close=said["close"])


@dataclass(frozen=True)
class RolloutsProvenance:
    """Of samples that were imported from a training run."""

    format: str
    token_ids_from: str  # in words
    num_logprobs_dropped: int  # responses whose log-probabilities belong to no known ids
    num_texts_differing: int  # responses whose text is not what their ids give
    first_text_differing: str | None  # None: there is none
    logprobs_temperature: float | None  # None: there are no log-probabilities
    logprobs_temperature_from: str | None  # the command or the file; None: it was not said, or as above

    @staticmethod
    def of(manifest: Manifest) -> "RolloutsProvenance | None":
        """None: these samples are no rollouts."""
        facts = manifest.facts
        if facts.get("rollout_format") is None:
            return None
        return RolloutsProvenance(
            format=str(facts["rollout_format"]),
            token_ids_from=_needed(manifest, facts, "token_ids_from"),
            num_logprobs_dropped=_needed(manifest, facts, "num_logprobs_dropped"),
            num_texts_differing=_needed(manifest, facts, "num_texts_differing"),
            first_text_differing=facts.get("first_text_differing"),
            logprobs_temperature=facts.get("logprobs_temperature"),
            logprobs_temperature_from=facts.get("logprobs_temperature_from"),
        )


@dataclass(frozen=True)
class OpinionsProvenance:
    """Of a generation of second opinions."""

    kind: str  # rules or model
    judge: str | None  # the model that was asked; None: rules alone, or nothing was left to ask

    @staticmethod
    def of(manifest: Manifest) -> "OpinionsProvenance":
        return OpinionsProvenance(_needed(manifest, manifest.settings, "kind"), manifest.facts.get("judge"))


@dataclass(frozen=True)
class BranchesProvenance:
    """Of a generation of branches."""

    how: str  # how positions were chosen

    @staticmethod
    def of(manifest: Manifest) -> "BranchesProvenance":
        return BranchesProvenance(str(_needed(manifest, _section(manifest, "positions"), "how")))


@dataclass(frozen=True)
class RewardsProvenance:
    """Of a generation of rewards."""

    format_type: str  # where answers were looked for
    reward_type: str  # when two were the same

    @staticmethod
    def of(manifest: Manifest) -> "RewardsProvenance":
        settings = manifest.settings
        return RewardsProvenance(
            format_type=_needed(manifest, settings, "format_type"),
            reward_type=_needed(manifest, settings, "reward_type"),
        )


@dataclass(frozen=True)
class ScoresProvenance:
    """How a generation of token distributions came to be."""

    vocab_size: int  # the number of logits
    temperature: float  # logits were divided by it
    top_k: int | None  # None: the whole vocabulary
    device: str | None  # None: not recorded
    seconds: float | None  # None: not recorded
    tokens_per_second: float | None  # None: nothing was left to score

    @staticmethod
    def of(manifest: Manifest) -> "ScoresProvenance":
        facts, settings = manifest.facts, manifest.settings
        return ScoresProvenance(
            vocab_size=int(_needed(manifest, facts, "vocab_size")),
            temperature=float(_needed(manifest, settings, "temperature")),
            top_k=_needed(manifest, settings, "top_k"),
            device=facts.get("device"),
            seconds=facts.get("seconds"),
            tokens_per_second=facts.get("tokens_per_second"),
        )


@dataclass(frozen=True)
class RunProvenance:
    """Of the run that completed a generation. Nothing here decides its content."""

    onoff_version: str
    onoff_commit: str | None  # ends in + where files differed from it; None: not from a checkout
    packages: Mapping[str, str | None]  # those whose version may show in the rows; None: not installed
    host: str
    threads: int | None  # of torch; None: torch was not loaded
    cuda: str | None  # None: torch was not loaded, or has none
    gpus: tuple[str, ...]  # their names
    attempts: int  # 1: it was made in one go
    started_at: float  # seconds since 1970, of the last attempt
    ended_at: float
    tokens: int | None  # sampled or scored by the last attempt; None: an asset of which there are none
    peak_memory_bytes: int  # of the process, from its beginning on
    peak_gpu_memory_bytes: int | None  # None: no GPU
    # What follows is None, or empty, in manifests of before it was recorded.
    batch_size: int | None = None  # responses drawn side by side, after halving where memory was short; of samples
    scored_at_once: int | None = None  # tokens; None: no shortage of memory made it fewer than is usual
    gpu_numbers: tuple[int, ...] = ()  # of the GPUs that were computed on, as in cuda:1
    cuda_visible_devices: str | None = None  # the variable, which decides what these numbers count; None: it is not set
    peak_child_memory_bytes: int | None = None  # of the largest process that it started; None: it started none

    @staticmethod
    def of(manifest: Manifest) -> "RunProvenance | None":
        """None: imported, or made before this was recorded."""
        if "run" not in manifest.facts:
            return None
        run = manifest.facts["run"]
        if not isinstance(run, dict):
            raise StoreError(f"the manifest of {_name(manifest)}: run holds no values by name")
        values = {
            field.name: _needed(manifest, run, field.name) if field.default is MISSING else run[field.name]
            for field in fields(RunProvenance)
            if field.default is MISSING or field.name in run
        }
        lists: dict[str, Any] = {name: tuple(values[name]) for name in ("gpus", "gpu_numbers") if name in values}
        return RunProvenance(**{**values, **lists})


@dataclass(frozen=True)
class CostsProvenance:
    """What it took to make a generation, as far as that was measured."""

    num_rows: int
    num_bytes: int
    work_seconds: float | None  # of the last attempt, without what `other_seconds` counts; None: not recorded
    other_seconds: float | None  # before and after, such as loading the model; None: not recorded
    tokens: int | None  # sampled or scored in these seconds; None: an asset of which there are none, or not recorded
    peak_memory_bytes: int | None  # of the process, or of the largest one that it started; None: not recorded
    peak_gpu_memory_bytes: int | None  # None: no GPU, or not recorded
    whole: bool  # made in one attempt, so that all that was not taken over was made in these seconds
    responses_taken_over: int  # that were there already
    place: str  # the machine and the device, in words
    top_k: int | None  # of token distributions, by the settings; None: of something else, or the whole vocabulary

    @staticmethod
    def of(manifest: Manifest) -> "CostsProvenance | None":
        """None: imported, so that nothing was made here."""
        if is_imported(manifest):
            return None
        run, facts = RunProvenance.of(manifest), manifest.facts
        wall = None if run is None else max(0.0, run.ended_at - run.started_at)
        seconds = facts.get("seconds", wall)
        peaks = [] if run is None else [run.peak_memory_bytes, run.peak_child_memory_bytes or 0]
        named = [None if run is None else run.host, facts.get("device")]
        return CostsProvenance(
            num_rows=manifest.num_rows,
            num_bytes=sum(fragment.num_bytes for fragment in manifest.fragments),
            work_seconds=seconds,
            other_seconds=None if wall is None or seconds is None else max(0.0, wall - seconds),
            tokens=None if run is None else run.tokens,
            peak_memory_bytes=max(peaks, default=None),
            peak_gpu_memory_bytes=None if run is None else run.peak_gpu_memory_bytes,
            whole=run is not None and run.attempts == 1,
            responses_taken_over=int(facts.get("rows_taken_over") or 0),
            place=", ".join(one for one in named if one) or "a machine that was not recorded",
            top_k=manifest.settings.get("top_k") if manifest.asset == "token_distributions" else None,
        )


def dagster_run_of(manifest: Manifest) -> str | None:
    """The id of the Dagster run that completed it; None: it was made outside Dagster."""
    run = manifest.facts.get("dagster_run_id")
    return None if run is None else str(run)


def confidence_windows(manifest: Manifest) -> dict[str, int]:
    """By which `window`, `tail` and `top_k` a generation of confidence was measured."""
    return {name: int(_needed(manifest, manifest.facts, name)) for name in ("window", "tail", "top_k")}


def compared_statistics(manifest: Manifest) -> dict[str, str]:
    """Of a generation of comparisons: of each model, the fingerprint of the `problem_statistics` that were compared;
    empty: it does not say.
    """
    found: dict[str, str] = manifest.facts.get("problem_statistics", {})
    return found


def is_imported(manifest: Manifest) -> bool:
    """Whether a generation was brought in by `onoff import`."""
    return bool(manifest.facts.get("imported"))


def settings_that_decide(manifest: Manifest) -> Mapping[str, Any]:
    """All settings that a generation's fingerprint hashes, as they were written down, for people to read."""
    return manifest.settings


def task_of(manifest: Manifest) -> TaskSettings | None:
    """By which settings the prompts of a generation of samples were written; None: not recorded."""
    return _validated(manifest, "task", TaskSettings) if "task" in manifest.settings else None


def _validated(manifest: Manifest, name: str, kind: type[S]) -> S:
    """A section of the settings."""
    try:
        return kind(**_section(manifest, name))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise StoreError(
            f"the manifest of {_name(manifest)}: settings.{name}.{'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from error


def _section(manifest: Manifest, name: str) -> Mapping[str, Any]:
    found = _needed(manifest, manifest.settings, name)
    if not isinstance(found, dict):
        raise StoreError(f"the manifest of {_name(manifest)}: {name} holds no values by name")
    return found


def _needed(manifest: Manifest, values: Mapping[str, Any], name: str) -> Any:
    if name not in values:
        raise StoreError(
            f"the manifest of {_name(manifest)} does not say {name}; materialize {manifest.asset} of "
            f"{'|'.join(manifest.partition)} again"
        )
    return values[name]


def _name(manifest: Manifest) -> str:
    return "/".join((manifest.asset, *manifest.partition, manifest.fingerprint))
