"""The token ids of a rollout: the file's own; else those whose bytes the file says; else of its text, tokenized."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from onoff_core.backends.contract import Tokenizer
from onoff_core.errors import ExchangeError
from onoff_core.exchange.rollouts.rollout import Rollout
from onoff_core.tasks import Prompt

FILE, PIECES, TEXT = "the file", "the bytes of the file's tokens", "tokenizing the text"


@dataclass
class Tokens:
    """Gives rollouts their token ids, and counts what does not agree."""

    tokenizer: Tokenizer
    model: str  # its short name, for messages
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((FILE, PIECES, TEXT), 0))
    num_texts_differing: int = 0  # texts of the file that its ids do not give
    first_text_differing: str | None = None
    num_compared: int = 0
    num_logprobs_dropped: int = 0  # responses whose log-probabilities belong to no known ids

    def __post_init__(self) -> None:
        self._ids_of: dict[bytes, list[int]] = defaultdict(list)
        vocabulary = self.tokenizer.vocabulary
        for token_id, (piece, special) in enumerate(zip(vocabulary.pieces, vocabulary.special, strict=True)):
            if piece:
                self._ids_of[piece].append(token_id)
                if special:  # a common token of the same bytes is meant
                    self._ids_of[piece].sort(key=lambda one: vocabulary.special[one])
        self._special = {
            piece.decode("utf-8", "replace")
            for piece, special in zip(vocabulary.pieces, vocabulary.special, strict=True)
            if special and piece
        }

    def completed(self, rollout: Rollout) -> Rollout:
        """The rollout with token ids and the text that they give."""
        ids, source = rollout.token_ids, FILE
        if ids is None and rollout.token_pieces is not None:
            ids, source = self._of_pieces(rollout.token_pieces), PIECES
        if ids is None:
            ids, source = self._of_text(rollout.response or ""), TEXT
        self._check_vocabulary(ids, rollout.place)
        self._check_vocabulary(rollout.prompt_token_ids or (), f"{rollout.place}: its prompt")
        self.counts[source] += 1
        text = self.tokenizer.decode(ids)
        if source is TEXT:
            self.num_logprobs_dropped += (rollout.rollout_logprobs or rollout.trainer_logprobs) is not None
            # What the tokenizer cannot say again stays as the file has it, as with texts that have no ids at all.
            return replace(
                rollout, token_ids=ids, response=rollout.response or text, rollout_logprobs=None, trainer_logprobs=None
            )
        if rollout.response is not None:
            self._compare(rollout.response, text, rollout.place)
        return replace(rollout, token_ids=ids, response=text)

    def _of_pieces(self, pieces: Sequence[bytes]) -> tuple[int, ...] | None:
        """The ids with these bytes; None where there is none, or more than one of the same kind."""
        special = self.tokenizer.vocabulary.special
        found = []
        for piece in pieces:
            ids = self._ids_of.get(piece, [])
            if not ids or (len(ids) > 1 and special[ids[0]] == special[ids[1]]):
                return None
            found.append(ids[0])
        return tuple(found)

    def _of_text(self, text: str) -> tuple[int, ...]:
        ids = self.tokenizer.encode(Prompt(text, add_special_tokens=False))
        return tuple(ids or sorted(self.tokenizer.stop_token_ids)[:1])

    def _check_vocabulary(self, ids: Sequence[int], what: str) -> None:
        highest, size = max(ids, default=0), len(self.tokenizer.vocabulary)
        if highest >= size:
            raise ExchangeError(
                f"{what}: has the token id {highest}, but models.{self.model} knows {size} ids; the rollouts are of a "
                "model with another vocabulary. Name the model that drew them"
            )

    def _compare(self, said: str, text: str, place: str) -> None:
        """Programs leave special tokens out of their texts, or white space at the ends."""
        self.num_compared += 1
        if self._bare(said) != self._bare(text):
            self.num_texts_differing += 1
            if self.first_text_differing is None:
                self.first_text_differing = f"{place}: the file says {said[:60]!r}, its ids {text[:60]!r}"

    def _bare(self, text: str) -> str:
        for special in self._special:
            text = text.replace(special, "")
        return "".join(text.split()).replace("\ufffd", "")

    def check_agreement(self) -> None:
        """Raise an `ExchangeError` where most texts are not what the ids give: they are another tokenizer's."""
        if 2 * self.num_texts_differing > self.num_compared:
            raise ExchangeError(
                f"{self.num_texts_differing} of {self.num_compared} texts are not what the token ids give by the "
                f"tokenizer of models.{self.model}, so they are another tokenizer's; the first is "
                f"{self.first_text_differing}. Name the model that drew them"
            )

    @property
    def come_from(self) -> str:
        return " and ".join(name for name, count in self.counts.items() if count)
