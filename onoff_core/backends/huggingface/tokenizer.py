"""A model's tokenizer: text to token ids and back, with or without the model's weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)

from onoff_core.backends.huggingface.places import cannot_load, check_kind, first_line, place_of
from onoff_core.backends.huggingface.templates import arguments_of
from onoff_core.backends.huggingface.time_limit import TookTooLong, ends_within
from onoff_core.backends.vocabulary import Vocabulary, read_vocabulary
from onoff_core.errors import ModelError
from onoff_core.study import ModelSettings
from onoff_core.tasks import Prompt

_TEMPLATE_SECONDS = 5.0  # for what takes milliseconds


class SpeaksTokens:
    """What a tokenizer does, for whatever has these three and `vocab_size`."""

    name: str  # the short name it has in the study, for messages
    tokenizer: PreTrainedTokenizerBase
    stop_token_ids: frozenset[int]

    @property
    def vocab_size(self) -> int:
        """The number of logits, which may be more than the tokenizer has tokens."""
        raise NotImplementedError

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

    @property
    def template_text(self) -> str | None:
        """The text of the tokenizer's own chat template; None: it has none."""
        if not self.tokenizer.chat_template:
            return None
        try:
            return str(self.tokenizer.get_chat_template())
        except ValueError as error:  # it has several, and none is the usual one
            raise ModelError(f"models.{self.name}: its tokenizer's chat template: {first_line(error)}") from error

    def chat_template(self, messages: Sequence[dict[str, str]], arguments: Mapping[str, Any] | None = None, /) -> str:
        """The tokenizer's own chat template, up to where the model's turn begins."""
        if not self.tokenizer.chat_template:
            raise ModelError(
                f"models.{self.name}: its tokenizer has no chat template; "
                "set task.template_type to chatml, llama or simple"
            )
        if arguments:
            self._check_arguments(arguments)
        try:
            with ends_within(_TEMPLATE_SECONDS):
                text: str = self.tokenizer.apply_chat_template(
                    list(messages), tokenize=False, add_generation_prompt=True, **(arguments or {})
                )
        except TookTooLong as error:
            raise ModelError(
                f"models.{self.name}: its tokenizer's chat template has no end ({_TEMPLATE_SECONDS:.0f} s); "
                "set task.template_type to chatml, llama or simple"
            ) from error
        except Exception as error:  # a template may raise anything; some refuse a system prompt
            raise ModelError(
                f"models.{self.name}: its tokenizer's chat template refuses the conversation: {first_line(error)}; "
                f"change task.system_prompt or task.examples{' or task.chat_template' if arguments else ''}, or set "
                "task.template_type to chatml, llama or simple"
            ) from error
        return text

    def _check_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Raise for an argument that the template never looks at: it would change nothing, without a word."""
        try:
            known = arguments_of(self.template_text or "")
        except TemplateError as error:
            raise ModelError(f"models.{self.name}: its chat template is none: {first_line(error)}") from error
        unknown = [name for name in arguments if name not in known]
        if unknown:
            raise ModelError(
                f"models.{self.name}: task.chat_template: its tokenizer's chat template has no argument {unknown[0]}"
                + (f"; it has: {', '.join(known)}" if known else " and no other")
                + ". Take it out"
            )


@dataclass
class LoadedTokenizer(SpeaksTokens):
    """A tokenizer without its model, for turning text into token ids where nothing has to be computed."""

    name: str
    tokenizer: PreTrainedTokenizerBase
    stop_token_ids: frozenset[int]
    size: int  # of the vocabulary, by the model's configuration

    @property
    def vocab_size(self) -> int:
        return self.size


def load_tokenizer(name: str, settings: ModelSettings, base_dir: Path) -> LoadedTokenizer:
    """The tokenizer of `models.<name>`. Raises `ModelError`."""
    place, revision = place_of(settings, base_dir)
    trusted = settings.backend_specific.trust_remote_code
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, revision=revision, trust_remote_code=trusted)
        config = AutoConfig.from_pretrained(place, revision=revision, trust_remote_code=trusted)
        check_kind(name, settings.model_name, config)
        with torch.device("meta"):  # takes no memory; fails here where loading the weights would fail
            AutoModelForCausalLM.from_config(config, trust_remote_code=trusted)
        size = int(config.get_text_config().vocab_size)
        ends = _stop_token_ids(place, revision, config, tokenizer)
    except ModelError:
        raise
    except Exception as error:  # a damaged file is met by many libraries, each with errors of its own
        raise cannot_load(name, f"the tokenizer of {settings.model_name}", place, error) from error
    return LoadedTokenizer(name, tokenizer, ends, size)


def _stop_token_ids(
    place: str, revision: str | None, config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase
) -> frozenset[int]:
    """As of the loaded model: the generation config's end tokens (chat models have several) and the tokenizer's."""
    try:
        generation = GenerationConfig.from_pretrained(place, revision=revision)
    except OSError:  # the model has no such file
        generation = GenerationConfig.from_model_config(config)
    configured = generation.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(i for i in (*ids, tokenizer.eos_token_id) if i is not None)
