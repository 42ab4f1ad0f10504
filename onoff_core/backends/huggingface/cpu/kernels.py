"""Attention of one decode step on a CPU, compiled: each row's keys and values are read once, and nothing else is.

In separate tensor operations a step's attention is a dozen passes over the scores and copies of them. Here the scores
of one row and one head stay in the processor's cache from the first product to the last. All is computed in float32;
sums are taken in the order that suits the processor, so results equal PyTorch's up to rounding. Rows' own keys and
values are most of what a step reads from memory, so those of a bfloat16 model are kept as such, and made float32, which
is exact, a few tokens at a time.

The functions take NumPy arrays that share the tensors' memory. numba compiles them on first use, for some seconds, and
keeps them on disk beside this file or in the user's cache folder. Two cores took 70 ms for what PyTorch's operations
took 130 ms, in a step of 120 rows of 128 tokens and 30 layers that lasts 400.
"""

import logging
import math
from typing import Any, NamedTuple

import numpy as np
from numba import config, njit, prange, set_num_threads, types
from numba.extending import overload

logger = logging.getLogger(__name__)


def threads(wanted: int) -> int:
    """How many runs of rows are computed side by side, at most as many as numba has threads; sets it."""
    count = min(wanted, config.NUMBA_NUM_THREADS)
    set_num_threads(count)
    return count


# Sums may be taken in any order; infinities and NaN keep their meaning: a broken model must not give numbers.
_ANY_ORDER = {"contract", "reassoc", "nsz"}
_zero, _one, _half = np.float32(0), np.float32(1), np.float32(0.5)
# exp(x) = 2^k exp(r) with |r| <= ln(2)/2, ln(2) in two parts so that r is exact (Cody and Waite, 1980); exp(r) by its
# series to r^7, whose remainder is below 6e-9.
_LEAST = np.float32(-87)  # below it exp is less than the smallest normal float32
_PER_LN2, _LN2_HIGH, _LN2_LOW = np.float32(1 / math.log(2)), np.float32(0.693359375), np.float32(-2.12194440e-4)
_C3, _C4, _C5, _C6, _C7 = (np.float32(1 / math.factorial(power)) for power in range(3, 8))


_CHUNK = 64  # of a row's own tokens at a time, so that what is made of bfloat16 stays in the fastest cache


class Kept(NamedTuple):
    """What is kept of the rows. Keys and values are float32, a row's own ones also uint16: the bits of bfloat16. The
    rest is int64.
    """

    keys: Any  # (rows or more, kv_heads, columns, head_dim), of which a row's first own_index + 1 are its own tokens
    values: Any  # (rows or more, kv_heads, columns, value_dim)
    own_index: Any  # (rows,) column of this step's token
    prefix_keys: Any  # (slots, kv_heads, columns, head_dim), of which the first prompt_length at its slot are a row's
    prefix_values: Any  # (slots, kv_heads, columns, value_dim)
    slot: Any  # (rows,) of each row's prompt
    prompt_length: Any  # (rows,)


def _as_float32(block: Any, bits: Any) -> Any:
    """A block (tokens, dim) as float32: itself, or made of bfloat16 in the memory of `bits` (_CHUNK, dim) uint32."""
    raise NotImplementedError  # compiled code has one of those below


@overload(_as_float32)
def _as_float32_compiled(block: Any, bits: Any) -> Any:
    if block.dtype == types.float32:

        def as_it_is(block: Any, bits: Any) -> Any:
            return block

        return as_it_is

    def widened(block: Any, bits: Any) -> Any:
        for at in range(block.shape[0]):
            for i in range(block.shape[1]):
                bits[at, i] = np.uint32(block[at, i]) << np.uint32(16)
        return bits[: block.shape[0]].view(np.float32)

    return widened


@njit(nogil=True, fastmath=_ANY_ORDER)
def _scores(query: Any, keys: Any, scores: Any) -> None:
    """scores (shared, tokens) = query (shared, head_dim) @ keys.T; four keys at a time keep the processor's multipliers
    busy.
    """
    whole = keys.shape[0] // 4 * 4
    for at in range(0, whole, 4):
        for j in range(query.shape[0]):
            s0 = s1 = s2 = s3 = _zero
            for i in range(query.shape[1]):
                q = query[j, i]
                s0 += q * keys[at, i]
                s1 += q * keys[at + 1, i]
                s2 += q * keys[at + 2, i]
                s3 += q * keys[at + 3, i]
            scores[j, at], scores[j, at + 1], scores[j, at + 2], scores[j, at + 3] = s0, s1, s2, s3
    for at in range(whole, keys.shape[0]):
        for j in range(query.shape[0]):
            s0 = _zero
            for i in range(query.shape[1]):
                s0 += query[j, i] * keys[at, i]
            scores[j, at] = s0


@njit(nogil=True, fastmath=_ANY_ORDER)
def _take(weights: Any, values: Any, output: Any) -> None:
    """output (shared, value_dim) += weights (shared, tokens) @ values"""
    whole = values.shape[0] // 4 * 4
    for at in range(0, whole, 4):
        for j in range(output.shape[0]):
            w0, w1, w2, w3 = weights[j, at], weights[j, at + 1], weights[j, at + 2], weights[j, at + 3]
            for i in range(output.shape[1]):
                output[j, i] += (
                    w0 * values[at, i] + w1 * values[at + 1, i] + w2 * values[at + 2, i] + w3 * values[at + 3, i]
                )
    for at in range(whole, values.shape[0]):
        for j in range(output.shape[0]):
            w0 = weights[j, at]
            for i in range(output.shape[1]):
                output[j, i] += w0 * values[at, i]


