"""A sampler and a scorer that share their work among replicas.

The replicas are kept after `close`, as the one model of a process is: a run that samples and then scores loads each
once. They end with this process.
"""

import dataclasses
import importlib
import itertools
import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from onoff_core.backends.contract import ModelInfo, OnTokens, Tokenizer
from onoff_core.backends.cores import usable_threads
from onoff_core.backends.replicas.dealing import Dealer, Unit
from onoff_core.backends.replicas.messages import Draw, Open, Role, Score
from onoff_core.backends.replicas.places import ProcessReplica, Start
from onoff_core.backends.replicas.shares import num_replicas, shares_of, visible_gpus
from onoff_core.backends.requests import Request, Response, TokenScores
from onoff_core.backends.stopping import StoppingTokenizer
from onoff_core.study import DistributionSettings, ModelSettings, SamplingSettings

# The next unit is the work that is left, divided by this and by the number of replicas. So the first units are large,
# which keeps all rows of a batch busy, and the last ones small, so that the replicas end at about the same time.
_PARTS_A_REPLICA = 4
_SCORED_TOGETHER = 16  # responses to one prompt; more are cut, for one prompt may have hundreds
_MOST_BUFFERED_BYTES = 256 * 1024 * 1024
_ON_RAY = "onoff_core.backends.replicas.on_ray"  # needs an extra, and so is imported when it is asked for
logger = logging.getLogger(__name__)


class _Keeper:
    """The one set of replicas that a process keeps."""

    def __init__(self) -> None:
        self.key: tuple[Any, ...] | None = None
        self.dealer: Dealer | None = None


_keeper = _Keeper()


def release_replicas() -> None:
    """End the replicas that are kept."""
    if _keeper.dealer is not None:
        _keeper.dealer.close()
    _keeper.key, _keeper.dealer = None, None


def wants_replicas(settings: ModelSettings) -> bool:
    options = settings.backend_specific
    return (options.num_process or 1) > 1 or options.replicas_on == "ray"


def open_replicas(role: Role, name: str, settings: ModelSettings, base_dir: Path, num_gpus: int) -> Dealer:
    """The replicas of `models.<name>`, kept from the last call or started now; `num_gpus` is how many this process
    sees.
    """
    key = (name, settings.model_dump_json(exclude={"task", "sampling"}), base_dir)
    if _keeper.dealer is None or _keeper.key != key:
        release_replicas()
        alone = settings.backend_specific.model_copy(
            update={"num_process": None, "replicas_on": "processes", "ray_address": None, "num_gpus": None}
        )
        order = Open(role, name, settings.model_copy(update={"backend_specific": alone}), base_dir)
        starts = _starts(name, settings, num_gpus)
        _keeper.dealer = Dealer(order, starts, settings.backend_specific.timeout_seconds)
        _keeper.key = key
    return _keeper.dealer


def _starts(name: str, settings: ModelSettings, num_gpus: int) -> list[Start]:
    options = settings.backend_specific
    if options.replicas_on == "ray":
        starts: list[Start] = importlib.import_module(_ON_RAY).ray_starts(name, options)
        return starts
    count, fewer = num_replicas(name, options, num_gpus)
    if fewer:
        logger.warning("%s", fewer)
    gpus = () if options.device == "cpu" else visible_gpus(num_gpus, os.environ)
    shares = shares_of(count, gpus, usable_threads())
    return [partial(ProcessReplica, share) for share in shares]


def _info(dealer: Dealer) -> ModelInfo:
    """What the replicas say of the model; its device is where they are."""
    info = dealer.open()
    places = list(dict.fromkeys(replica.place for replica in dealer.replicas))
    count = dealer.num_replicas
    return dataclasses.replace(info, device=f"{count} replica{'s' * (count > 1)}: {', '.join(places)}")


class _Draws(Unit):
    """Responses to draw."""

    def __init__(self, requests: Sequence[Request], sampling: SamplingSettings, seed: int, on_tokens: OnTokens) -> None:
        self.waiting = {(request.problem_id, request.sample_index): request for request in requests}
        self._on_tokens = on_tokens
        self.arrived: deque[Response] = deque()
        self._sampling, self._seed = sampling, seed
        first, last = requests[0].problem_id, requests[-1].problem_id
        problems = f"problem {first}" if first == last else f"problems {first} to {last}"
        self.name = f"the chunk of {problems} ({len(requests)} responses)"

    def task(self) -> Draw:
        return Draw(tuple(self.waiting.values()), self._sampling, self._seed)

    def take(self, value: Response | TokenScores) -> None:
        assert isinstance(value, Response)
        del self.waiting[value.request.problem_id, value.request.sample_index]
        self.arrived.append(value)

    def count(self, tokens: int) -> None:
        self._on_tokens(tokens)


