"""Rollouts of training runs and servers, with their token ids and log-probabilities, into the store.

`reading` finds out which of the formats a file has and reads it into `Rollout`s: `rows` (verl, TRL and the plain
format), `traces` (prime-rl and verifiers), `inspect_log` (Inspect), `responses` (servers that speak OpenAI's protocol,
such as vLLM). `importing` makes them a partition's samples. docs/rollouts.md says what each of these programs writes.
"""
