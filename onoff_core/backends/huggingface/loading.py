"""Find a model, load it, and keep the last one: one run loads its model once, for sampling and for scoring."""

import gc
import logging
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.hub import cached_file, extract_commit_hash

from onoff_core.backends.collection import without_collection
from onoff_core.backends.contract import ModelInfo
from onoff_core.backends.huggingface.neighbours import give_way
from onoff_core.backends.huggingface.places import cannot_load, check_kind, first_line, place_of
from onoff_core.backends.huggingface.tokenizer import SpeaksTokens
from onoff_core.backends.identity import adapter_folder
from onoff_core.errors import ModelError
from onoff_core.study import ModelSettings

logger = logging.getLogger(__name__)
transformers.utils.logging.disable_progress_bar()  # of reading weights, which is seconds; a download keeps its bar


@dataclass(frozen=True)
class Support:
    """Whether something can run a model."""

    reason_against: str | None  # None: it can


@dataclass(frozen=True)
class GenerateWay:
    """How transformers' `generate` gives a model's own logits."""

    padded: bool  # prompts of different length side by side, the shorter ones filled up at the left
    cached: bool  # over the cache that the model makes


@dataclass
class Learnt:
    """What a process found out about a model by trying. None: not tried yet."""

    max_rows: int | None = None  # so many responses side by side fit into memory; None: any number that was asked for
    shares_prefix: bool | None = None  # whether a prompt's cache can be used again, see `trying`
    parts_head: bool | None = None  # whether the output matrix can be run on its own, see `trying`
    scored_tokens: int | None = None  # so many tokens go through the layers at once; None: as many as is usual
    cpu_support: Support | None = None  # whether the decode loop of `cpu` can run it
    continuous_support: Support | None = None  # whether transformers' continuous batching can run it
    generates: GenerateWay | None = None  # how `generate` can run it, see `generate_trial`
    few_blocks: bool = False  # while that is being tried: continuous batching takes little memory
    packed_linears: list[tuple[torch.nn.Linear, Any]] | None = None  # with what stands in for each, see `cpu.packing`


@dataclass
class LoadedModel(SpeaksTokens):
    """A model ready to run, with all that its users need to know of it."""

    name: str  # the short name it has in the study, for messages
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    device: torch.device  # where input ids go
    revision: str | None  # the commit that was loaded, where the hub knows one
    stop_token_ids: frozenset[int]
    learnt: Learnt = field(default_factory=Learnt)

    @property
    def vocab_size(self) -> int:
        """The number of logits, which may be more than the tokenizer has tokens."""
        return int(self.model.config.get_text_config().vocab_size)

    @property
    def max_positions(self) -> int | None:
        """The longest sequence the model was made for, where its configuration says."""
        longest = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return int(longest) if longest else None

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(
            name=self.name,
            revision=self.revision,
            dtype=str(self.model.dtype).removeprefix("torch."),
            device=str(self.device),
            vocab_size=self.vocab_size,
            max_positions=self.max_positions,
            stop_token_ids=self.stop_token_ids,
            resumes=True,
        )


