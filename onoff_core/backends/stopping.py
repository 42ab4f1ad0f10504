"""A tokenizer for a model that runs elsewhere, where more is known of where its responses end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onoff_core.backends.contract import Tokenizer
from onoff_core.backends.vocabulary import Vocabulary
from onoff_core.tasks import Prompt


@dataclass(frozen=True)
class StoppingTokenizer:
    """A tokenizer, with the stop tokens of the model in the place of its own."""

    tokenizer: Tokenizer
    stop_token_ids: frozenset[int]

    @property
    def vocabulary(self) -> Vocabulary:
        return self.tokenizer.vocabulary

    def encode(self, prompt: Prompt) -> list[int]:
        return self.tokenizer.encode(prompt)

    def decode(self, token_ids: Sequence[int]) -> str:
        ids = list(token_ids)
        if ids and ids[-1] in self.stop_token_ids:
            ids = ids[:-1]
        return self.tokenizer.decode(ids)

    @property
    def template_text(self) -> str | None:
        return self.tokenizer.template_text

    def chat_template(self, messages: Sequence[dict[str, str]], arguments: Mapping[str, Any] | None = None, /) -> str:
        return self.tokenizer.chat_template(messages, arguments)
