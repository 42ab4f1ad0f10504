"""Which columns are numbers that a batch of another size, or another number of threads, may round otherwise."""

NUMBERS = {
    "token_logprobs",
    "logprob",
    "entropy",
    "varentropy",
    "logsumexp",
    "mean_log_prob_vocabulary",
    "tail_mass",
    "topk_logprobs",
}
