"""When two models that write one response in turns change: rules over plain numbers, for any engine."""

from collections.abc import Sequence
from dataclasses import dataclass

from onoff_core.backends.requests import Request
from onoff_core.backends.vocabulary import Vocabulary
from onoff_core.errors import ModelError
from onoff_core.study import BackCondition, Condition, SwitchSettings

FIRST, SECOND = 1, 2  # as the column `drawn_by` says it


@dataclass(frozen=True)
class Seen:
    """What is known before a token is drawn. None: the rules do not ask for it, or there is no token yet."""

    kl: float | None  # nats, KL(first || second) of the next token
    entropy: float | None  # nats, of the first's next token
    last_token: int | None  # the one that was just written
    written: int  # tokens that the second has written since it began


@dataclass(frozen=True)
class Rules:
    """The conditions of a `switch`, with the ids of the tokens that they name."""

    when: Condition
    back: BackCondition | None
    when_ids: frozenset[int]
    back_ids: frozenset[int]

    @staticmethod
    def of(switch: SwitchSettings, vocabulary: Vocabulary, name: str) -> "Rules":
        """Raises `ModelError` for a text that is no token of this vocabulary."""
        back = switch.back
        return Rules(
            switch.when,
            back,
            _ids(switch.when.token, vocabulary, f"models.{name}.switch.when.token"),
            _ids(None if back is None else back.token, vocabulary, f"models.{name}.switch.back.token"),
        )

    @property
    def asks_kl(self) -> bool:
        return self.when.kl is not None or (self.back is not None and self.back.kl is not None)

    @property
    def asks_entropy(self) -> bool:
        return self.when.entropy is not None or (self.back is not None and self.back.entropy is not None)

    def writer(self, writing: int, seen: Seen) -> int:
        """Who draws the next token, where `writing` drew the one before. A first who gets the word back gives it away
        again at once where `when` holds.
        """
        if writing == SECOND and not self.goes_back(seen):
            return SECOND
        return SECOND if _above(self.when, self.when_ids, seen) else FIRST

    def goes_back(self, seen: Seen) -> bool:
        """Whether the second's turn is over."""
        if self.back is None:
            return True  # then `when` alone decides
        if self.back.tokens is not None:
            return seen.written >= self.back.tokens
        if self.back.token is not None:
            return seen.last_token in self.back_ids
        return not _above(self.back, self.back_ids, seen)


def _above(condition: Condition, ids: frozenset[int], seen: Seen) -> bool:
    """Whether a condition's number is exceeded, or one of its tokens was just written."""
    if condition.kl is not None:
        assert seen.kl is not None
        return seen.kl > condition.kl
    if condition.entropy is not None:
        assert seen.entropy is not None
        return seen.entropy > condition.entropy
    return seen.last_token in ids


def _ids(texts: tuple[str, ...] | None, vocabulary: Vocabulary, where: str) -> frozenset[int]:
    found: set[int] = set()
    for text in texts or ():
        wanted = text.encode()
        ids = [number for number, piece in enumerate(vocabulary.pieces) if piece == wanted]
        if not ids:
            raise ModelError(f"{where}: {text!r} is no single token of the model; name one (a space before it counts)")
        found.update(ids)
    return frozenset(found)


def check_beginnings(requests: Sequence[Request], name: str) -> None:
    """Raise a `ModelError` for a response that is gone on with: who writes in its middle depends on all before."""
    begun = next((request for request in requests if request.begun), None)
    if begun is not None:
        raise ModelError(
            f"models.{name}: problem {begun.problem_id}: a response of two models in turns cannot be gone on with from "
            "its middle, so there are no branches of it; branch the responses of one of the two"
        )


class Turns:
    """Who writes one response: its state from token to token."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.writing = FIRST
        self._written = 0

    def next(self, kl: float | None, entropy: float | None, token_ids: list[int]) -> int:
        """Who draws the token after these."""
        seen = Seen(kl, entropy, token_ids[-1] if token_ids else None, self._written)
        if self.writing == SECOND and self._rules.goes_back(seen):
            self._written = 0  # this turn is over; another may begin with this token
        self.writing = self._rules.writer(self.writing, seen)
        self._written = self._written + 1 if self.writing == SECOND else 0
        return self.writing
