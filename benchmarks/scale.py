"""Replicas: what the dealing itself costs.

The engine is the fake one, which sleeps: a response takes 0.02 s and next to no processor, so N replicas would need a
Nth of the time that one takes in this process, if dealing, pickling and waiting cost nothing. What they take longer is
the dealing's own overhead. The replicas are started before the clock is.
"""

import sys
from pathlib import Path

from benchmarks.figures import Figure, interleaved, seconds
from onoff_core.backends import open_sampler, open_scorer
from onoff_core.backends.replicas.engine import release_replicas
from onoff_core.backends.requests import Request
from onoff_core.study import BackendOptions, DistributionSettings, FakeScript, ModelSettings, SamplingSettings

PROBLEMS, SAMPLES = 128, 8
SECONDS_PER_RESPONSE = 0.02
REPLICAS = (1, 2)
SAMPLING = SamplingSettings(max_length=256, num_samples=SAMPLES, batch_size=32)


def _settings(replicas: int) -> ModelSettings:
    script = FakeScript(responses=("x" * 200,), seconds_per_response=SECONDS_PER_RESPONSE)
    return ModelSettings(
        backend_type="fake",
        model_name="fake",
        backend_specific=BackendOptions(num_process=replicas, script=script),
    )


def sampling_seconds(replicas: int) -> float:
    """How long all responses take; the engine is opened before."""
    requests = [Request(f"p{number}", sample, (65, 66)) for number in range(PROBLEMS) for sample in range(SAMPLES)]
    sampler = open_sampler("fake", _settings(replicas), Path())
    try:
        list(sampler.sample(requests[: 2 * SAMPLES], SAMPLING, 1, lambda tokens: None))  # all replicas are up
        return seconds(lambda: list(sampler.sample(requests, SAMPLING, 0, lambda tokens: None)))
    finally:
        release_replicas()


def scoring_seconds(replicas: int) -> float:
    """How long scoring takes where scoring itself takes next to nothing: what it costs to carry scores over."""
    scorer = open_scorer("fake", _settings(replicas), Path())
    work, settings = [[[7] * 200] * SAMPLES] * PROBLEMS, DistributionSettings(top_k=20)
    try:
        list(scorer.score([1], work[0], settings))
        return seconds(lambda: [list(call) for call in [scorer.score([1], group, settings) for group in work]])
    finally:
        release_replicas()


def run(repeats: int) -> list[Figure]:
    medians = interleaved(
        {
            **{f"{count}": lambda count=count: sampling_seconds(count) for count in REPLICAS},
            **{f"scoring {count}": lambda count=count: scoring_seconds(count) for count in REPLICAS},
        },
        repeats,
        lambda line: print(line, file=sys.stderr, flush=True),
    )
    total = PROBLEMS * SAMPLES
    figures = []
    for count in REPLICAS:
        ideal = medians[str(REPLICAS[0])] * REPLICAS[0] / count
        taken = medians[str(count)]
        name, reference = f"{count} replica{'s' * (count > 1)}", None if count == REPLICAS[0] else "1 replica"
        figures.append(
            Figure(name, total / taken, "responses/s", reference, None if reference is None else count * ideal / taken)
        )
        if reference is not None:
            figures.append(Figure(f"overhead of dealing to {count}", 100 * (taken / ideal - 1), "%", target="< 5"))
    tokens = total * 200
    figures += [Figure(f"scores carried, {n}", tokens / medians[f"scoring {n}"], "tokens/s") for n in REPLICAS]
    return figures