@njit(nogil=True, fastmath={"contract"})
def _exp(x: Any, exponent: Any, power: Any) -> None:
    """x = exp(x) for x <= 0; `power` is `exponent`'s memory read as float32."""
    for i in range(x.shape[0]):
        bounded = max(x[i], _LEAST)
        k = np.floor(bounded * _PER_LN2 + _half)
        r = bounded - k * _LN2_HIGH
        r = r - k * _LN2_LOW
        x[i] = _one + r * (_one + r * (_half + r * (_C3 + r * (_C4 + r * (_C5 + r * (_C6 + r * _C7))))))
        exponent[i] = (np.int32(k) + np.int32(127)) << np.int32(23)
    for i in range(x.shape[0]):
        x[i] *= power[i]


@njit(nogil=True, fastmath=_ANY_ORDER)
def _softmax(scores: Any, exponent: Any, power: Any) -> None:
    largest = scores[0]
    for i in range(scores.shape[0]):
        largest = max(largest, scores[i])
    for i in range(scores.shape[0]):
        scores[i] -= largest
    _exp(scores, exponent, power)
    total = _zero
    for i in range(scores.shape[0]):
        total += scores[i]
    for i in range(scores.shape[0]):
        scores[i] /= total


@njit(nogil=True)
def _attend_rows(query: Any, kept: Kept, scale: Any, window: int, output: Any, begin: int, end: int) -> None:
    keys, values, own_index, prefix_keys, prefix_values, slot, prompt_length = kept
    kv_heads, head_dim = keys.shape[1], query.shape[2]
    shared = query.shape[1] // kv_heads
    columns = 0
    for row in range(begin, end):
        columns = max(columns, prompt_length[row] + own_index[row] + 1)
    scores, exponent = np.empty((shared, columns), np.float32), np.empty(columns, np.int32)
    power = exponent.view(np.float32)
    scaled = np.empty((shared, head_dim), np.float32)
    key_bits, value_bits = np.empty((_CHUNK, head_dim), np.uint32), np.empty((_CHUNK, values.shape[3]), np.uint32)
    for row in range(begin, end):
        length, own_end, prompt = prompt_length[row], own_index[row] + 1, slot[row]
        first = max(0, length + own_end - window)  # of the tokens this one may see
        prompt_begin, own_begin = min(first, length), max(0, first - length)
        seen = length - prompt_begin
        over_own = scores[:, seen:]
        for head in range(kv_heads):
            for j in range(shared):
                for i in range(head_dim):
                    scaled[j, i] = query[row, head * shared + j, i] * scale
            _scores(scaled, prefix_keys[prompt, head, prompt_begin:length], scores)
            for at in range(own_begin, own_end, _CHUNK):
                chunk = keys[row, head, at : min(at + _CHUNK, own_end)]
                _scores(scaled, _as_float32(chunk, key_bits), over_own[:, at - own_begin :])
            for j in range(shared):
                _softmax(scores[j, : seen + own_end - own_begin], exponent, power)
            result = output[row, head * shared : (head + 1) * shared]
            result[:] = _zero
            _take(scores, prefix_values[prompt, head, prompt_begin:length], result)
            for at in range(own_begin, own_end, _CHUNK):
                chunk = values[row, head, at : min(at + _CHUNK, own_end)]
                _take(over_own[:, at - own_begin :], _as_float32(chunk, value_bits), result)


@njit(nogil=True)
def _parts(own_index: Any, prompt_length: Any, parts: int) -> Any:
    """First row of each of `parts` runs of rows with about as many tokens each, and the end."""
    rows, total, before, part = own_index.shape[0], 0, 0, 1
    for row in range(rows):
        total += own_index[row] + prompt_length[row]
    bounds = np.full(parts + 1, rows, np.int64)
    bounds[0] = 0
    for row in range(rows):
        while part < parts and before * parts >= part * total:
            bounds[part] = row
            part += 1
        before += own_index[row] + prompt_length[row]
    return bounds


@njit(parallel=True)
def attend(query: Any, kept: Kept, scale: Any, window: int, output: Any, parts: int) -> None:
    """What one token of each row takes from the values of all it may see, into `output` (rows, heads, value_dim).

    query: (rows, heads, head_dim), float32 as the output; `window` is how many tokens a token may see, itself included;
    `parts` runs of rows are computed side by side.
    """
    bounds = _parts(kept.own_index, kept.prompt_length, parts)
    for part in prange(parts):
        _attend_rows(query, kept, scale, window, output, bounds[part], bounds[part + 1])


@njit(nogil=True)
def put(into: Any, columns: Any, tokens: Any) -> None:
    """into[row, :, columns[row]] = tokens[row]; tokens (rows, kv_heads, dim), of the same type"""
    for row in range(columns.shape[0]):
        for head in range(tokens.shape[1]):
            for i in range(tokens.shape[2]):
                into[row, head, columns[row], i] = tokens[row, head, i]


for _function in (attend, put):
    try:
        _function.enable_caching()
    except RuntimeError as error:
        logger.info("compiled in each process anew, for some seconds: %s", error)
