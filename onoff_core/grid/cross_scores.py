"""Make the cross-scores of one partition: its texts by each reference, a generation of three tables for each.

A reference's generations lie below its own name, so that one that is added, changed or taken away leaves the others as
they are. A fragment of `cross_responses` is made from that of `cross_scores`, so an interrupted run goes on from
either.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from onoff_core.backends import open_pair_scorer, open_scorer, open_tokenizer
from onoff_core.backends.contract import ModelInfo, PairLoading
from onoff_core.backends.requests import KeptDistributions
from onoff_core.cross.agreement import Differences
from onoff_core.cross.responses import SCORE_COLUMNS, ReadText, responses_of_scores, responses_of_texts
from onoff_core.cross.scoring import Kept, score_texts
from onoff_core.cross.statistics import TOKEN_COLUMNS, cross_statistics
from onoff_core.cross.text_level import has_bytes, read_anew, read_own
from onoff_core.cross.texts import Text, texts_of
from onoff_core.cross.vocabulary import Agreement, compare_vocabularies
from onoff_core.errors import MissingInputError, ModelError
from onoff_core.grid import fingerprints
from onoff_core.grid.materialize import Log, Made, info, is_whole
from onoff_core.grid.room import check_room, cross_bytes
from onoff_core.grid.run_record import RunRecord
from onoff_core.progress import Progress
from onoff_core.store import Generation, Store, publish_catalog
from onoff_core.store.provenance import SamplesProvenance, ScoresProvenance
from onoff_core.study import Partition, Reference
from onoff_core.tables import SCHEMAS
from onoff_core.tasks import Prompt

Level = Literal["token", "text"]
Encode = Callable[[str], Sequence[int]]  # a solution into the model's token ids
_WHOLE_TEXTS = 1 << 20  # rows of a batch, which ends with its text in any case
_OWN = ("problem_id", "sample_index", "logprob")
TABLES = ("cross_scores", "cross_responses", "cross_statistics")


@dataclass(frozen=True)
class CrossMade(Made):
    """The cross-scores by every reference; the generation is that of the last one."""

    by_reference: dict[str, Made]

    @property
    def version(self) -> str:
        """Of the cross-scores by all of them."""
        made = {name: one.manifest.fingerprint for name, one in self.by_reference.items()}
        return fingerprints.all_references_fingerprint(made)


def materialize_cross_scores(
    partition: Partition, store: Store, log: Log | None = None, *, again: bool = False
) -> CrossMade:
    """Score the partition's current texts by the model itself and by each reference."""
    if not partition.references:
        raise MissingInputError(
            f"no model is asked to score the texts of {partition.key}: name some in "
            f"models.{partition.model}.scored_by, or in cross.references for all models"
        )
    samples = store.require("samples", partition.names)
    if SamplesProvenance.of(samples.manifest()).ids_from_text:
        raise ModelError(
            f"the samples of {partition.key} come from an API that returns no token ids (ids: from text), so there is "
            "nothing that another model could score as it was sampled. Sample through a server that returns token ids"
        )
    made = {one.name: _Work(partition, one, store, samples, log).make(again=again) for one in partition.references}
    last = list(made.values())[-1]
    return CrossMade(last.generation, last.manifest, any(one.computed for one in made.values()), made)


