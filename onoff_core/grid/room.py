"""Check that the store has room (`store.max_bytes`) for the results of a run before it begins."""

from onoff_core.errors import StoreError
from onoff_core.store import Store
from onoff_core.store.usage import usage
from onoff_core.study import SamplingSettings

_TOKEN_BYTES = 12  # a sampled token: its id, its log-probability and its text, not compressed
_SCORED_BYTES = 32  # a token's distribution, without the alternatives
_CROSS_BYTES = 72  # a token by one reference
_ALTERNATIVE_BYTES = 8  # an alternative: its id and its log-probability


def samples_bytes(responses: int, sampling: SamplingSettings) -> int:
    """The most bytes that samples can take: every response has max_length tokens."""
    return responses * sampling.max_length * _TOKEN_BYTES


def distributions_bytes(tokens: int, top_k: int | None, vocab_size: int) -> int:
    """The most bytes that token distributions can take; `top_k` None: the whole vocabulary, without ids."""
    alternatives = vocab_size * _ALTERNATIVE_BYTES // 2 if top_k is None else top_k * _ALTERNATIVE_BYTES
    return tokens * (_SCORED_BYTES + alternatives)


def cross_bytes(tokens: int) -> int:
    """The most bytes that cross-scores by one reference can take."""
    return tokens * _CROSS_BYTES


def branches_bytes(continuations: int, tokens: int, max_length: int) -> int:
    """The most bytes that continuations of so many tokens in all can take. Each keeps the whole response's text."""
    text = _TOKEN_BYTES // 3
    return tokens * (_TOKEN_BYTES - text) + continuations * max_length * text


def check_room(store: Store, needed: int, what: str) -> None:
    """Raise `StoreError` if the store may not grow by the bytes needed."""
    if store.max_bytes is None:
        return
    used = sum(part.current + part.former for part in usage(store))
    if used + needed > store.max_bytes:
        raise StoreError(
            f"{what} may take {_said(needed)}; {store.root} has {_said(used)} of the {_said(store.max_bytes)} that "
            "store.max_bytes allows. Look at `onoff usage`, make room with `onoff prune`, or raise the limit"
        )


def _said(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
