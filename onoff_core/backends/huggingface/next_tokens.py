"""The next token of drafts side by side: drawn by each one's own number, or forced."""

from collections.abc import Sequence

import torch
from torch import Tensor

from onoff_core.backends.drafts import Draft
from onoff_core.backends.huggingface.drawing import draw
from onoff_core.study import SamplingSettings


def next_tokens(drafts: Sequence[Draft], logits: Tensor, sampling: SamplingSettings) -> tuple[Tensor, Tensor]:
    """One token a draft, logits (rows, vocab) float32. Returns (token ids (rows,) int64, log-probabilities (rows,)
    float32 in nats under the raw model). A forced token has the log-probability that the model gives it.
    """
    uniform = torch.tensor([draft.uniform() for draft in drafts], dtype=torch.float64).to(logits.device)
    tokens, logprobs = draw(logits, uniform, sampling)
    forced = {row: token for row, draft in enumerate(drafts) if (token := draft.forced_token) is not None}
    if forced:
        rows = torch.tensor(list(forced), device=logits.device)
        ids = torch.tensor(list(forced.values()), device=logits.device)
        of_rows = logits[rows]
        own = of_rows.gather(-1, ids[:, None])[:, 0] - torch.logsumexp(of_rows, -1)
        tokens, logprobs = tokens.index_copy(0, rows, ids), logprobs.index_copy(0, rows, own)
    return tokens, logprobs
