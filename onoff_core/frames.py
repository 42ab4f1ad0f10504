"""A study's results as Arrow tables, for notebooks: `onoff_core.open_study()`.

It reads what is current through the store's own readers, and writes nothing. Every table is a `pyarrow.Table`:
`.to_pandas()` makes a pandas frame of it, `polars.from_arrow` one of polars. What the study's settings would make
otherwise today is stale: its table says so in a warning and in its schema's metadata, or is refused.
"""

import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onoff_core.cli.extensions import extensions
from onoff_core.errors import MissingInputError, OnoffError, PartitionError, SettingsError, StoreError
from onoff_core.grid.judging import StudyJudge
from onoff_core.store import Generation, Judged, Judgement, Manifest, Store, connect_catalog
from onoff_core.store.parquet import conform
from onoff_core.store.provenance import is_imported
from onoff_core.study import Study, load_study, partition_key, split_partition_key
from onoff_core.study.study import suggestion
from onoff_core.tables import GRID_ASSETS, SCHEMAS, TABLES

Stale = Literal["warn", "refuse", "accept"]
LISTS = ("topk_ids", "topk_logprobs")  # of token distributions: most of their bytes
PARTITION, FINGERPRINT, STALE_BECAUSE = b"onoff.partition", b"onoff.fingerprint", b"onoff.stale_because"
_RESPONSE, _GRID = ("problem_id", "sample_index"), ("dataset", "model")


class StaleResultsWarning(UserWarning):
    """A table that the study's settings would make otherwise today."""


def open_study(path: str | Path | None = None, *, stale: Stale = "warn") -> "OpenStudy":
    """Open a study's results for reading.

    `path`: a settings file, a folder that holds `onoff.yaml`, or a store (a folder or an `s3://` URL; without a study
    nothing can be called stale by settings). None: the study of this folder, as for the command `onoff`.

    `stale`: what to do about results that the settings would make otherwise today: `warn` (they are given with a
    `StaleResultsWarning`), `refuse` (a `StoreError`), `accept` (given without a word). Whichever it is, the schema's
    metadata has the reason under `onoff.stale_because`.

    Raises `SettingsError` where there is no such study.
    """
    if stale not in get_args(Stale):
        raise SettingsError(f"open_study(stale={stale!r}): one of {', '.join(get_args(Stale))} is wanted")
    if path is None:
        study = load_study()
        return OpenStudy(Store(study.store_path), study, stale)
    place = Path(path)
    if "://" in str(path):
        return OpenStudy(Store(str(path)), None, stale)
    if place.is_dir() and not (place / "onoff.yaml").is_file():
        if not any((place / name).is_dir() for name in TABLES):
            raise SettingsError(f"open_study({str(path)!r}): this folder holds neither an onoff.yaml nor results")
        return OpenStudy(Store(str(place.absolute())), None, stale)
    study = load_study(place / "onoff.yaml" if place.is_dir() else place)
    return OpenStudy(Store(study.store_path), study, stale)


