"""Logits of two models -> what `cross_scores` keeps of each position. Tensors in, tensors out.

With p of the first model, the one whose text it is, q of the second, the reference, and d = ln q - ln p:

    KL(p || q) = -sum p d        KL(q || p) = sum q d
    JS = (sum p (ln 2 - s) + sum q (ln 2 - s + d)) / 2    with s = ln(1 + e^d) = ln(p + q) - ln p

so equal logits give zeros in every digit: each term is one that vanishes, and no difference of two large sums.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from onoff_core.backends.huggingface import gpu
from onoff_core.backends.huggingface.token_statistics import block_statistics
from onoff_core.study import DistributionSettings

# On a CPU a few positions at a time stay in the processor's cache through all passes over them.
_ROWS_IN_CACHE = 4
_HUGE = 1e30  # in the place of an infinite logarithm, where it is multiplied with a probability of 0


@torch.inference_mode()
def pair_statistics(first: Tensor, second: Tensor, targets: Tensor, top_k: int) -> dict[str, Tensor]:
    """The columns of `PairScores` by name, exact over the whole vocabulary.

    first, second: (n, vocab) logits of any float type, of one vocabulary; targets: (n,) the text's tokens.
    """
    if all(gpu.can_run(logits.device, logits.dtype) for logits in (first, second)):
        return _in_two_passes(first, second, targets, top_k)
    rows = _ROWS_IN_CACHE if first.device.type == "cpu" else len(first)
    blocks = [
        _block(first[begin : begin + rows], second[begin : begin + rows], targets[begin : begin + rows], top_k)
        for begin in range(0, len(first), rows)
    ]
    return {name: torch.cat([block[name] for block in blocks]) for name in blocks[0]}


def _in_two_passes(first: Tensor, second: Tensor, targets: Tensor, top_k: int) -> dict[str, Tensor]:
    """The same on a GPU, where kernels of our own read each logit twice."""
    one, other = _Row.of(first, targets, top_k), _Row.of(second, targets, top_k)
    kl, reverse_kl, js = gpu.divergences(first, second, one.log_total, other.log_total)
    return {
        "logprob": one.logprob,
        "entropy": one.entropy,
        "reference_logprob": other.logprob,
        "reference_rank": other.rank,
        "reference_entropy": other.entropy,
        "log_ratio": other.logprob - one.logprob,
        "kl": kl,
        "reverse_kl": reverse_kl,
        "js": js,
        "topk_overlap": _overlap(one.top_ids, other.top_ids),
    }


@dataclass(frozen=True)
class _Row:
    """One model's part of some rows, by one pass."""

    log_total: Tensor  # (n,) ln sum e^logit
    logprob: Tensor
    entropy: Tensor
    rank: Tensor
    top_ids: Tensor  # (n, k)

    @staticmethod
    def of(logits: Tensor, targets: Tensor, top_k: int) -> "_Row":
        columns = block_statistics(logits, targets, DistributionSettings(top_k=top_k))
        names = ("logsumexp", "logprob", "entropy", "rank", "topk_ids")
        return _Row(*(columns[name] for name in names))


def _block(first: Tensor, second: Tensor, targets: Tensor, top_k: int) -> dict[str, Tensor]:
    log_p, p, entropy = _distribution(first)
    log_q, q, reference_entropy = _distribution(second)
    chosen_p, chosen_q = (one.gather(-1, targets[:, None])[:, 0] for one in (log_p, log_q))
    k = min(top_k, log_p.shape[-1])
    overlap = _overlap(torch.topk(log_p, k).indices, torch.topk(log_q, k).indices)
    rank = (log_q > chosen_q[:, None]).sum(-1) + 1
    kl, reverse_kl, js = _divergences(log_p, p, log_q, q)
    return {
        "logprob": chosen_p,
        "entropy": entropy,
        "reference_logprob": chosen_q,
        "reference_rank": rank.int(),
        "reference_entropy": reference_entropy,
        "log_ratio": chosen_q - chosen_p,
        "kl": kl,
        "reverse_kl": reverse_kl,
        "js": js,
        "topk_overlap": overlap,
    }


