"""What an engine is. It plays two roles, and they may be two engines: one samples, one scores.

What crosses this border is plain and picklable (`requests`), so that it can cross a process, a machine or HTTP.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from onoff_core.backends.requests import KeptDistributions, PairScores, Request, Response, TokenScores
from onoff_core.backends.vocabulary import Vocabulary
from onoff_core.errors import ModelError
from onoff_core.study import DistributionSettings, ModelSettings, SamplingSettings
from onoff_core.tasks import Prompt

# together: both models in memory; in_turn: one after the other; either: what fits; second: the second alone
PairLoading = Literal["together", "in_turn", "either", "second"]
OnTokens = Callable[[int], None]  # called with the number of tokens drawn since the last call


@dataclass(frozen=True)
class ModelInfo:
    """What users of an engine have to know of its model. A value that the engine does not know is None."""

    name: str  # the short name it has in the study, for messages
    revision: str | None  # the commit that was loaded, where there is one
    dtype: str | None  # float32, bfloat16, ...
    device: str | None  # cpu, cuda:0, ...
    vocab_size: int  # the number of logits, which may be more than the tokenizer has tokens
    max_positions: int | None  # the longest sequence the model was made for; None: no limit is known
    stop_token_ids: frozenset[int]
    facts: Mapping[str, Any] = field(default_factory=dict)  # what else of the engine belongs to a result's facts
    most_rows: int | None = None  # so many responses fit side by side, found out; None: as many as were asked for
    scored_at_once: int | None = None  # so many tokens fit when scoring, found out; None: as many as is usual
    resumes: bool = False  # whether its sampler goes on with a response as if it had never ended (`Request.resumed`)

    def check_token_ids(self, token_ids: Sequence[int], what: str) -> None:
        """Raise a `ModelError` for a token that the model has no embedding for; `what` names the ids in it."""
        highest = max(token_ids, default=0)
        if highest >= self.vocab_size:
            raise ModelError(
                f"{what} has the token id {highest}, but models.{self.name} has embeddings for {self.vocab_size} "
                "tokens only; its tokenizer is another model's, or tokens were added without resizing the model"
            )


class Tokenizer(Protocol):
    """Between text and token ids."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def stop_token_ids(self) -> frozenset[int]: ...

    def encode(self, prompt: Prompt) -> list[int]:
        """The token ids of a prompt."""

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of a response's token ids, without a stop token at the end; special tokens as they are written."""

    @property
    def template_text(self) -> str | None:
        """The model's own chat template as it is written; None: it has none, or none that is a text."""

    def chat_template(self, messages: Sequence[dict[str, str]], arguments: Mapping[str, Any] | None = None, /) -> str:
        """The model's own way to write a conversation, up to where its turn begins; `arguments` are the template's.
        Raises `ModelError`, as for an argument that the template does not know.
        """


class Sampler(Protocol):
    """Draws responses."""

    @property
    def info(self) -> ModelInfo: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    def sample(
        self, requests: Sequence[Request], sampling: SamplingSettings, seed: int, on_tokens: OnTokens
    ) -> Iterator[Response]:
        """Draw all requests, yielding each response when it ends, in any order.

        Equal (seed, problem_id, sample_index) draw equal responses, whatever else is asked for beside them and in
        whatever order. Requests to one prompt should stand side by side.
        """

    def close(self) -> None:
        """Release what only this sampler holds."""


class Scorer(Protocol):
    """Computes the distribution behind every token of a response."""

    @property
    def info(self) -> ModelInfo: ...

    def score(
        self, prompt_ids: Sequence[int], responses: Sequence[Sequence[int]], settings: DistributionSettings
    ) -> Iterator[TokenScores]:
        """Score the responses to one prompt, in order.

        Several calls may be made before the first is asked for its scores: an engine of several parts begins with all
        of them. Raises `ModelError` where a response is empty, is longer than the model takes, or has logits that are
        no numbers; the responses before it have been yielded by then.
        """

    def close(self) -> None:
        """Release what only this scorer holds."""


Text = tuple[Sequence[int], Sequence[int]]  # the ids of a prompt, and of what follows it


class PairScorer(Protocol):
    """Compares the distributions of two models with one tokenizer behind every token of a text."""

    @property
    def info(self) -> ModelInfo:
        """Of the model whose texts they are."""

    @property
    def reference_info(self) -> ModelInfo: ...

    def prepare(self, texts: Iterable[Text]) -> None:
        """Be told of every text that `score` will be asked for, before the first. Where the two models do not fit into
        memory together, this is where the first one runs.
        """

    def score(self, prompt_ids: Sequence[int], texts: Sequence[Sequence[int]], top_k: int) -> Iterator[PairScores]:
        """Compare the models on the texts after one prompt, in order.

        Raises `ModelError` where a text is empty, is longer than a model takes, or has logits that are no numbers; the
        texts before it have been yielded by then.
        """

    def score_kept(
        self, prompt_ids: Sequence[int], texts: Sequence[Sequence[int]], kept: Sequence[KeptDistributions], top_k: int
    ) -> Iterator[PairScores]:
        """The same with bounds of the divergences, of what is kept of the first model, which does not run."""

    def close(self) -> None:
        """Release what only this scorer holds."""


class Engine(Protocol):
    """The functions that an engine's module has."""

    def open_sampler(self, name: str, settings: ModelSettings, base_dir: Path) -> Sampler: ...

    def open_scorer(self, name: str, settings: ModelSettings, base_dir: Path) -> Scorer: ...

    def open_pair_scorer(
        self, first: tuple[str, ModelSettings], second: tuple[str, ModelSettings], base_dir: Path, how: PairLoading
    ) -> PairScorer:
        """For the two models, each by its name in the study and its settings. Raises `ModelError`."""

    def open_tokenizer(self, name: str, settings: ModelSettings, base_dir: Path) -> Tokenizer: ...

    def num_gpus(self) -> int:
        """How many GPUs this process sees that the engine could use; 0 where it computes on none."""