class OpenStudy:
    """Results by partition, `dataset|model`. Each call reads what is current then."""

    def __init__(self, store: Store, study: Study | None, stale: Stale = "warn") -> None:
        self.store, self.study, self.stale = store, study, stale

    def __repr__(self) -> str:
        of = self.store.root if self.study is None else self.study.config_path
        return f"OpenStudy({str(of)!r}, {len(self.partitions)} partitions with results)"

    @property
    def partitions(self) -> list[str]:
        """Every partition with samples, by name; those of the study first, in its order."""
        there = {partition_key(key[0], key[1]) for key in self.store.partitions("samples")}
        there = {key for key in there if self.store.current("samples", split_partition_key(key)) is not None}
        own = [] if self.study is None else [key for key in self.study.partitions if key in there]
        return own + sorted(there - set(own))

    def table(self, name: str, partition: str | tuple[str, ...], columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of any table that the store has (docs/sql.md lists them), with its columns or those named.

        `partition`: `dataset|model`; for a table that has another key (`problems`: a data set, `vocabulary`: a model,
        `cross_scores`: data set, model and reference) its names as a tuple. Raises `MissingInputError` where it is not
        there, which says what to run.
        """
        if name not in TABLES:
            raise StoreError(f"there is no table {name!r}{suggestion(name, TABLES)}")
        key = split_partition_key(partition) if isinstance(partition, str) else partition
        wanted = TABLES[name].partitioned_by
        if len(key) != len(wanted):
            raise PartitionError(f"{name} is kept by {', '.join(wanted)}: {len(wanted)} names are wanted, not {key}")
        generation = self._current(name, key)
        return self._marked(generation, _read(generation, self._columns(name, columns)))

    def samples(self, partition: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A row for each response: prompt, response, token_ids, token_logprobs (nats), finish_reason, num_tokens."""
        return self.table("samples", partition, columns)

    def rewards(self, partition: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A verdict for each response: reward (0 or 1), status, extracted_answer, answer_class."""
        return self.table("rewards", partition, columns)

    def statistics(self, partition: str, columns: Sequence[str] | None = None) -> pa.Table:
        """One row: accuracy with its 95 % intervals, pass_at_k, maj_at_k, lengths in tokens, shares."""
        return self.table("statistics", partition, columns)

    def problem_statistics(self, partition: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A row for each problem: pass rate with its interval, the entropy of its answers (nats), its majority."""
        return self.table("problem_statistics", partition, columns)

    def confidence(self, partition: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A row for each response: how sure the model was while it wrote it (docs/confidence.md), where asked for."""
        return self.table("confidence", partition, columns)

    def problems(self, dataset: str) -> pa.Table:
        """A row for each problem of a data set: question, gold answer, solution."""
        return self.table("problems", (dataset,))

    def vocabulary(self, model: str) -> pa.Table:
        """A row for each token id of a model, in order: its bytes, and whether it is a special token."""
        return self.table("vocabulary", (model,)).sort_by("token_id")

    def distributions(
        self,
        partition: str,
        problem_id: str | None = None,
        sample_index: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """A row for each token, of a partition, of a problem or of one response.

        Without the lists of alternatives (`topk_ids`, `topk_logprobs`), which are most of the bytes, unless `columns`
        names them or one response is asked for.
        """
        generation = self._current("token_distributions", split_partition_key(partition))
        one = problem_id is not None and sample_index is not None
        usual = [name for name in SCHEMAS["token_distributions"].names if one or name not in LISTS]
        where = {name: value for name, value in zip(_RESPONSE, (problem_id, sample_index), strict=True)
                 if value is not None}  # fmt: skip
        found = _read(generation, self._columns("token_distributions", columns or usual), where)
        if where and not found.num_rows:
            self.check_response(partition, problem_id, sample_index)
        return self._marked(generation, found)

    def tokens(self, partition: str, problem_id: str, sample_index: int) -> pa.Table:
        """The tokens of one response in order: position, token_id, `token` (its text; bytes that are no text are
        U+FFFD), is_special, and entropy (nats), logprob (nats), rank and the other numbers of its distribution.
        """
        plain = [name for name in SCHEMAS["token_distributions"].names if name not in LISTS]
        rows = self.distributions(partition, problem_id, sample_index, plain)
        model = split_partition_key(partition).model
        columns = {name: rows[name] for name in rows.column_names if name not in _RESPONSE}
        position, token_id = columns.pop("position"), columns.pop("token_id")
        named = {"position": position, "token_id": token_id, **self._named(model, token_id)}
        return pa.table({**named, **columns}, metadata=rows.schema.metadata)

    def distribution(self, partition: str, problem_id: str, sample_index: int, position: int) -> pa.Table:
        """What the model could have said at one position: the stored alternatives by falling probability.

        A row each: rank, token_id, token, is_special, logprob (nats), probability, and is_sampled. Nothing is
        renormalised. A token that was sampled from outside the stored ones has the last row, at its own rank.
        """
        generation = self._current("token_distributions", split_partition_key(partition))
        where = {"problem_id": problem_id, "sample_index": sample_index, "position": position}
        rows = self._marked(generation, _read(generation, SCHEMAS["token_distributions"].names, where))
        row = rows.to_pylist()
        if not row:
            number = self.distributions(partition, problem_id, sample_index, ["position"]).num_rows
            raise StoreError(
                f"sample {sample_index} of problem {problem_id!r} of {partition} has {number} tokens: positions 0 to "
                f"{number - 1}, so there is no {position}"
            )
        found = row[0]
        logprobs = np.array(found["topk_logprobs"], dtype=np.float64)
        ids = np.arange(len(logprobs)) if found["topk_ids"] is None else np.array(found["topk_ids"], dtype=np.int64)
        order = np.argsort(-logprobs, kind="stable")
        ids, logprobs, ranks = ids[order], logprobs[order], np.arange(1, len(order) + 1)
        if found["token_id"] not in ids:
            ids, logprobs = np.append(ids, found["token_id"]), np.append(logprobs, found["logprob"])
            ranks = np.append(ranks, found["rank"])
        token_ids = pa.chunked_array([pa.array(ids, pa.int32())])
        columns = {
            "rank": pa.array(ranks, pa.int32()),
            "token_id": token_ids,
            **self._named(split_partition_key(partition).model, token_ids),
            "logprob": pa.array(logprobs),
            "probability": pa.array(np.exp(logprobs)),
            "is_sampled": pa.array(ids == found["token_id"]),
        }
        return pa.table(columns, metadata=rows.schema.metadata)

    def sql(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> pa.Table:
        """The answer of a query to the catalog, as it was published last (docs/sql.md has its tables and examples).

        `parameters`: the values of `?` in their order, or of `$name` by name.

        Raises DuckDB's own errors for a query that is wrong.
        """
        with connect_catalog(self.store, publish=False) as connection:
            return connection.execute(query, parameters).to_arrow_table()

    def why_stale(self, table: str, partition: str) -> str | None:
        """Why the study's settings would make a partition's table otherwise today, or why that cannot be told.

        None where they would not, where the table is not there, or where there is no study to ask.
        """
        said = self.judgements(partition).get(table)
        return None if said is None else said.reason

    def judgements(self, partition: str) -> dict[str, Judgement]:
        """The study's word on each current table of a partition that is not as it should be, or not known to be."""
        found = self._judgements(split_partition_key(partition))
        return {name: said for name, said in found.items() if said.is_stale is not False}

    def view(self, partition: str, problem_id: str, sample_index: int, **options: Any) -> Any:
        """One response as the browser shows it, token by token, for a notebook: Jupyter and marimo show what this
        returns. `options`: `token` (the position that is open at first), `alternatives` (how many each token has at
        most), `height` (pixels), `theme` (`light`, `dark`; None: the notebook's).
        """
        for module in extensions("onoff.views"):
            return module.response_view(self, partition, problem_id, sample_index, **options)
        raise OnoffError("the token view is not installed here; run: pip install -e . in the project's folder")

    def _current(self, name: str, key: tuple[str, ...]) -> Generation:
        if len(key) == 2:
            self._check_known(partition_key(key[0], key[1]))
        generation = self.store.current(name, key)
        if generation is None and name not in (*GRID_ASSETS,):
            raise MissingInputError(
                f"{name} of {'|'.join(key)} is {self.store.how_far(name, key)} in {self.store.root}"
            )
        return self.store.require(name, key) if generation is None else generation

    def _check_known(self, partition: str) -> None:
        """A partition that is neither in the study nor in the store is a slip of the pen."""
        names = split_partition_key(partition)
        if self.study is not None and partition in self.study.partitions:
            return
        if not any(self.store.current(asset, names) is not None for asset in GRID_ASSETS):
            if self.study is not None:
                self.study.partition(partition)
            raise PartitionError(
                f"there is no {partition!r} in {self.store.root}{suggestion(partition, self.partitions)}"
            )

    def check_response(self, partition: str, problem_id: str | None, sample_index: int | None) -> None:
        """Raise a `StoreError` that says what there is, where the partition has no such problem or response."""
        rows = _read(self._current("samples", split_partition_key(partition)), _RESPONSE)
        problems = list(dict.fromkeys(rows["problem_id"].to_pylist()))
        if problem_id is not None and problem_id not in problems:
            close = suggestion(problem_id, problems[:20]) + (", ..." if len(problems) > 20 else "")
            raise StoreError(f"{partition} has no problem {problem_id!r}{close}")
        of = rows if problem_id is None else rows.filter(pc.equal(rows["problem_id"], problem_id))
        indices = sorted(set(of["sample_index"].to_pylist()))
        if sample_index is not None and sample_index not in indices:
            raise StoreError(
                f"problem {problem_id!r} of {partition} has no sample {sample_index}; there are: "
                + ", ".join(map(str, indices))
            )

    def _columns(self, name: str, columns: Sequence[str] | None) -> list[str]:
        known = SCHEMAS[name].names
        wrong = [column for column in columns or () if column not in known]
        if wrong:
            raise StoreError(f"{name} has no column {wrong[0]!r}{suggestion(wrong[0], known)}")
        return list(columns or known)

    def _named(self, model: str, token_ids: pa.ChunkedArray) -> dict[str, pa.Array]:
        """What token ids stand for; null where the store has no vocabulary of the model."""
        ids = token_ids.to_pylist()
        if self.store.current("vocabulary", (model,)) is None:
            return {"token": pa.nulls(len(ids), pa.string()), "is_special": pa.nulls(len(ids), pa.bool_())}
        pieces, special = self._vocabularies(model)
        known = [0 <= token_id < len(pieces) for token_id in ids]
        texts = [pieces[i].as_py().decode(errors="replace") if ok else "" for i, ok in zip(ids, known, strict=True)]
        marks = [bool(special[i].as_py()) if ok else True for i, ok in zip(ids, known, strict=True)]
        return {"token": pa.array(texts, pa.string()), "is_special": pa.array(marks, pa.bool_())}

    def _vocabularies(self, model: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        """The pieces and marks of a model's vocabulary; the last one is kept, since it is large."""
        generation = self.store.require("vocabulary", (model,))
        if self._kept_vocabulary[0] != generation.folder:
            table = self.vocabulary(model).combine_chunks()
            self._kept_vocabulary[:] = [generation.folder, table["piece"], table["special"]]
        return self._kept_vocabulary[1], self._kept_vocabulary[2]

    @cached_property
    def _kept_vocabulary(self) -> list[Any]:
        return [None, None, None]

    def _judgements(self, names: tuple[str, str]) -> dict[str, Judgement]:
        """The study's word on each current table of a partition."""
        if self.study is None:
            return {}
        own = [table.name for table in TABLES.values() if table.partitioned_by == _GRID]
        found = {name: made for name in own if (made := self.store.current(name, names)) is not None}
        judged: dict[tuple[str, tuple[str, ...]], Judged] = {}
        for name, made in found.items():
            judged[name, names] = _judged(made.manifest())
        said = StudyJudge(self.study, self.store).judge(judged)
        return {asset: judgement for (asset, _), judgement in said.items()}

    def _marked(self, generation: Generation, table: pa.Table) -> pa.Table:
        """The table with what it is, and whether it is stale, in its schema's metadata."""
        metadata = {PARTITION: "|".join(generation.partition), FINGERPRINT: generation.fingerprint}
        key = "|".join(generation.partition)
        of_grid = TABLES[generation.asset].partitioned_by == _GRID
        said = self.judgements(key).get(generation.asset) if of_grid else None
        if said is not None and said.reason is not None:
            metadata[STALE_BECAUSE] = said.reason
            self._say(f"{generation.asset} of {key}{' is stale' if said.is_stale else ''}: {said.reason}")
        return table.replace_schema_metadata(metadata)

    def _say(self, sentence: str) -> None:
        if self.stale == "refuse":
            raise StoreError(f"{sentence}; materialize it again, or open_study(stale='accept')")
        if self.stale == "warn":
            warnings.warn(sentence, StaleResultsWarning, stacklevel=_frames_of_ours() + 1)


def _frames_of_ours() -> int:
    """How many callers in a row are of this module, so that a warning names the user's line."""
    frame: FrameType | None = sys._getframe(1)
    count = 0
    while frame is not None and frame.f_code.co_filename == __file__:
        frame, count = frame.f_back, count + 1
    return count


def _judged(manifest: Manifest) -> Judged:
    return Judged(manifest.fingerprint, manifest.inputs, manifest.settings, is_imported(manifest))


def _read(generation: Generation, columns: Sequence[str], where: dict[str, Any] | None = None) -> pa.Table:
    """Columns of a generation, fragment by fragment; null where an older onoff did not write one."""
    schema = pa.schema([SCHEMAS[generation.asset].field(name) for name in columns])
    tables = []
    for index in sorted(generation.fragment_indices()):
        written = generation.column_names(index)
        there = [name for name in columns if name in written] or written[:1]  # one at least, for the number of rows
        rows = generation.read_rows(index, where, there) if where else generation.read_fragment(index, there)
        if rows.num_rows or not where:
            tables.append(conform(rows, schema, generation.folder))
    return pa.concat_tables(tables) if tables else schema.empty_table()