def _distribution(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """ln p and p (n, vocab), and the entropy (n,), in float32. See `token_statistics` for why the shift suffices."""
    scaled = logits.float()
    z = scaled - scaled.amax(-1, keepdim=True)
    p = z.exp()
    total = p.sum(-1, keepdim=True)
    p.div_(total)
    log_p = z.sub_(total.log())
    entropy = -_dot(p, log_p)
    if not torch.isfinite(entropy).all():  # tokens without probability; what is no number stays none
        entropy = -_dot(p, log_p.clamp(min=-_HUGE))
    return log_p, p, entropy.clamp_(min=0)


def _divergences(log_p: Tensor, p: Tensor, log_q: Tensor, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    d = log_q - log_p
    forward, backward = 0 - _dot(p, d), _dot(q, d)  # not minus: a zero has no sign
    s = softplus(d)
    log_2 = softplus(d.new_zeros(()))  # by the same function, so that the difference is 0 where d is
    js = (_dot(p, log_2 - s) + _dot(q, (log_2 - s).add_(d))) / 2
    if not torch.isfinite(forward + backward + js).all():  # some token is impossible to one of them
        return _with_impossible_tokens(p, q, d)
    return forward.clamp_(min=0), backward.clamp_(min=0), js.clamp_(min=0)


def _with_impossible_tokens(p: Tensor, q: Tensor, d: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where a probability is 0 its term is 0 whatever its logarithm; where only the other is 0, KL is infinite."""
    forward = torch.where(p > 0, -p * d, 0).sum(-1)
    backward = torch.where(q > 0, q * d, 0).sum(-1)
    m = (p + q) / 2
    js = (torch.where(p > 0, p * (p / m).log(), 0) + torch.where(q > 0, q * (q / m).log(), 0)).sum(-1) / 2
    return forward.clamp_(min=0), backward.clamp_(min=0), js.clamp_(min=0)


def _dot(weights: Tensor, values: Tensor) -> Tensor:
    """sum w v of each row."""
    if weights.device.type == "cpu":
        return torch.linalg.vecdot(weights, values)
    return (weights * values).sum(-1)


def _overlap(first: Tensor, second: Tensor) -> Tensor:
    """The share of ids (n, k) that are in both."""
    both = (first[:, :, None] == second[:, None, :]).any(-1)
    return both.float().mean(-1)


@torch.inference_mode()
def bounded_statistics(
    kept_ids: Tensor, kept_logprobs: Tensor, tail: Tensor, entropy: Tensor, logits: Tensor, targets: Tensor, top_k: int
) -> dict[str, Tensor]:
    """The columns that hang on the second model, with bounds of the divergences.

    kept_ids, kept_logprobs: (n, k), the first model's most probable tokens by falling probability; tail: (n,) the
    probability of all others; entropy: (n,) of its whole distribution; logits: (n, vocab) of the second model.

    KL(p || q) = -H(p) - sum p ln q, of which only the tail's cross-entropy is not known. No token of the tail is more
    probable than the last one kept, c: so it is least where the tail's mass t lies, c a token, on those of the tail
    that q thinks likeliest, and most where it lies on those that q thinks unlikeliest. The other two divergences are
    at least what they are with the whole tail as one token (the log-sum inequality). KL(q || p) has no upper bound, for
    p may be next to 0 anywhere in the tail; of JS the tail adds at most (t + q's tail) (ln 2) / 2.
    """
    log_q, q, reference_entropy = _distribution(logits)
    chosen = log_q.gather(-1, targets[:, None])[:, 0]
    p = kept_logprobs.float().exp()
    kept_log_q, kept_q = (one.gather(-1, kept_ids) for one in (log_q, q))
    cross = -(p * kept_log_q).sum(-1)
    least, most = _tail_cross_entropy(log_q, kept_ids, p[:, -1], tail)
    tail_q = (1 - kept_q.double().sum(-1)).clamp(min=0).float()
    d = kept_log_q - kept_logprobs.float()
    reverse = (kept_q * d).sum(-1) + _one_token(tail_q, tail)
    m, tail_m = (p + kept_q) / 2, (tail + tail_q) / 2
    js = (p * (p / m).log() + kept_q * (kept_q / m).log().nan_to_num(0.0)).sum(-1) / 2
    js_lower = js + (_one_token(tail, tail_m) + _one_token(tail_q, tail_m)) / 2
    k = min(top_k, kept_ids.shape[-1])
    overlap = _overlap(kept_ids[:, :k], torch.topk(log_q, k).indices)
    return {
        "reference_logprob": chosen,
        "reference_rank": ((log_q > chosen[:, None]).sum(-1) + 1).int(),
        "reference_entropy": reference_entropy,
        "kl_lower": (cross + least - entropy).clamp(min=0),
        "kl_upper": (cross + most - entropy).clamp(min=0),
        "reverse_kl_lower": reverse.clamp(min=0),
        "js_lower": js_lower.clamp(min=0),
        "js_upper": (js + tail_m * log_two(js)).clamp(min=0, max=float(torch.tensor(2.0).log())),
        "topk_overlap": overlap,
    }


def log_two(like: Tensor) -> Tensor:
    return like.new_tensor(2.0).log()


def _one_token(mass: Tensor, other: Tensor) -> Tensor:
    """mass ln(mass / other), 0 where there is no mass."""
    return torch.where(mass > 0, mass * (mass.clamp(min=1e-30) / other.clamp(min=1e-30)).log(), 0)


def _tail_cross_entropy(log_q: Tensor, kept_ids: Tensor, most_each: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the most that sum -p ln q over the tail can be, (n,) each."""
    ordered = log_q.scatter(-1, kept_ids, float("inf")).sort(-1, descending=True).values[:, kept_ids.shape[-1] :]
    if ordered.shape[-1] == 0:
        return torch.zeros_like(tail), torch.zeros_like(tail)
    each = most_each.clamp(min=1e-30)[:, None]
    places = torch.arange(ordered.shape[-1], device=log_q.device)[None, :]
    masses = torch.minimum(each, (tail[:, None] - places * each).clamp(min=0))  # as much a token as may be
    least = -(masses * ordered).sum(-1)
    most = -(masses * ordered.flip(-1)).sum(-1)
    return least, most