class _Work:
    """The cross-scores by one reference."""

    def __init__(
        self, partition: Partition, reference: Reference, store: Store, samples: Generation, log: Log | None
    ) -> None:
        self.partition, self.reference, self.store, self.samples = partition, reference, store, samples
        self.log, self.say = log, log or info
        fingerprint = fingerprints.cross_scores_fingerprint(partition, samples.fingerprint, reference)
        self.key = (*partition.names, reference.name)
        self.scores, self.responses, self.statistics = (
            store.generation(table, self.key, fingerprint) for table in TABLES
        )
        self.chunks = sorted(samples.fragment_indices())

    @property
    def models(self) -> str:
        return f"{self.partition.key} by {self.reference.name}"

    def make(self, *, again: bool) -> Made:
        every = (self.scores, self.responses, self.statistics)
        with ExitStack() as stack:
            for one in every:
                stack.enter_context(self.store.writing(one))
            missing = [one for one in every if not is_whole(one, self.say, again)]
            if missing:
                self._fill(missing)
            else:
                self.say(f"cross_scores of {self.models} is complete under these settings; nothing to do")
            for one in reversed(every):  # what the state is read from comes last
                self.store.make_current(one)
        publish_catalog(self.store)
        return Made(self.scores, self.scores.manifest(), computed=bool(missing))

    def _fill(self, missing: Sequence[Generation]) -> None:
        """Write what is missing of the three tables, and their manifests."""
        record, agreement = RunRecord(self.scores), self._vocabularies()
        level: Level = "token" if agreement.reason_against is None else "text"
        scored = self.scores.fragment_indices()
        if scored:
            self.say(f"resuming: {len(scored)} of {len(self.chunks)} chunks there")
        there = scored & self.responses.fragment_indices()
        to_do = [index for index in self.chunks if index not in there]
        facts = self._score(to_do, agreement) if level == "token" else self._read(to_do)
        inputs, settings = {"samples": self.samples.fingerprint}, self._settings()
        facts = {"level": level, **agreement.facts, **facts, **record.facts(tokens=facts["tokens"])}
        for one in (self.scores, self.responses):
            if one in missing:
                one.complete(inputs, settings, facts, self.chunks)
        if self.statistics in missing:
            tables = self.scores.tables(TOKEN_COLUMNS)
            self.statistics.write_fragment(0, [cross_statistics(tables, self.responses.read(), self._drawn())])
            self.statistics.complete(inputs, settings, facts, [0])

    def _settings(self) -> dict[str, Any]:
        return fingerprints.cross_settings(self.partition, self.reference)

    def _vocabularies(self) -> Agreement:
        """Both tokenizers side by side. Raises `ModelError` where they differ and the settings say to refuse that."""
        partition, other = self.partition, self.reference
        own = open_tokenizer(partition.model, partition.model_settings, partition.base_dir)
        its = open_tokenizer(other.name, other.settings, partition.base_dir)
        agreement = compare_vocabularies(own.vocabulary, its.vocabulary)
        if agreement.reason_against is not None and partition.cross.other_tokenizer == "refuse":
            raise ModelError(
                f"models.{partition.model} and models.{other.name} have different tokenizers, so token ids of one mean "
                f"nothing to the other: {agreement.reason_against}. Take {other.name} out of scored_by or references, "
                "or set cross.other_tokenizer: text to compare them byte by byte"
            )
        if agreement.rows[0] != agreement.rows[1] or agreement.only_first or agreement.only_second:
            self.say(
                f"{self.models}: the vocabularies are alike but for padding: {agreement.rows[0]:,} and "
                f"{agreement.rows[1]:,} rows, of which the first {min(agreement.rows):,} are compared; "
                f"{len(agreement.only_first)} and {len(agreement.only_second)} ids are tokens of one alone"
            )
        return agreement

    def _drawn(self) -> bool | None:
        """Whether the samples were drawn from the model as it is, at temperature 1 without truncation."""
        provenance = SamplesProvenance.of(self.samples.manifest())
        drawn = provenance.sampling
        if drawn is None:
            return None
        if provenance.backend_type == "switch":  # another model drew some tokens
            return False
        return drawn.do_sample and drawn.temperature == 1 and drawn.top_k is None and drawn.top_p == 1

    def _texts(self, index: int, encode: Encode | None) -> list[Text]:
        solutions = self._solutions_beside(index) if encode is not None else None
        texts = texts_of(self.samples.read_fragment(index), solutions, encode)
        if any(text.sampled_logprobs for text in texts) or index not in self._scored_before:
            return texts
        return _with_logprobs(texts, self._scored_before[index].read_fragment(index, _OWN))

    @cached_property
    def _scored_before(self) -> dict[int, Generation]:
        """By fragment, the model's own token distributions of these samples, which stand in for log-probabilities that
        imported samples lack.
        """
        found = self.store.current("token_distributions", self.partition.names)
        if found is None or found.manifest().inputs["samples"] != self.samples.fingerprint:
            return {}
        same = ScoresProvenance.of(found.manifest()).temperature == 1
        return dict.fromkeys(found.fragment_indices(), found) if same else {}

    def _solutions_beside(self, index: int) -> dict[str, str]:
        """Those that are scored with a fragment: of the problems of which no fragment before it has a response."""
        return {name: text for name, text in self._solutions.items() if self._first_fragment.get(name) == index}

    @cached_property
    def _first_fragment(self) -> dict[str, int]:
        """Of each problem, the first fragment with a response to it."""
        found: dict[str, int] = {}
        for index in self.chunks:
            names = self.samples.read_fragment(index, ["problem_id"])["problem_id"].to_pylist()
            found = {**dict.fromkeys(names, index), **found}
        return found

    @cached_property
    def _solutions(self) -> dict[str, str]:
        version = self.samples.manifest().inputs["problems"]
        problems = self.store.generation("problems", (self.partition.dataset,), version).read()
        names, solutions = problems["problem_id"].to_pylist(), problems["solution"].to_pylist()
        found = {name: solution for name, solution in zip(names, solutions, strict=True) if solution}
        if not found:
            self.say(f"{self.partition.dataset} has no reference solutions, so cross.solutions adds none")
        return found

    def _encoder(self) -> Encode | None:
        """Of solutions into the model's token ids; None: none are asked for."""
        partition = self.partition
        if not partition.cross.solutions:
            return None
        tokenizer = open_tokenizer(partition.model, partition.model_settings, partition.base_dir)
        return lambda solution: tokenizer.encode(Prompt(solution, add_special_tokens=False))

    def _score(self, to_do: Sequence[int], agreement: Agreement) -> dict[str, Any]:
        """Write the missing fragments of `cross_scores` and `cross_responses`, token by token. Returns facts."""
        encode, differences, facts = self._encoder(), self._differences(), dict[str, Any]()
        scored, summed = self.scores.fragment_indices(), self.responses.fragment_indices()
        unscored = [index for index in to_do if index not in scored]
        self._check_room(unscored)
        progress = self._progress(unscored)
        if unscored:
            facts = self._score_fragments(unscored, encode, agreement, differences, progress)
        for index in to_do:
            if index not in summed:
                batches = self.scores.batches(index, SCORE_COLUMNS, _WHOLE_TEXTS)
                rows = responses_of_scores(self._texts(index, encode), batches)
                self.responses.write_fragment(index, [rows])
        return {**self._speed(progress), **differences.facts, **facts}

    def _check_room(self, unscored: Sequence[int]) -> None:
        if self.store.max_bytes is not None:
            lengths = (self.samples.read_fragment(index, ["num_tokens"])["num_tokens"] for index in unscored)
            needed = cross_bytes(sum(sum(column.to_pylist()) for column in lengths))
            check_room(self.store, needed, f"cross_scores of {self.models}")

    def _score_fragments(
        self,
        unscored: Sequence[int],
        encode: Encode | None,
        agreement: Agreement,
        differences: Differences,
        progress: Progress,
    ) -> dict[str, Any]:
        """Write these fragments of `cross_scores`, with the texts of one of them in memory at a time."""
        partition, other = self.partition, self.reference
        bounds = partition.cross.divergence == "bounds"
        how: PairLoading = "second" if bounds else (partition.cross.load or "either")
        first, second = (partition.model, partition.model_settings), (other.name, other.settings)

        def told(tokens: int) -> None:
            progress.add_tokens(tokens)
            progress.add()

        with closing(open_pair_scorer(first, second, partition.base_dir, how)) as scorer:
            every = (one for index in unscored for one in self._texts(index, encode))
            scorer.prepare((one.prompt_ids, one.token_ids) for one in every)
            for index in unscored:
                texts = self._texts(index, encode)
                for text in texts:
                    agreement.check(text, partition.model, other.name)
                    self._check_ids(scorer.reference_info, text)
                kept = self._kept(index) if bounds else None
                tables = score_texts(scorer, texts, partition.cross.top_k, differences, told, kept)
                self.scores.write_fragment(index, tables)
            info = scorer.reference_info
            return {"device": info.device, "reference_dtype": info.dtype, "reference_revision": info.revision}

    def _check_ids(self, info: ModelInfo, text: Text) -> None:
        info.check_token_ids(text.prompt_ids, f"{text.name}: its prompt")
        info.check_token_ids(text.token_ids, f"{text.name}: it")

    def _differences(self) -> Differences:
        dtype = SamplesProvenance.of(self.samples.manifest()).torch_dtype
        return Differences(full_precision=dtype == "float32")

    def _kept(self, index: int) -> Kept:
        """What the token distributions of these samples keep of a fragment."""
        distributions = self.store.require("token_distributions", self.partition.names)
        manifest = distributions.manifest()
        how = ScoresProvenance.of(manifest)
        if manifest.inputs["samples"] != self.samples.fingerprint or how.temperature != 1 or how.top_k is None:
            raise ModelError(
                f"cross.divergence: bounds needs token_distributions of {self.partition.key} that were made from its "
                "present samples, with distribution.temperature: 1 and a top_k; materialize them, or set "
                "divergence: exact"
            )
        return _kept_distributions(distributions.read_fragment(index))

    def _read(self, to_do: Sequence[int]) -> dict[str, Any]:
        """Write the missing fragments of models with other tokenizers: no row a token, and one of bytes a text.

        Each model is loaded once, and says of every text one number, which is kept until both have.
        """
        partition, other, encode = self.partition, self.reference, self._encoder()
        progress, own, its = self._progress(to_do), dict[int, list[ReadText]](), dict[int, list[ReadText]]()

        def texts(index: int) -> list[Text]:
            return [one for one in self._texts(index, encode) if has_bytes(one)]

        if to_do:
            with closing(open_scorer(partition.model, partition.model_settings, partition.base_dir)) as scorer:
                own = {index: read_own(scorer, texts(index)) for index in to_do}
            with closing(open_scorer(other.name, other.settings, partition.base_dir)) as scorer:
                tokenizer = open_tokenizer(other.name, other.settings, partition.base_dir)
                for index in to_do:
                    its[index] = read_anew(scorer, tokenizer, texts(index))
                    progress.add(len(its[index]))
        scored, summed = self.scores.fragment_indices(), self.responses.fragment_indices()
        for index in to_do:
            if index not in scored:
                self.scores.write_fragment(index, [SCHEMAS["cross_scores"].empty_table()])
            if index not in summed:
                rows = list(responses_of_texts(texts(index), own[index], its[index]))
                self.responses.write_fragment(index, [pa.Table.from_pylist(rows, schema=SCHEMAS["cross_responses"])])
        return self._speed(progress)

    def _progress(self, indices: Sequence[int]) -> Progress:
        """Of the responses in these fragments; solutions come on top."""
        count = sum(self.samples.read_fragment(index, ["sample_index"]).num_rows for index in indices)
        return Progress(f"scoring by {self.reference.name}", count, self.log)

    def _speed(self, progress: Progress) -> dict[str, Any]:
        return {
            "tokens": progress.tokens,
            "seconds": progress.seconds,
            "tokens_per_second": progress.tokens_per_second,
        }


