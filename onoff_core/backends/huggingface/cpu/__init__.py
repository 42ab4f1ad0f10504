"""Our own decode loop: rows that end make room at once, prompts are computed once, attention and products are compiled.

One door: `supports` says whether it can run a model, `decode` runs it, `decode_in_turns` runs two. Elsewhere than on a
CPU the loop works too, in plain tensor operations.
"""

from collections.abc import Iterator, Sequence

from onoff_core.backends.contract import OnTokens
from onoff_core.backends.huggingface.cpu.loop import SlotLoop, supports
from onoff_core.backends.huggingface.cpu.switching import SwitchLoop
from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.backends.requests import Request, Response
from onoff_core.backends.switching import Rules
from onoff_core.study import SamplingSettings

__all__ = ["decode", "decode_in_turns", "supports"]


def decode(
    loaded: LoadedModel,
    requests: Sequence[Request],
    sampling: SamplingSettings,
    seed: int,
    max_rows: int,
    on_tokens: OnTokens,
    shares_prefix: bool = True,
) -> Iterator[Response]:
    """Draw the requests, at most `max_rows` side by side, yielding each response when it ends."""
    return SlotLoop(loaded, requests, sampling, seed, max_rows, on_tokens, shares_prefix).run()


def decode_in_turns(
    pair: tuple[LoadedModel, LoadedModel],
    rules: Rules,
    requests: Sequence[Request],
    sampling: SamplingSettings,
    seed: int,
    max_rows: int,
    on_tokens: OnTokens,
) -> Iterator[Response]:
    """The same by two models, of which the rules say at each token which one draws it."""
    return SwitchLoop(pair, rules, requests, sampling, seed, max_rows, on_tokens).run()
