"""Keep fewer alternatives of token distributions that were scored with more."""

import numpy as np
import pyarrow as pa


def cut_top_k(table: pa.Table, top_k: int) -> pa.Table:
    """The rows of `token_distributions`, each with a top-k of at least `top_k`, as they are with this one.

    The kept alternatives are in the order in which they were found, by falling probability. All that is of the whole
    vocabulary stays what it is. What is cut off joins `tail_mass`. Kept log-probabilities are rounded to 10 mantissa
    bits, so the mass is off by at most 2^-11 times the sum of p |ln p| over what is cut off, which is less than the
    entropy. Among alternatives of exactly equal probability a scoring anew may keep others.
    """
    if not table.num_rows:
        return table
    table = table.combine_chunks()
    width = len(table["topk_logprobs"][0])
    if width <= top_k:
        return table
    logprobs = table["topk_logprobs"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    ids = table["topk_ids"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    tail = table["tail_mass"].to_numpy() + np.exp(logprobs[:, top_k:].astype(np.float64)).sum(1)
    offsets = pa.array(np.arange(len(ids) + 1, dtype=np.int32) * top_k)
    cut = {
        "tail_mass": pa.array(np.minimum(tail, 1.0).astype(np.float32)),
        "topk_ids": pa.ListArray.from_arrays(offsets, pa.array(ids[:, :top_k].reshape(-1))),
        "topk_logprobs": pa.ListArray.from_arrays(offsets, pa.array(logprobs[:, :top_k].reshape(-1))),
    }
    for name, column in cut.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), column.cast(table.schema.field(place).type))
    return table