class _Keeper:
    """The one model a process keeps."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.key: tuple[Any, ...] | None = None
        self.loaded: LoadedModel | None = None


_keeper = _Keeper()


def load_model(name: str, settings: ModelSettings, base_dir: Path) -> LoadedModel:
    """The model of a study's entry `models.<name>`: the one kept from the last call, or loaded now.

    The model loaded before is let go first, so that two never share the memory. Raises `ModelError`.
    """
    key = (name, settings.model_dump_json(exclude={"task", "sampling"}), base_dir)
    with _keeper.lock:
        if _keeper.loaded is None or _keeper.key != key:
            if _keeper.loaded is not None:
                release_model()
            _keeper.loaded, _keeper.key = _load(name, settings, base_dir), key
        return _keeper.loaded


def load_beside(name: str, settings: ModelSettings, base_dir: Path) -> LoadedModel:
    """A second model beside the kept one, in memory as long as the caller keeps it. Raises `ModelError`."""
    return _load(name, settings, base_dir)


def release_model() -> None:
    """Let the kept model go and give its memory back."""
    _keeper.loaded, _keeper.key = None, None
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@without_collection()  # the model's own classes are imported here
def _load(name: str, settings: ModelSettings, base_dir: Path) -> LoadedModel:
    options, began = settings.backend_specific, time.monotonic()
    device = _device(name, options.device or _first_accelerator())
    place, revision = place_of(settings, base_dir)
    dtype: Any = "auto" if options.torch_dtype == "auto" else getattr(torch, options.torch_dtype)
    optional = {"attn_implementation": options.attn_implementation, "device_map": options.device_map}
    common = {"revision": revision, "trust_remote_code": options.trust_remote_code}
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, **common)
        check_kind(name, settings.model_name, AutoConfig.from_pretrained(place, **common))
        model, found = AutoModelForCausalLM.from_pretrained(
            place,
            dtype=dtype,
            output_loading_info=True,
            **common,
            **{key: value for key, value in optional.items() if value is not None},
        )
        if options.device_map is None:
            model.to(device)
    except ModelError:
        raise
    except Exception as error:  # a damaged file is met by many libraries, each with errors of its own
        raise cannot_load(name, settings.model_name, place, error) from error
    _check_whole(name, settings.model_name, found["missing_keys"])
    if settings.adapter is not None:
        model = _with_adapter(name, model, settings.adapter, base_dir)
    model.eval()
    if model.device.type == "cpu":
        give_way(model)
    logger.info("loaded %s (%s) on %s in %.1f s", name, settings.model_name, model.device, time.monotonic() - began)
    return LoadedModel(
        name=name,
        model=model,
        tokenizer=tokenizer,
        device=model.device,
        revision=_commit(place, revision),
        stop_token_ids=_stop_token_ids(model, tokenizer),
    )


def _with_adapter(name: str, model: PreTrainedModel, adapter: str, base_dir: Path) -> PreTrainedModel:
    """The model with a LoRA adapter's weights added to its own, so that it runs as any other."""
    folder = adapter_folder(adapter, base_dir)
    try:
        from peft import PeftModel
    except ImportError as error:
        raise ModelError(f"models.{name}: an adapter needs peft; install it with: pip install 'onoff[lora]'") from error
    try:
        merged: PreTrainedModel = PeftModel.from_pretrained(model, str(folder)).merge_and_unload(safe_merge=True)
    except Exception as error:  # of another model, damaged, or of a kind that cannot be added
        raise ModelError(
            f"models.{name}: the adapter {folder} cannot be loaded over its model: {first_line(error)}. Name the model "
            "that the adapter was trained on"
        ) from error
    return merged


def _commit(place: str, revision: str | None) -> str | None:
    """The commit of a hub model that was just loaded: its files lie in the hub's cache under it."""
    if Path(place).is_dir():
        return None
    commit: str | None = extract_commit_hash(cached_file(place, "config.json", revision=revision), None)
    return commit


def _first_accelerator() -> str:
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator.type if accelerator else "cpu"


def _device(name: str, wanted: str) -> torch.device:
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ModelError(
            f"models.{name}: backend_specific.device is {wanted!r}, which torch does not know; "
            "write cpu, cuda, cuda:1 or mps"
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            f"models.{name}: backend_specific.device is {device}, but this machine shows torch no GPU; "
            "use cpu, or install a torch built for your GPU"
        )
    return device


def _check_whole(name: str, model_name: str, missing: Collection[str]) -> None:
    """transformers fills weights that a checkpoint lacks with random numbers, and only warns."""
    if missing:
        first = ", ".join(sorted(missing)[:3])
        raise ModelError(
            f"models.{name}: {model_name} lacks {len(missing)} of its weights ({first}{', ...' * (len(missing) > 3)}); "
            "the download is incomplete, or the weights are another model's"
        )


def _stop_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Where a response ends: the generation config's end tokens (chat models have several) and the tokenizer's."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(i for i in (*ids, tokenizer.eos_token_id) if i is not None)
