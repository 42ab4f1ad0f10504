"""The columns of the tables of cross-scores: what a second model, the reference, says of a model's texts."""

import pyarrow as pa

from onoff_core.columns import MISSING, PROBLEM, column

_TEXT = column("text", pa.string(), "response: sampled; solution: the data set's reference solution")
_SAMPLE = column("sample_index", pa.int32(), "of the response; null: a solution", nullable=True)
CROSS_SCORES = pa.schema(
    [
        PROBLEM,
        _SAMPLE,
        _TEXT,
        column("position", pa.int32(), "0 is the first token after the prompt"),
        column("token_id", pa.int32(), "the token of the text"),
        column("logprob", pa.float32(), "nats, of that token, by the model itself, scored anew at T = 1"),
        column("entropy", pa.float32(), "nats, of the model itself, over the whole vocabulary"),
        column("reference_logprob", pa.float32(), "nats, of that token, by the reference at T = 1"),
        column("reference_rank", pa.int32(), "of that token, by the reference; 1 is the most probable"),
        column("reference_entropy", pa.float32(), "nats, of the reference, over the whole vocabulary"),
        column("log_ratio", pa.float32(), "nats, reference_logprob - logprob: ln of reference over model"),
        column("divergence", pa.string(), "exact: over the whole vocabulary; bounds: from the top-k and the tail mass"),
        column("kl", pa.float32(), "nats, KL(model || reference); null: bounds", nullable=True),
        column("reverse_kl", pa.float32(), "nats, KL(reference || model); null: bounds", nullable=True),
        column("js", pa.float32(), "nats, Jensen-Shannon, at most ln 2; null: bounds", nullable=True),
        column("kl_lower", pa.float32(), "nats; null: exact", nullable=True),
        column("kl_upper", pa.float32(), "nats; null: exact", nullable=True),
        column("reverse_kl_lower", pa.float32(), "nats; null: exact; the other end is infinite", nullable=True),
        column("js_lower", pa.float32(), "nats; null: exact", nullable=True),
        column("js_upper", pa.float32(), "nats; null: exact", nullable=True),
        column(
            "topk_overlap", pa.float32(), "share of the model's cross.top_k likeliest tokens that are the reference's"
        ),
        column(
            "forced",
            pa.bool_(),
            "whether the token was put in, not drawn: no statistic counts it; null: no token of the text was",
            nullable=True,
        ),
    ]
)
CROSS_RESPONSES = pa.schema(
    [
        PROBLEM,
        _SAMPLE,
        _TEXT,
        column("level", pa.string(), "token: both scored the same token ids; text: each tokenized the same text"),
        column("divergence", pa.string(), "exact or bounds, as in cross_scores; null: of a text", nullable=True),
        column("num_tokens", pa.int32(), "of the text without its prompt, by the model"),
        column("reference_num_tokens", pa.int32(), "of the same by the reference; at level token the same"),
        column("num_bytes", pa.int32(), "of the text without its prompt, UTF-8"),
        column("sum_logprob", pa.float64(), "nats, by the model"),
        column("sum_reference_logprob", pa.float64(), "nats, by the reference"),
        column("logprob_per_byte", pa.float64(), "nats, by the model; null: no bytes", nullable=True),
        column("reference_logprob_per_byte", pa.float64(), "nats, by the reference; null: no bytes", nullable=True),
        column("perplexity", pa.float64(), "exp of minus the mean log-probability a token, by the model"),
        column("reference_perplexity", pa.float64(), "the same by the reference, of its own tokens"),
        column("sum_log_ratio", pa.float64(), "nats, of the whole text: reference over model"),
        column("mean_log_ratio", pa.float64(), "nats a token; null: of a text", nullable=True),
        column("mean_entropy", pa.float64(), "nats a token, of the model; null: of a text", nullable=True),
        column(
            "mean_reference_entropy", pa.float64(), "nats a token, of the reference; null: of a text", nullable=True
        ),
        column(
            "sum_kl", pa.float64(), "nats, KL(model || reference) of all positions; null: no exact one", nullable=True
        ),
        column("mean_kl", pa.float64(), "nats a token; null: no exact one", nullable=True),
        column("mean_kl_lower", pa.float64(), "nats a token; null: exact, or of a text", nullable=True),
        column("mean_kl_upper", pa.float64(), "nats a token; null: exact, or of a text", nullable=True),
        column("mean_reverse_kl", pa.float64(), "nats a token; null: no exact one", nullable=True),
        column("mean_js", pa.float64(), "nats a token; null: no exact one", nullable=True),
        column("mean_topk_overlap", pa.float64(), "share; null: of a text", nullable=True),
        column(
            "effective_sample_size",
            pa.float64(),
            "of the tokens' ratios r: (sum r)^2 / sum r^2, 1 to num_tokens; null: of a text",
            nullable=True,
        ),
        column(
            "num_forced",
            pa.int32(),
            "tokens that were put in, not drawn; at level token no sum counts them; null: no thinking budget",
            nullable=True,
        ),
    ]
)
CROSS_STATISTICS = pa.schema(
    [
        _TEXT,
        column("level", pa.string(), "token or text, as in cross_responses"),
        column("num_problems", pa.int32(), "problems with such texts"),
        column("num_responses", pa.int32(), "texts"),
        column("num_tokens", pa.int64(), "of all texts, by the model"),
        column(
            "drawn_from_model",
            pa.bool_(),
            "texts drawn at T = 1 without truncation, as K1 and K3 take it; null: not known",
            nullable=True,
        ),
        column("mean_kl", pa.float64(), "nats a token, KL(model || reference), over all positions", nullable=True),
        column("kl_low", pa.float64(), "95 % interval of it, clustered by problem; null: one problem", nullable=True),
        column("kl_high", pa.float64(), "95 % interval of it, clustered by problem; null: one problem", nullable=True),
        column("mean_kl_lower", pa.float64(), "nats a token, of bounds; null: exact", nullable=True),
        column("mean_kl_upper", pa.float64(), "nats a token, of bounds; null: exact", nullable=True),
        column("mean_reverse_kl", pa.float64(), "nats a token, KL(reference || model)", nullable=True),
        column("reverse_kl_low", pa.float64(), "95 % interval of it, clustered by problem", nullable=True),
        column("reverse_kl_high", pa.float64(), "95 % interval of it, clustered by problem", nullable=True),
        column("mean_js", pa.float64(), "nats a token", nullable=True),
        column("js_low", pa.float64(), "95 % interval of it, clustered by problem", nullable=True),
        column("js_high", pa.float64(), "95 % interval of it, clustered by problem", nullable=True),
        column("k1", pa.float64(), "nats a token, mean of -ln r, r = reference / model of the token", nullable=True),
        column("k3", pa.float64(), "nats a token, mean of r - 1 - ln r", nullable=True),
        column("mean_entropy", pa.float64(), "nats a token, of the model", nullable=True),
        column("mean_reference_entropy", pa.float64(), "nats a token, of the reference", nullable=True),
        column(
            "top_entropy_overlap",
            pa.float64(),
            "of the 20 % of positions where the model is most unsure, the share that are the reference's too",
            nullable=True,
        ),
        column("mean_topk_overlap", pa.float64(), "share", nullable=True),
        column("token_effective_sample_size", pa.float64(), "of all tokens' ratios, 1 to num_tokens", nullable=True),
        column("effective_sample_size", pa.float64(), "of whole texts' ratios, 1 to num_responses", nullable=True),
        column("logprob_per_byte", pa.float64(), "nats, by the model, over all bytes", nullable=True),
        column("reference_logprob_per_byte", pa.float64(), "nats, by the reference, over all bytes", nullable=True),
        column("perplexity", pa.float64(), "a token, by the model, over all tokens"),
        column("reference_perplexity", pa.float64(), "a token of its own, by the reference, over all tokens"),
        column("missing", MISSING, "why each null number is null"),
    ]
)