class ReplicatedSampler:
    """Draws on all replicas at once."""

    def __init__(self, dealer: Dealer, tokenizer: Tokenizer) -> None:
        self.dealer, self.info = dealer, _info(dealer)
        self.tokenizer = StoppingTokenizer(tokenizer, self.info.stop_token_ids)

    def sample(
        self, requests: Sequence[Request], sampling: SamplingSettings, seed: int, on_tokens: OnTokens
    ) -> Iterator[Response]:
        sizes = unit_sizes(len(requests), self.dealer.num_replicas, sampling.batch_size)
        units = [_Draws(part, sampling, seed, on_tokens) for part in cut_at_prompts(requests, sizes)]
        try:
            for unit in units:
                self.dealer.submit(unit)
            while units:
                self.dealer.advance()
                for unit in units:
                    while unit.arrived:
                        yield unit.arrived.popleft()
                    if unit.error is not None:
                        raise unit.error
                units = [unit for unit in units if not unit.ended]
        finally:
            self.dealer.drop(units)

    def close(self) -> None:
        """Does nothing: the replicas are kept, for scoring in this process needs them again."""


def unit_sizes(num_requests: int, num_replicas: int, rows: int) -> Iterator[int]:
    """The sizes of the units in turn, in requests, without end.

    They fall, down to `rows`, the number that is decoded side by side, or to an equal share where there is less work
    than that for each replica.
    """
    left = num_requests
    least = max(1, min(rows, -(-num_requests // num_replicas)))
    while True:
        size = max(least, left // (_PARTS_A_REPLICA * num_replicas))
        left = max(0, left - size)
        yield size


def cut_at_prompts(requests: Sequence[Request], sizes: Iterator[int]) -> Iterator[list[Request]]:
    """The requests in order, in parts of at least these sizes. Requests to one prompt that stand side by side stay
    together where they are no more than a part.
    """
    part: list[Request] = []
    size = next(sizes)
    for _, same in itertools.groupby(requests, key=lambda request: request.prompt_ids):
        group = list(same)
        while group:
            if len(part) >= size:
                yield part
                part, size = [], next(sizes)
            taken = len(group) if len(group) <= size else size - len(part)
            part += group[:taken]
            group = group[taken:]
    if part:
        yield part


class _Scores(Unit):
    """Responses to one prompt to score."""

    def __init__(
        self, prompt_ids: Sequence[int], responses: Sequence[Sequence[int]], settings: DistributionSettings
    ) -> None:
        self.arrived: deque[TokenScores] = deque()
        self._prompt_ids, self._left, self._settings = prompt_ids, deque(responses), settings
        self.buffered_bytes = 0
        self.name = f"a chunk of {len(responses)} responses to one prompt ({len(prompt_ids)} tokens)"

    def task(self) -> Score:
        return Score(self._prompt_ids, tuple(self._left), self._settings)

    def take(self, value: Response | TokenScores) -> None:
        assert isinstance(value, TokenScores)
        self._left.popleft()
        self.arrived.append(value)
        self.buffered_bytes += _num_bytes(value)

    def give(self) -> TokenScores:
        value = self.arrived.popleft()
        self.buffered_bytes -= _num_bytes(value)
        return value


def _num_bytes(scores: TokenScores) -> int:
    return sum(column.nbytes for column in scores.columns.values())


class ReplicatedScorer:
    """Scores on all replicas at once. Work begins when `score` is called, so call it ahead of reading the scores."""

    def __init__(self, dealer: Dealer) -> None:
        self.dealer, self.info = dealer, _info(dealer)
        self._pending: list[_Scores] = []

    def score(
        self, prompt_ids: Sequence[int], responses: Sequence[Sequence[int]], settings: DistributionSettings
    ) -> Iterator[TokenScores]:
        parts = [responses[at : at + _SCORED_TOGETHER] for at in range(0, len(responses), _SCORED_TOGETHER)]
        units = [_Scores(prompt_ids, part, settings) for part in parts]
        for unit in units:
            self._pending.append(unit)
            self.dealer.submit(unit)
        return self._in_order(units)

    def _in_order(self, units: Sequence[_Scores]) -> Iterator[TokenScores]:
        for unit in units:
            while not unit.ended or unit.arrived:
                if unit.arrived:
                    yield unit.give()
                    continue
                buffered = sum(one.buffered_bytes for one in self._pending)
                self.dealer.advance(unit if buffered > _MOST_BUFFERED_BYTES else None)
            if unit.error is not None:
                raise unit.error
            self._pending.remove(unit)

    def close(self) -> None:
        """Forget what was not read; the replicas are kept."""
        self.dealer.drop(self._pending)
        self._pending.clear()