def _with_logprobs(texts: Sequence[Text], distributions: pa.Table) -> list[Text]:
    """The responses with what the model was found to say of their tokens before."""
    found: dict[tuple[str, int | None], list[float]] = defaultdict(list)
    for problem_id, sample_index, logprob in zip(*(distributions[name].to_pylist() for name in _OWN), strict=True):
        found[problem_id, sample_index].append(logprob)
    return [
        replace(text, sampled_logprobs=tuple(known))
        if len(known := found[text.problem_id, text.sample_index]) == len(text.token_ids)
        else text
        for text in texts
    ]


def _kept_distributions(table: pa.Table) -> Kept:
    """A fragment's token distributions by response."""
    found: dict[tuple[str, int], KeptDistributions] = {}
    keys = list(zip(table["problem_id"].to_pylist(), table["sample_index"].to_pylist(), strict=True))
    begin = 0
    for end in range(1, len(keys) + 1):
        if end == len(keys) or keys[end] != keys[begin]:
            part = table.slice(begin, end - begin)
            lists = {name: np.array(part[name].to_pylist()) for name in ("topk_ids", "topk_logprobs")}
            found[keys[begin]] = KeptDistributions(
                logprob=part["logprob"].to_numpy(),
                entropy=part["entropy"].to_numpy(),
                tail_mass=part["tail_mass"].to_numpy(),
                topk_ids=lists["topk_ids"].astype(np.int32),
                topk_logprobs=lists["topk_logprobs"].astype(np.float32),
            )
            begin = end
    return found
